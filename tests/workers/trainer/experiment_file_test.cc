#include "workers/trainer/experiment_file.h"

#include <gtest/gtest.h>

namespace overnight::workers {
namespace {

std::string refusal(const std::string& text) {
  TrainingSettings settings;
  const auto read = read_experiment(settings, text);
  return read ? "" : read.error();
}

TEST(ExperimentFile, SetsParametersSeedAndBudget) {
  TrainingSettings settings;
  const auto read = read_experiment(
      settings,
      R"({"params": {"learning_rate": 0.01, "depth": 2, "batch": "4"}, "seed": 7, "limits": {"train_budget_ms": 8000}})");
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(settings.optimizer.learning_rate, 0.01);
  EXPECT_EQ(settings.model.depth, 2);
  EXPECT_EQ(settings.batch, 4);
  EXPECT_EQ(settings.seed, 7);
  EXPECT_EQ(settings.seconds, 8);
}

TEST(ExperimentFile, ABudgetInStepsIsKept) {
  TrainingSettings settings;
  ASSERT_TRUE(read_experiment(settings, R"({"params": {"steps": 5}, "limits": {"train_budget_ms": 8000}})"));
  EXPECT_EQ(settings.steps, 5);
  EXPECT_EQ(settings.seconds, 0);
}

TEST(ExperimentFile, APresetGivesWayToWhatIsSaidBesideIt) {
  TrainingSettings settings;
  ASSERT_TRUE(read_experiment(settings, R"({"params": {"depth": 3, "preset": "autoresearch", "matrix_rate": 0.01}})"));
  EXPECT_EQ(settings.model.depth, 3);
  EXPECT_EQ(settings.optimizer.matrix.rate, 0.01);
  EXPECT_EQ(settings.optimizer.residual.rate, 0.005);
  EXPECT_EQ(settings.model.window, "SSSL");
  ASSERT_TRUE(
      read_experiment(settings, R"({"params": {"preset": "autoresearch", "width": 64, "heads": 2, "batch": 8}})"));
  settle(settings);
  EXPECT_EQ(settings.model.width, 64);
  EXPECT_EQ(settings.model.heads, 2);
  EXPECT_EQ(settings.batch, 8);
  EXPECT_NE(refusal(R"({"params": {"preset": "nanogpt"}})").find("nanogpt"), std::string::npos);
}

// The model of autoresearch has 50.33 million parameters, value embeddings among them.
TEST(ExperimentFile, ThePresetOfAutoresearchIsItsModel) {
  TrainingSettings settings;
  ASSERT_TRUE(set_parameter(settings, "preset", "autoresearch"));
  settings.steps = 1;
  settings.lanes = 1;
  settle(settings);
  EXPECT_EQ(why_impossible(settings), "");
  EXPECT_EQ(settings.model.width, 512);
  EXPECT_EQ(settings.model.heads, 4);
  EXPECT_EQ(settings.batch, 256);
  EXPECT_NEAR(settings.optimizer.width_factor, 1.2247, 1e-4);
  settings.batch = 1;  // a plan of all of them would be the same, and slow
  EXPECT_NEAR(static_cast<double>(plan_of(settings).parameters) / 1e6, 50.33, 0.01);
}

TEST(ExperimentFile, RefusesWhatItDoesNotKnow) {
  EXPECT_NE(refusal(R"({"params": {"learning_rat": 1}})").find("learning_rate"), std::string::npos);
  EXPECT_NE(refusal(R"({"params": {"depth": 2.5}})").find("depth"), std::string::npos);
  EXPECT_NE(refusal(R"({"params": {"learning_rate": "fast"}})").find("fast"), std::string::npos);
  EXPECT_NE(refusal(R"({"params": {"learning_rate": "nan"}})"), "");
  EXPECT_NE(refusal(R"({"params": {"depth": null}})"), "");
  EXPECT_NE(refusal(R"({"params": {"seed": 42}})").find("seed"), std::string::npos) << "seeds are not searched over";
  EXPECT_NE(refusal(R"({"params": []})"), "");
  EXPECT_NE(refusal(R"({"params": {}, "seed": "7"})").find("seed"), std::string::npos);
  EXPECT_NE(refusal(R"({"params": {}, "limits": {"train_budget_ms": "x"}})").find("train_budget_ms"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"params": {}, "limits": {"memory_bytes": -5}})").find("memory_bytes"), std::string::npos);
  EXPECT_NE(refusal(R"({"params": {}, "limits": {"memory_bytes": 0.5}})").find("memory_bytes"), std::string::npos);
  EXPECT_NE(refusal(R"({"params": {}, "limits": "memory"})").find("limits"), std::string::npos);
  EXPECT_NE(refusal(R"({"params": {"depth": 2, "depth": 3}})").find("twice"), std::string::npos);
  EXPECT_NE(refusal("{"), "");
  EXPECT_NE(refusal(""), "");
}

}  // namespace
}  // namespace overnight::workers
