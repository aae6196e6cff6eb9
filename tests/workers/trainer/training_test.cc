#include "workers/trainer/training.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/workers/trainer/texts.h"

namespace overnight::workers {
namespace {

TrainingSettings tiny(std::int64_t threads) {
  TrainingSettings settings;
  settings.model = {.depth = 1, .width = 16, .heads = 2, .context = 16};
  settings.batch = 4;
  settings.threads = threads;
  settings.steps = 30;
  settings.learning_rate = 1e-2;
  return settings;
}

std::vector<double> losses_of(const TrainingSettings& settings, std::vector<float>* parameters = nullptr) {
  const Texts texts("training", 4);
  Training training(settings, *read_documents(texts.path()));
  std::vector<double> losses;
  for (std::int64_t step = 0; step < settings.steps; ++step)
    losses.push_back(training.step(static_cast<double>(step) / static_cast<double>(settings.steps)));
  if (parameters != nullptr)
    parameters->assign(training.parameters(), training.parameters() + training.graph().parameter_floats());
  return losses;
}

TEST(Training, LearnsASimpleText) {
  const std::vector<double> losses = losses_of(tiny(1));
  EXPECT_NEAR(losses.front(), std::log(257.0), 0.1);
  EXPECT_LT(losses.back(), losses.front() - 1);
}

TEST(Training, TheSameSeedGivesTheSameBits) {
  for (const std::int64_t threads : {1, 2}) {
    std::vector<float> first, second;
    EXPECT_EQ(losses_of(tiny(threads), &first), losses_of(tiny(threads), &second));
    EXPECT_EQ(first, second);
  }
}

TEST(Training, AnotherSeedGivesAnotherTraining) {
  TrainingSettings other = tiny(1);
  other.seed = 2;
  EXPECT_NE(losses_of(tiny(1)), losses_of(other));
}

// Lanes see the same rows in the same order: only the order of sums differs.
TEST(Training, TheNumberOfLanesChangesRoundingAlone) {
  const auto one = losses_of(tiny(1)), four = losses_of(tiny(4));
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(one[i], four[i], 2e-3) << i;
}

TEST(Training, RefusesImpossibleSettingsWithTheReason) {
  const auto why = [](auto change) {
    TrainingSettings settings = tiny(1);
    change(settings);
    return why_impossible(settings);
  };
  EXPECT_EQ(why([](TrainingSettings&) {}), "");
  EXPECT_NE(why([](TrainingSettings& s) { s.batch = 0; }).find("batch"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.threads = 3; }).find("multiple"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.learning_rate = 0; }).find("learning_rate"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.learning_rate = std::nan(""); }).find("learning_rate"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.beta2 = 1; }).find("beta"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.weight_decay = -1; }), "");
  EXPECT_NE(why([](TrainingSettings& s) { s.schedule.warmup = 2; }), "");
  EXPECT_NE(why([](TrainingSettings& s) { s.steps = 0; }).find("budget"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.model.width = 17; }), "");
}

TEST(Training, PlansItsMemoryBeforeItRuns) {
  const TrainingPlan one = plan_of(tiny(1)), two = plan_of(tiny(2));
  EXPECT_EQ(one.parameters, two.parameters);
  EXPECT_EQ(one.tokens_per_step, 64u);
  EXPECT_GT(one.bytes, one.parameters * 16);
  EXPECT_NEAR(one.flops_per_token, two.flops_per_token, 1);
}

}  // namespace
}  // namespace overnight::workers
