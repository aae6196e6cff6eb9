#include "orchestrator/core/rows.h"

#include <gtest/gtest.h>

#include "tests/core/home.h"

namespace overnight::core {
namespace {

std::map<std::string, std::string> parts_of(const Run& run) {
  std::map<std::string, std::string> parts;
  for (const RunPart part : all_run_parts) {
    parts[std::string(name_of(part))] = run_row(run, part);
  }
  return parts;
}

TEST(Rows, AStateReadBackFromItsRowsIsTheSame) {
  Home home(2);
  home.start(small_study());
  home.score(home.all<Launch>()[0].attempt, 1.0 / 3);
  home.offer({0.1, 0.7});
  const core::Run& run = home.live();
  auto read = read_run_rows(parts_of(run), study_to_json(run.study));
  ASSERT_TRUE(read) << read.error();
  read->seen = run.seen;
  EXPECT_EQ(*read, run);

  State again;
  ASSERT_TRUE(read_home_row(again, home_row(home.state)));
  EXPECT_EQ(again.slots, home.state.slots);
  EXPECT_EQ(again.next_attempt, home.state.next_attempt);
}

TEST(Rows, DamagedRowsAreExplainedNotCrashedOn) {
  Home home(1);
  home.start(small_study());
  auto parts = parts_of(home.live());
  parts["work"] = R"({"trials": 3})";
  const auto read = read_run_rows(parts, study_to_json(home.live().study));
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().find("row \"work\""), std::string::npos);
}

TEST(Rows, InputsAndActionsSurviveTheirJson) {
  Home home(1);
  home.start(small_study());
  const Input input{Moment::at(5), WallTime::at(6), 7, RunStarted{home.run, small_study(), WallTime::never(), {}}};
  EXPECT_EQ(*input_from_json(input_to_json(input)), input);
  for (const NumberedAction& action : home.changes.actions)
    EXPECT_EQ(*action_from_json(action_to_json(action)), action);
  EXPECT_FALSE(input_from_json("{}"));
}

TEST(Rows, ReplayGivesTheSameHashes) {
  const auto hashes = [] {
    Home home(2);
    StateHash hash;
    std::map<std::string, std::string> rows;
    std::vector<std::string> seen;
    home.start(small_study());
    update_hash(hash, home.state, home.changes, rows);
    seen.push_back(hash.hex());
    home.score(home.all<Launch>()[0].attempt, 0.5);
    update_hash(hash, home.state, home.changes, rows);
    seen.push_back(hash.hex());
    return seen;
  };
  EXPECT_EQ(hashes(), hashes());
  EXPECT_NE(hashes()[0], hashes()[1]);
}

TEST(StateHash, DoesNotDependOnTheOrderOfChangesAndForgetsWhatWasRemoved) {
  StateHash a, b;
  a.put("x", "1");
  a.put("y", "2");
  b.put("y", "2");
  b.put("x", "0");
  b.put("x", "1");
  EXPECT_EQ(a.hex(), b.hex());
  b.put("z", "3");
  EXPECT_NE(a.hex(), b.hex());
  b.put("z", "");
  EXPECT_EQ(a.hex(), b.hex());
}

}  // namespace
}  // namespace overnight::core
