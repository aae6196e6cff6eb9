// The live view fits the terminal it is drawn for, whatever its size, and shows what matters most where room is short.
#include "orchestrator/cli/live_view.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "orchestrator/server/views.h"
#include "tests/core/home.h"

namespace overnight::cli {
namespace {

using nlohmann::json;

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

bool shows(const std::vector<std::string>& lines, const std::string& text) {
  return joined(lines).find(text) != std::string::npos;
}

// Without colour codes, as many columns as a terminal would need.
std::size_t columns_of(const std::string& line) {
  std::string plain;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b') {
      i = line.find('m', i);
      continue;
    }
    plain.push_back(line[i]);
  }
  return width_of(plain);
}

// A run in its middle, with a proposer that writes what it likes.
json busy_view(int slots) {
  core::Home home(slots);
  core::Study study = core::small_study();
  study.run_budget.wall = core::seconds(3600);
  study.run_budget.experiments = budgets::Experiments::of(100);
  study.run_budget.slot_time = budgets::SlotMillis::of(100'000'000);
  home.run = core::RunId{"2026-11-24-small-3fa9c1"};
  home.start(study);
  home.score(home.all<core::Launch>()[0].attempt, 0.5);
  home.offer({0.1, 0.2, 0.3, 0.4, 0.6, 0.7});
  home.score(home.live().attempts.begin()->first, 0.25);
  home.tell(core::AttemptStarted{home.live().attempts.begin()->first}, 100);
  server::LiveMetrics metrics;
  metrics[home.live().attempts.begin()->first]["loss\x1b[2J"] = 0.3;
  return server::view_of(home.state, {core::Moment::at(home.now), core::WallTime::at(1'700'000'000'000)}, metrics);
}

const std::vector<std::string> events{"23:41:01  stage     run started", "23:41:02  score     a\x1b[31mb",
                                      "23:41:03  score     " + std::string(400, 'x')};

TEST(LiveView, FitsEverySizeInEveryLook) {
  for (const int slots : {1, 4, 40}) {
    const json view = busy_view(slots);
    for (std::size_t columns : {1, 8, 20, 40, 60, 69, 70, 80, 99, 100, 120, 300}) {
      for (std::size_t rows : {1, 2, 5, 10, 14, 15, 19, 20, 24, 40, 100}) {
        for (const Look look : {Look{true, true}, Look{true, false}, Look{false, false}}) {
          const auto lines = draw(view, events, {columns, rows}, look, "hint");
          EXPECT_LE(lines.size(), rows);
          for (const std::string& line : lines) {
            EXPECT_LE(columns_of(line), columns) << line;
            if (!look.colours) {
              EXPECT_EQ(line.find('\x1b'), std::string::npos) << line;
            }
            if (!look.utf8) {
              EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](char c) { return (c & 0x80) == 0; })) << line;
            }
          }
        }
      }
    }
  }
}

TEST(LiveView, ShowsBudgetsSlotsBestEventsAndTheTimeLeft) {
  const auto lines = draw(busy_view(2), events, {120, 40}, {true, false}, "hint");
  for (const char* text : {"2026-11-24-small-3fa9c1", "searching", "left", "experiments", "slot_time",
                           "best loss 0.25 (n=1)", "baseline loss 0.5", "slot 1", "#", "23:41:01", "hint"}) {
    EXPECT_TRUE(shows(lines, text)) << text << "\n" << joined(lines);
  }
}

TEST(LiveView, KeepsTheBestAndTheEventsWhereRoomIsShort) {
  const auto lines = draw(busy_view(40), events, {60, 15}, {true, false});
  EXPECT_TRUE(shows(lines, "best loss"));
  EXPECT_TRUE(shows(lines, "more slots"));
  EXPECT_TRUE(shows(lines, "23:41:03"));
  EXPECT_EQ(lines.size(), 15u);
}

TEST(LiveView, TextOfTasksCannotControlTheTerminal) {
  const auto lines = draw(busy_view(2), events, {200, 40}, {true, false});
  EXPECT_EQ(joined(lines).find('\x1b'), std::string::npos);
  EXPECT_TRUE(shows(lines, "a?[31mb"));
}

TEST(LiveView, TellsAHaltAndAHoldFirst) {
  core::Home home(1);
  home.start(core::small_study());
  home.tell(core::HaltRequested{std::nullopt, "user:ann", "api", "odd"});
  const auto view = [&] { return server::view_of(home.state, {core::Moment::at(0), core::WallTime::at(0)}, {}); };
  EXPECT_TRUE(shows(draw(view(), {}, {80, 24}, {true, false}), "HALTING: 1 attempts still alive"));
  home.fail(home.live().attempts.begin()->first, core::Cause::stopped);
  EXPECT_TRUE(shows(draw(view(), {}, {80, 24}, {true, false}), "HALTED: odd"));

  core::Home held(1);
  held.start(core::small_study());
  held.tell(core::HoldRequested{held.run, "user:ann", "wait"});
  const json other = server::view_of(held.state, {core::Moment::at(0), core::WallTime::at(0)}, {});
  EXPECT_TRUE(shows(draw(other, {}, {80, 24}, {true, false}), "HELD by user:ann: wait"));
}

}  // namespace
}  // namespace overnight::cli
