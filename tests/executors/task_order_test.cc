#include "orchestrator/executors/task_order.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace overnight::executors {
namespace {

using core::Launch;
using core::Study;

class TaskOrderTest : public testing::Test {
 protected:
  TaskOrderTest() {
    study_.objective.metric = "loss";
    study_.task.train.command = {"python3", "train.py", "{params}"};
    launch_ = {core::AttemptId{3}, core::TrialId{2}, core::ExperimentId{1}, core::RunId{"r"}, core::SlotId{1}, {}, 9};
    launch_.params = {{"depth", std::int64_t{4}}, {"lr", 0.003}, {"mixer", std::string("attention")}};
    place_.home_folder = "/h";
    place_.nonce = "n";
    place_.folder = attempt_folder("/h", launch_.run, launch_.attempt);
  }
  std::vector<std::string> substituted(const std::vector<std::string>& command) const {
    return substitute(command, launch_, place_.folder);
  }
  workers::Order order() const { return order_for(launch_, study_, place_); }

  Study study_;
  Launch launch_;
  Place place_;
};

using Words = std::vector<std::string>;

TEST_F(TaskOrderTest, ParamsAloneBecomeOneArgumentEach) {
  EXPECT_EQ(substituted({"x", "{params}", "y"}), (Words{"x", "--depth=4", "--lr=0.003", "--mixer=attention", "y"}));
  EXPECT_EQ(substituted({"run {params}"}), (Words{"run --depth=4 --lr=0.003 --mixer=attention"}));
}

TEST_F(TaskOrderTest, NamesBetweenBracesAreReplacedAndOthersStay) {
  EXPECT_EQ(
      substituted({"{p.lr}/{p.mixer}", "{seed}", "{experiment}", "{artifacts}/w"}),
      (Words{"0.003/attention", "9", "/h/runs/r/attempts/3/experiment.json", "/h/runs/r/attempts/3/artifacts/w"}));
  EXPECT_EQ(substituted({"{other}", "{", "}", "{p.lr", "awk {{print}}", "{{seed}}"}),
            (Words{"{other}", "{", "}", "{p.lr", "awk {print}", "{seed}"}));
  EXPECT_EQ(substituted({"a{p.state_size}b"}), Words{"ab"}) << "a parameter that is not active is empty";
}

TEST_F(TaskOrderTest, ValuesAreNotSubstitutedAgain) {
  launch_.params = {{"mixer", std::string("{seed} {{ {params}")}};
  EXPECT_EQ(substituted({"{p.mixer}"}), Words{"{seed} {{ {params}"});
}

TEST_F(TaskOrderTest, TheSeedGoesTheWayThatTheStudySays) {
  study_.task.seed = {core::SeedDelivery::Kind::env, "SEED", ""};
  EXPECT_EQ(order().env.at("SEED"), "9");
  study_.task.seed = {core::SeedDelivery::Kind::argv, "--seed", ""};
  EXPECT_EQ(order().phases[0].command.back(), "--seed=9");
  study_.task.seed = {core::SeedDelivery::Kind::replace, "train.py", "seed = (\\d+)"};
  EXPECT_EQ(order().seed_replacements, (std::vector<workers::SeedReplacement>{{"train.py", "seed = (\\d+)"}}));
  study_.task.seed = {};
  EXPECT_FALSE(order().env.contains("SEED"));
}

TEST_F(TaskOrderTest, SecretsGoByNameToTheirPhaseAndProposersKeysToNone) {
  study_.task.evaluate = core::PhaseSpec{{"eval"}};
  study_.task.secrets = {{"HF_TOKEN", "evaluate"}};
  study_.task.env_pass = {"PATH"};
  study_.proposers = {{"llm", "llm", 1, {{"api_key_env", "OPENAI_API_KEY"}}}};
  const auto made = order();
  EXPECT_TRUE(made.phases[0].secrets.empty());
  EXPECT_EQ(made.phases[1].secrets, Words{"HF_TOKEN"});
  EXPECT_EQ(made.env_secret, (Words{"HF_TOKEN", "OPENAI_API_KEY"}));
}

TEST_F(TaskOrderTest, PrivateDataIsHiddenFromAllButTheEvaluationThatItIsFor) {
  study_.task.build = core::PhaseSpec{{"make"}};
  study_.task.evaluate = core::PhaseSpec{{"eval"}};
  study_.task.validation_data = "/d/validation";
  study_.task.holdout_data = "/d/holdout";
  auto made = order();
  EXPECT_EQ(made.phases[0].hidden, (Words{"/d/validation", "/d/holdout"}));
  EXPECT_EQ(made.phases[1].hidden, (Words{"/d/validation", "/d/holdout"}));
  EXPECT_EQ(made.phases[2].hidden, Words{"/d/holdout"});
  EXPECT_EQ(made.phases[2].env.at("OVERNIGHT_EVAL_DATA"), "/d/validation");
  study_.task.holdout_data = "/d";
  EXPECT_TRUE(order().phases[2].hidden.empty()) << "what lies around the data cannot be hidden from who needs it";
}

TEST_F(TaskOrderTest, LimitsAndPlaceAreThoseOfLaunchStudyAndSlot) {
  study_.attempt.memory = budgets::Bytes::of(5);
  study_.attempt.processes = 7;
  launch_.wall = core::Millis::of(1234);
  place_.slot.cpus = {3};
  place_.slot.gpus = {"GPU-1"};
  const auto made = order();
  EXPECT_EQ(made.limits.wall_ms, 1234);
  EXPECT_EQ(made.limits.memory_bytes, 5);
  EXPECT_EQ(made.limits.processes, 7);
  EXPECT_EQ(made.cpus, std::vector<int>{3});
  EXPECT_EQ(made.gpus, Words{"GPU-1"});
  EXPECT_EQ(made.enclosure, "/h");
  EXPECT_TRUE(workers::order_from_json(workers::to_json(made))) << "what we write, a keeper reads";
}

TEST_F(TaskOrderTest, TheExperimentFileHoldsParametersWithTheirTypes) {
  const auto file = nlohmann::json::parse(experiment_json(launch_, study_));
  EXPECT_EQ(file["params"], (nlohmann::json{{"depth", 4}, {"lr", 0.003}, {"mixer", "attention"}}));
  EXPECT_EQ(file["seed"], 9);
  EXPECT_EQ(file["attempt"], 3);
  EXPECT_EQ(file["objective"], "loss");
}

}  // namespace
}  // namespace overnight::executors
