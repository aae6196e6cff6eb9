#include "workers/trainer/training.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "tests/workers/trainer/texts.h"

namespace overnight::workers {
namespace {

TrainingSettings tiny(std::int64_t threads) {
  TrainingSettings settings;
  settings.model = {.depth = 1, .width = 16, .heads = 2, .context = 16};
  settings.batch = 4;
  settings.threads = threads;
  settings.steps = 30;
  settings.optimizer.learning_rate = 1e-2;
  return settings;
}

std::vector<double> losses_of(const TrainingSettings& settings, std::vector<float>* parameters = nullptr) {
  const Texts texts("training", 4);
  Training training(settings, *read_documents(texts.path()));
  std::vector<double> losses;
  for (std::int64_t step = 0; step < settings.steps; ++step)
    losses.push_back(*training.step(static_cast<double>(step) / static_cast<double>(settings.steps)));
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

TEST(Training, TheNumberOfThreadsChangesNothing) {
  TrainingSettings settings = tiny(1);
  settings.lanes = 4;
  std::vector<float> expected;
  const auto losses = losses_of(settings, &expected);
  for (const std::int64_t threads : {2, 3, 4}) {
    std::vector<float> parameters;
    settings.threads = threads;
    EXPECT_EQ(losses_of(settings, &parameters), losses) << threads;
    EXPECT_EQ(parameters, expected) << threads;
  }
}

TEST(Training, LanesGoByTheThreadsInTimeAndAreFixedInSteps) {
  TrainingSettings settings = tiny(4);
  settings.batch = 12;
  EXPECT_EQ(lanes_of(settings), 2);
  settings.steps = 0;
  EXPECT_EQ(lanes_of(settings), 4);
  settings.threads = 5;
  EXPECT_EQ(lanes_of(settings), 4) << "a batch of 12 is not a multiple of 5";
  settings.lanes = 6;
  EXPECT_EQ(lanes_of(settings), 6);
}

TEST(Training, TellsWhereTheTimeWent) {
  const Texts texts("profile", 4);
  TrainingSettings settings = tiny(2);
  Training training(settings, *read_documents(texts.path()));
  training.take_profile();
  for (int i = 0; i < 3; ++i) training.step(0);
  const std::vector<ProfileLine> lines = training.profile();
  const auto mlp = std::find_if(lines.begin(), lines.end(), [](const ProfileLine& line) { return line.kind == "mlp"; });
  ASSERT_NE(mlp, lines.end());
  EXPECT_GT(mlp->backward_seconds, 0);
  EXPECT_DOUBLE_EQ(mlp->flops, 3 * 3 * 4.0 * 64 * 16 * 64) << "three steps, forward and twice backward, two products";
}

TEST(Training, AStopLeavesTheParametersOfTheLastWholeStep) {
  const Texts texts("stop", 4);
  Training training(tiny(2), *read_documents(texts.path()));
  ASSERT_TRUE(training.step(0.1));
  const std::vector<float> before(training.parameters(), training.parameters() + training.graph().parameter_floats());
  const std::atomic<bool> stop = true;
  EXPECT_FALSE(training.step(0.2, &stop));
  EXPECT_TRUE(std::equal(before.begin(), before.end(), training.parameters()));
}

// Lanes see the same rows in the same order: only the order of sums differs.
TEST(Training, TheNumberOfLanesChangesRoundingAlone) {
  TrainingSettings cut = tiny(1);
  cut.lanes = 4;
  const auto one = losses_of(tiny(1)), four = losses_of(cut);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(one[i], four[i], 2e-3) << i;
}

TEST(Training, WorksOutWhatIsGivenInOtherWords) {
  TrainingSettings settings;
  settings.model.depth = 5;
  settings.aspect = 20;
  settings.head_size = 32;
  settings.batch_tokens = 1000;
  settings.model.context = 128;
  settle(settings);
  EXPECT_EQ(settings.model.width, 128) << "5 x 20, rounded up to whole heads";
  EXPECT_EQ(settings.model.heads, 4);
  EXPECT_EQ(settings.batch, 7);
  const TrainingSettings once = settings;
  settle(settings);
  EXPECT_EQ(settings.model, once.model);
  settings = {};
  settings.steps = 1;
  settings.head_size = 48;
  settle(settings);
  EXPECT_NE(why_impossible(settings).find("head_size 48"), std::string::npos) << why_impossible(settings);
  settings.head_size = 0;
  settings.aspect = -3;
  settle(settings);
  EXPECT_NE(why_impossible(settings).find("aspect"), std::string::npos) << why_impossible(settings);
}

TEST(Training, GoesOnFromItsStateAsIfItHadNeverStopped) {
  const Texts texts("state", 4);
  const Documents documents = *read_documents(texts.path());
  const std::filesystem::path file = texts.path() / "state.safetensors";
  for (const char* optimizer : {"adamw", "muon"}) {
    TrainingSettings settings = tiny(1);
    settings.optimizer.optimizer = optimizer;
    settings.optimizer.ema = 0.9;
    Training whole(settings, documents), first(settings, documents), second(settings, documents);
    std::vector<double> expected, losses;
    for (int i = 0; i < 6; ++i) expected.push_back(*whole.step(i / 6.0));
    for (int i = 0; i < 3; ++i) losses.push_back(*first.step(i / 6.0));
    const std::atomic<bool> stop = true;
    ASSERT_FALSE(first.step(0.5, &stop)) << "a step that is stopped is not one";
    ASSERT_TRUE(first.save_state(file, 1.5));
    const auto position = second.load_state(file);
    ASSERT_TRUE(position) << position.error();
    EXPECT_EQ(position->steps, 3);
    EXPECT_EQ(position->seconds, 1.5);
    for (int i = 3; i < 6; ++i) losses.push_back(*second.step(i / 6.0));
    EXPECT_EQ(losses, expected);
    for (std::size_t i = 0; i < whole.graph().parameter_floats(); ++i)
      ASSERT_EQ(second.parameters()[i], whole.parameters()[i]);
  }
}

TEST(Training, RefusesTheStateOfAnotherTrainingAndADamagedOne) {
  const Texts texts("state", 4);
  const Documents documents = *read_documents(texts.path());
  const std::filesystem::path file = texts.path() / "state.safetensors";
  Training training(tiny(1), documents);
  training.step(0);
  ASSERT_TRUE(training.save_state(file, 0));
  TrainingSettings other = tiny(1);
  other.batch = 8;
  Training another(other, documents);
  EXPECT_NE(another.load_state(file).error().find("another training"), std::string::npos);
  other = tiny(1);
  other.model.width = 32;
  EXPECT_FALSE(Training(other, documents).load_state(file));
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 4);
  EXPECT_FALSE(training.load_state(file));
  EXPECT_FALSE(training.load_state(texts.path() / "nothing"));
}

// Muon, the rates of groups and the running mean are the same for any number of threads, and each changes something.
TEST(Training, OptimizersDifferAndNoneDependsOnThreads) {
  const Texts texts("training", 4);
  const Documents documents = *read_documents(texts.path());
  const auto trained = [&](std::int64_t threads, const std::function<void(OptimizerSettings&)>& change) {
    TrainingSettings settings = tiny(threads);
    settings.lanes = 2;
    change(settings.optimizer);
    Training training(settings, documents);
    for (int i = 0; i < 3; ++i) training.step(0.3);
    return std::vector<float>(training.parameters(), training.parameters() + training.graph().parameter_floats());
  };
  const std::function<void(OptimizerSettings&)> changes[] = {
      [](OptimizerSettings&) {},
      [](OptimizerSettings& s) { s.optimizer = "muon"; },
      [](OptimizerSettings& s) { s.optimizer = "muon", s.orthogonalizer = "newton-schulz"; },
      [](OptimizerSettings& s) { s.optimizer = "muon", s.muon_beta2 = 0; },
      [](OptimizerSettings& s) { s.ema = 0.9; },
      [](OptimizerSettings& s) { s.matrix.rate = 0.1; },
      [](OptimizerSettings& s) { s.embedding.rate = 0.1; },
      [](OptimizerSettings& s) { s.head.rate = 0.1; },
      [](OptimizerSettings& s) { s.weight_decay = 0.3; },
      [](OptimizerSettings& s) { s.weight_decay = 0.3, s.decay_schedule = "linear"; },
      [](OptimizerSettings& s) { s.weight_decay = 0.3, s.decay_schedule = "cosine"; },
      [](OptimizerSettings& s) { s.embedding.decay = 0.3; },
      [](OptimizerSettings& s) { s.epsilon = 1e-3; },
      [](OptimizerSettings& s) { s.head.epsilon = 1e-3; },
      [](OptimizerSettings& s) { s.beta1 = 0.5; },
      [](OptimizerSettings& s) { s.width_factor = 2; },
      [](OptimizerSettings& s) { s.matrix.beta1 = 0.5; },
      [](OptimizerSettings& s) { s.embedding.beta2 = 0.5; },
      [](OptimizerSettings& s) { s.optimizer = "muon", s.momentum.start = 0.5; },
      [](OptimizerSettings& s) { s.optimizer = "muon", s.momentum.rise = 0.6; },
      [](OptimizerSettings& s) { s.optimizer = "muon", s.momentum.end = 0.5, s.momentum.fall = 0.9; },
  };
  std::set<std::vector<float>> seen;
  for (const auto& change : changes) {
    const std::vector<float> one = trained(1, change);
    EXPECT_EQ(one, trained(2, change));
    EXPECT_TRUE(seen.insert(one).second) << "a setting that changes nothing";
  }
}

TEST(Training, RefusesImpossibleSettingsWithTheReason) {
  const auto why = [](auto change) {
    TrainingSettings settings = tiny(1);
    change(settings);
    return why_impossible(settings);
  };
  EXPECT_EQ(why([](TrainingSettings&) {}), "");
  EXPECT_NE(why([](TrainingSettings& s) { s.batch = 0; }).find("batch"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.threads = 3; }).find("lanes"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.lanes = 3; }).find("multiple"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.lanes = -1; }).find("lanes"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.optimizer.learning_rate = 0; }).find("learning_rate"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.optimizer.learning_rate = std::nan(""); }).find("learning_rate"),
            std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.optimizer.beta2 = 1; }).find("beta"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.optimizer.weight_decay = -1; }), "");
  EXPECT_NE(why([](TrainingSettings& s) { s.optimizer.scalar.rate = 11; }).find("scalar_rate"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.optimizer.head.beta2 = 1; }).find("head_beta2"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.optimizer.matrix.epsilon = 0; }).find("matrix_epsilon"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.optimizer.momentum.fall = 2; }).find("momentum_fall"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.optimizer.momentum.end = 1; }).find("momentum_end"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.optimizer.embedding_scale = -1; }).find("embedding_scale"),
            std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.optimizer.epsilon = 1e-60; }).find("epsilon"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.optimizer.weight_decay = 1e300; }).find("weight_decay"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.optimizer.matrix.decay = 1e300; }).find("matrix_decay"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.schedule.floor = -5; }).find("floor"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.seconds = -1; }).find("negative"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.batch_tokens = 100; }).find("multiple of the context"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.init = "zeros"; }).find("init"), std::string::npos);
  EXPECT_NE(why([](TrainingSettings& s) { s.init_scale = -1; }).find("init_scale"), std::string::npos);
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
