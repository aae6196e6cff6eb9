// Requests to events: what is meant is done, what is not clear is refused with a reason, nothing crashes.
#include "orchestrator/server/commands.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "tests/core/home.h"

namespace overnight::server {
namespace {

const std::string by = "user:ann";

TEST(Commands, CutALongReasonBetweenTwoCharacters) {
  const std::string reason = std::string(499, 'a') + "\u00e9\u00e9";
  const auto halt = event_of("halt", nlohmann::json{{"reason", reason}}.dump(), by);
  ASSERT_TRUE(halt);
  EXPECT_EQ(std::get<core::HaltRequested>(*halt).reason, std::string(499, 'a'));
}

TEST(Commands, SayWhatTheyMean) {
  EXPECT_EQ(*event_of("halt", "", by), core::Event(core::HaltRequested{std::nullopt, by, "api", "no reason given"}));
  EXPECT_EQ(*event_of("halt", R"({"run":"r","reason":"odd"})", by),
            core::Event(core::HaltRequested{core::RunId{"r"}, by, "api", "odd"}));
  EXPECT_EQ(*event_of("hold", R"({"run":"r","reason":"odd"})", by),
            core::Event(core::HoldRequested{core::RunId{"r"}, by, "odd"}));
  EXPECT_EQ(*event_of("release", R"({"reason":"fixed"})", by),
            core::Event(core::ReleaseRequested{std::nullopt, by, "fixed"}));
  EXPECT_EQ(*event_of("drain", R"({"run":"r"})", by), core::Event(core::DrainRequested{core::RunId{"r"}, by}));
  const auto pushed =
      event_of("enqueue", R"({"run":"r","proposals":[{"params":{"x":1,"y":0.5,"z":"a","w":true}}]})", by);
  ASSERT_TRUE(pushed);
  const auto& one = std::get<core::Enqueued>(*pushed).proposals.at(0);
  EXPECT_EQ(one.params.at("x"), core::ParamValue(std::int64_t{1}));
  EXPECT_EQ(one.params.at("y"), core::ParamValue(0.5));
  EXPECT_EQ(one.params.at("z"), core::ParamValue(std::string("a")));
  EXPECT_EQ(one.params.at("w"), core::ParamValue(true));
}

TEST(Commands, WhoAsksIsNeverTakenFromTheRequest) {
  const auto event = event_of("halt", R"({"by":"root","path":"none"})", by);
  EXPECT_EQ(std::get<core::HaltRequested>(*event).by, by);
  EXPECT_EQ(std::get<core::HaltRequested>(*event).path, "api");
}

TEST(Commands, AreRefusedWithAReason) {
  const auto refused = [](const std::string& path, const std::string& body) {
    const auto event = event_of(path, body, by);
    EXPECT_FALSE(event) << path << " " << body;
    EXPECT_FALSE(!event && event.error().explain.empty());
    return event ? 0 : event.error().status;
  };
  EXPECT_EQ(refused("explode", "{}"), 404);
  EXPECT_EQ(refused("", "{}"), 404);
  for (const std::string body : {"{", "[]", "7", "null", R"({"run":7})", R"({"reason":[]})"}) refused("hold", body);
  EXPECT_EQ(refused("hold", R"({"run":"r"})"), 400) << "a hold needs a reason";
  EXPECT_EQ(refused("release", R"({"run":"r","reason":""})"), 400);
  EXPECT_EQ(refused("enqueue", R"({"run":"r"})"), 400);
  EXPECT_EQ(refused("enqueue", R"({"run":"r","proposals":[]})"), 400);
  EXPECT_EQ(refused("enqueue", R"({"run":"r","proposals":[{"params":{"x":[1]}}]})"), 400);
  EXPECT_EQ(refused("enqueue", R"({"run":"r","proposals":[1]})"), 400);
  for (const std::string grant : {"{}", "7", R"({"wal":1})", R"({"wall":-1})", R"({"wall":"1h"})", R"({"wall":1.5})",
                                  R"({"wall":9223372036854775807})"})
    EXPECT_EQ(refused("budget", R"({"run":"r","reason":"more","grant":)" + grant + "}"), 400) << grant;
}

TEST(Commands, ABudgetThatIsChangedLeavesTheOthersAsTheyWere) {
  core::Home home(1);
  core::Study study = core::small_study();
  study.run_budget.wall = core::seconds(100);
  study.run_budget.experiments = budgets::Experiments::of(10);
  home.start(study);
  auto event = event_of("budget", R"({"run":"run-1","reason":"more","grant":{"experiments":20}})", by);
  ASSERT_TRUE(event) << event.error().explain;
  auto& changed = std::get<core::BudgetChanged>(*event);
  keep_other_grants(changed, home.live());
  home.tell(changed);
  EXPECT_EQ(home.live().ledger.grant().experiments.count(), 20);
  EXPECT_EQ(home.live().ledger.grant().actions, study.run_budget.actions);
  EXPECT_EQ(home.live().wall_grant, core::seconds(100));
}

TEST(Commands, SurviveAnyBody) {
  std::mt19937 random(7);
  const std::string good = R"({"run":"r","reason":"x","proposals":[{"params":{"x":0.5}}],"grant":{"wall":5}})";
  for (int i = 0; i < 5000; ++i) {
    std::string body = good;
    for (auto n = random() % 6; n > 0; --n) body[random() % body.size()] = static_cast<char>(random());
    for (const char* path : {"halt", "hold", "release", "enqueue", "budget"}) (void)event_of(path, body, by);
  }
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "[";
  EXPECT_FALSE(event_of("halt", deep, by));
}

}  // namespace
}  // namespace overnight::server
