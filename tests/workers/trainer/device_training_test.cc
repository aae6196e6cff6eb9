// Training on a GPU, in every line but the driver's: on the emulator's device, against the same training by the CPU.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/emulated_device.h"
#include "tests/workers/trainer/texts.h"
#include "workers/trainer/device_layout.h"
#include "workers/trainer/training.h"

namespace overnight::workers {
namespace {

TrainingSettings small(const std::string& optimizer, const std::string& precision) {
  TrainingSettings settings;
  settings.model = {.depth = 1, .width = 16, .heads = 2, .context = 16, .mlp_ratio = 2};
  settings.batch = 2;
  settings.lanes = 1;
  settings.steps = 20;
  settings.optimizer.optimizer = optimizer;
  settings.optimizer.learning_rate = 1e-2;
  settings.precision = precision;
  settings.deterministic = 1;
  return settings;
}

std::vector<double> take_steps(Training& training, const TrainingSettings& settings, std::int64_t from = 0) {
  std::vector<double> losses;
  for (std::int64_t step = from; step < settings.steps; ++step)
    losses.push_back(*training.step(static_cast<double>(step) / static_cast<double>(settings.steps)));
  return losses;
}

std::vector<double> losses_on(const TrainingSettings& settings, kernels::Device* device) {
  const Texts texts("device", 4);
  Training training(settings, *read_documents(texts.path()), {}, device);
  return take_steps(training, settings);
}

class DeviceTraining : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(By, DeviceTraining, testing::Values("adamw", "muon"),
                         [](const auto& one) { return std::string(one.param); });

TEST_P(DeviceTraining, TakesTheStepsOfTheCpu) {
  const auto device = kernels::emulated_device();
  TrainingSettings settings = small(GetParam(), "bfloat16");
  settings.optimizer.clip = 0.5;
  const std::vector<double> cpu = losses_on(settings, nullptr), mixed = losses_on(settings, device.get());
  settings.precision = "float";
  const std::vector<double> floats = losses_on(settings, device.get());
  for (std::size_t i = 0; i < cpu.size(); ++i) {
    EXPECT_NEAR(mixed[i], cpu[i], 0.01 * cpu[i]) << i;
    // Muon multiplies bfloat16 on a GPU whatever the precision of the model.
    EXPECT_NEAR(floats[i], cpu[i], (settings.optimizer.optimizer == "muon" ? 0.003 : 1e-4) * cpu[i]) << i;
  }
  EXPECT_LT(cpu.back(), cpu.front() - 1);
}

TEST(DeviceTraining, TakesABatchInPartsAndLeavesARunningMean) {
  const auto device = kernels::emulated_device();
  TrainingSettings settings = small("adamw", "float");
  settings.steps = 5;
  settings.optimizer.ema = 0.9;
  settings.lanes = 2;
  const Texts texts("device", 4);
  const Documents documents = *read_documents(texts.path());
  Training there(settings, documents, {}, device.get()), here(settings, documents);
  const auto losses = take_steps(there, settings), expected = take_steps(here, settings);
  for (std::size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], expected[i], 1e-4 * expected[i]) << i;
  for (std::size_t i = 0; i < here.graph().parameter_floats(); ++i)
    ASSERT_NEAR(there.parameters()[i], here.parameters()[i], 1e-3f) << i;
}

TEST(DeviceTraining, GoesOnFromAStateWithTheSameBits) {
  const auto device = kernels::emulated_device();
  TrainingSettings settings = small("muon", "bfloat16");
  settings.steps = 4;
  const Texts texts("device", 4);
  const Documents documents = *read_documents(texts.path());
  Training whole(settings, documents, {}, device.get()), first(settings, documents, {}, device.get()),
      second(settings, documents, {}, device.get());
  const auto losses = take_steps(whole, settings);
  std::vector<double> parts;
  for (int step = 0; step < 2; ++step) parts.push_back(*first.step(step / 4.0));
  const auto file = texts.path() / "state.safetensors";
  ASSERT_TRUE(first.save_state(file, 1));
  const auto position = second.load_state(file);
  ASSERT_TRUE(position) << position.error();
  EXPECT_EQ(position->steps, 2);
  for (const double loss : take_steps(second, settings, 2)) parts.push_back(loss);
  EXPECT_EQ(parts, losses);
  const std::size_t count = whole.graph().parameter_floats();
  EXPECT_EQ(std::vector<float>(whole.parameters(), whole.parameters() + count),
            std::vector<float>(second.parameters(), second.parameters() + count));
}

TEST(DeviceTraining, TakesTheMemoryThatWasPlannedAndNoMore) {
  for (const char* optimizer : {"adamw", "muon"}) {
    const auto device = kernels::emulated_device();
    TrainingSettings settings = small(optimizer, "bfloat16");
    settings.model.depth = 2, settings.model.mixer = "A3";
    settings.model.chunk = 16, settings.model.mamba_head = 16, settings.model.state = 16;
    settings.model.value_embeddings = 1;
    settings.optimizer.ema = 0.5;
    const Texts texts("device", 4);
    const std::uint64_t before = device->facts().memory_free;
    const Training training(settings, *read_documents(texts.path()), {}, device.get());
    EXPECT_EQ(before - device->facts().memory_free, device_bytes(settings)) << optimizer;
    // In parts it takes less, and how many it takes is known.
    TrainingSettings halves = settings;
    halves.lanes = 2;
    ASSERT_LT(device_bytes(halves), device_bytes(settings));
    EXPECT_EQ(lanes_that_fit(settings, device_bytes(settings)), 1);
    EXPECT_EQ(lanes_that_fit(settings, device_bytes(settings) - 1), 2);
    EXPECT_EQ(lanes_that_fit(settings, 1000), 0);
  }
}

TEST(DeviceTraining, WithoutTheMemoryItIsACleanFailure) {
  const auto device = kernels::emulated_device(100000);
  const Texts texts("device", 4);
  EXPECT_THROW(Training(small("adamw", "bfloat16"), *read_documents(texts.path()), {}, device.get()),
               kernels::DeviceOutOfMemory);
  EXPECT_EQ(device->facts().memory_free, 100000u) << "nothing is left behind";
}

TEST(DeviceTraining, KnowsWhatEachOpTook) {
  const auto device = kernels::emulated_device();
  TrainingSettings settings = small("muon", "bfloat16");
  const Texts texts("device", 4);
  Training training(settings, *read_documents(texts.path()), {}, device.get());
  training.take_profile();
  training.step(0);
  double flops = 0;
  for (const ProfileLine& line : training.profile()) {
    EXPECT_GT(line.forward_seconds + line.backward_seconds, 0) << line.kind;
    EXPECT_GT(line.moved, 0) << line.kind;
    flops += line.flops;
  }
  EXPECT_NEAR(flops, plan_of(settings).flops_per_token * 32, 1e-6 * flops);
}

TEST(DeviceTraining, AStopBeforeAStepTakesNone) {
  const auto device = kernels::emulated_device();
  const TrainingSettings settings = small("adamw", "float");
  const Texts texts("device", 4);
  Training training(settings, *read_documents(texts.path()), {}, device.get());
  std::atomic<bool> stop = true;
  EXPECT_FALSE(training.step(0, &stop));
  EXPECT_TRUE(training.step(0));
}

}  // namespace
}  // namespace overnight::workers
