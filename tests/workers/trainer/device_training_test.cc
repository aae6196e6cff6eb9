// Training on a GPU, in every line but the driver's: on the emulator's device, against the same training by the CPU.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/test_device.h"
#include "tests/workers/trainer/texts.h"
#include "workers/trainer/device_layout.h"
#include "workers/trainer/place.h"
#include "workers/trainer/training.h"

namespace overnight::workers {
namespace {

TrainingSettings small(const std::string& optimizer, const std::string& precision) {
  TrainingSettings settings;
  settings.model = {.depth = 1, .width = 16, .heads = 2, .context = 16, .mlp_ratio = 2};
  if (kernels::gpu_sized()) settings.model = {.depth = 2, .width = 128, .heads = 2, .context = 128};
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
  TEST_DEVICE(device);
  TrainingSettings settings = small(GetParam(), "bfloat16");
  settings.optimizer.clip = 0.5;
  const std::vector<double> cpu = losses_on(settings, nullptr), mixed = losses_on(settings, &device);
  settings.precision = "float";
  const std::vector<double> floats = losses_on(settings, &device);
  for (std::size_t i = 0; i < cpu.size(); ++i) {
    EXPECT_NEAR(mixed[i], cpu[i], 0.01 * cpu[i]) << i;
    EXPECT_NEAR(floats[i], cpu[i], 1e-4 * cpu[i]) << i;
  }
  EXPECT_LT(cpu.back(), cpu.front() - 1);
}

TEST(DeviceTraining, TakesABatchInPartsAndLeavesARunningMean) {
  TEST_DEVICE(device);
  TrainingSettings settings = small("adamw", "float");
  settings.steps = 5;
  settings.optimizer.ema = 0.9;
  settings.lanes = 2;
  const Texts texts("device", 4);
  const Documents documents = *read_documents(texts.path());
  Training there(settings, documents, {}, &device), here(settings, documents);
  const auto losses = take_steps(there, settings), expected = take_steps(here, settings);
  for (std::size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], expected[i], 1e-4 * expected[i]) << i;
  for (std::size_t i = 0; i < here.graph().parameter_floats(); ++i)
    ASSERT_NEAR(there.parameters()[i], here.parameters()[i], 1e-3f) << i;
}

TEST(DeviceTraining, GoesOnFromAStateWithTheSameBits) {
  TEST_DEVICE(device);
  TrainingSettings settings = small("muon", "bfloat16");
  settings.steps = 4;
  const Texts texts("device", 4);
  const Documents documents = *read_documents(texts.path());
  Training whole(settings, documents, {}, &device), first(settings, documents, {}, &device),
      second(settings, documents, {}, &device);
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
  TEST_DEVICE(device);
  for (const auto& [optimizer, precision] :
       {std::pair{"adamw", "bfloat16"}, std::pair{"muon", "bfloat16"}, std::pair{"muon", "float"}}) {
    TrainingSettings settings = small(optimizer, precision);
    settings.model.depth = 2, settings.model.mixer = "A3";
    settings.model.chunk = settings.model.mamba_head = settings.model.state = 16;
    settings.model.value_embeddings = 1;
    settings.optimizer.ema = 0.5;
    const Texts texts("device", 4);
    const std::uint64_t before = device.facts().memory_free;
    const Training training(settings, *read_documents(texts.path()), {}, &device);
    const std::uint64_t taken = before - device.facts().memory_free;
    if (kernels::on_gpu) {  // whose driver takes whole pages, and memory of its own
      EXPECT_LT(taken, device_bytes(settings) + (std::uint64_t{1} << 30)) << optimizer;
    } else {
      EXPECT_EQ(taken, device_bytes(settings)) << optimizer;
    }
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
  TEST_DEVICE(device);
  TrainingSettings settings = small("muon", "bfloat16");
  const Texts texts("device", 4);
  Training training(settings, *read_documents(texts.path()), {}, &device);
  training.take_profile();
  training.step(0);
  double flops = 0;
  for (const ProfileLine& line : training.profile()) {
    EXPECT_GT(line.forward_seconds + line.backward_seconds, 0) << line.kind;
    EXPECT_GT(line.moved, 0) << line.kind;
    flops += line.flops;
  }
  EXPECT_NEAR(flops, plan_of(settings).flops_per_token * static_cast<double>(settings.batch * settings.model.context),
              1e-6 * flops);
}

TEST(DeviceTraining, AStopBeforeAStepTakesNone) {
  TEST_DEVICE(device);
  const TrainingSettings settings = small("adamw", "float");
  const Texts texts("device", 4);
  Training training(settings, *read_documents(texts.path()), {}, &device);
  std::atomic<bool> stop = true;
  EXPECT_FALSE(training.step(0, &stop));
  EXPECT_TRUE(training.step(0));
}

// What is decided about a GPU, whatever it is: how many lanes, and a refusal in words where it is too small.
TEST(Place, OfATrainingIsSettledByTheMemoryThatIsFree) {
  const std::uint64_t driver = std::uint64_t{256} << 20;
  TrainingSettings settings = small("adamw", "bfloat16");
  settings.lanes = 0, settings.threads = 2;
  const std::uint64_t needed = [&] {
    TrainingSettings one = settings;
    one.lanes = 1;
    return device_bytes(one);
  }();
  TrainingSettings fits = settings, halves = settings, none = settings, on_cpu = settings;
  // In all, and free: the driver takes some of the first, and some more later.
  const auto facts = [&](std::uint64_t memory, std::uint64_t free) {
    return kernels::DeviceFacts{.memory = memory + 4 * driver, .memory_free = free + driver};
  };
  const auto enough = facts(needed, needed), less = facts(needed - 1, needed), little = facts(1000, 1000),
             taken_by_others = facts(needed, needed - 1);
  ASSERT_TRUE(take_place(fits, &enough));
  EXPECT_EQ(fits.device, "cuda");
  EXPECT_EQ(fits.lanes, 1);
  EXPECT_EQ(fits.threads, 1);
  ASSERT_TRUE(take_place(halves, &less));
  EXPECT_EQ(halves.lanes, 2);
  TrainingSettings others = settings;
  EXPECT_FALSE(take_place(others, &taken_by_others)) << "lanes go by what there is, not by what is free now";
  const auto refused = take_place(none, &little);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("with 2 lanes, and 0.0 GiB are free"), std::string::npos) << refused.error();
  ASSERT_TRUE(take_place(on_cpu, nullptr));
  EXPECT_EQ(on_cpu.device, "cpu");
  EXPECT_EQ(on_cpu.threads, 2);
}

TEST(Place, ThatIsAskedForAndNotThereIsSaid) {
  if (kernels::open_device().device != nullptr) GTEST_SKIP() << "there is a GPU here";
  TrainingSettings settings = small("adamw", "bfloat16");
  settings.device = "cuda";
  const auto place = find_place(settings, 0.01);
  ASSERT_FALSE(place);
  EXPECT_NE(place.error().find("there is no GPU to train on: "), std::string::npos);
  settings.device = "auto";
  const auto cpu = find_place(settings, 0.01);
  ASSERT_TRUE(cpu);
  EXPECT_EQ(settings.device, "cpu");
  EXPECT_GT(cpu->flops, 0);
}

}  // namespace
}  // namespace overnight::workers
