// The real keeper with the real meter; the driver is a library of our own that answers from a file (tests/fakes).
#include "workers/keeper/gpu_meter.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_driver.h"
#include "tests/workers/keeper/kept_attempt.h"

namespace overnight::workers {
namespace {

class Driver {
 public:
  explicit Driver(const std::string& gpus) : fake_(folder_.path(), gpus) {}
  std::string environment() const { return "LD_LIBRARY_PATH=" + fake_.folder(); }
  // A task that ends a little after the driver was asked for the first time.
  std::string task() const { return fake_.until_asked() + "echo loss: 1"; }

 private:
  Folder folder_;
  FakeDriver fake_;
};

Receipt metered(const Driver& driver, const std::string& script, const std::string& mechanism = {}) {
  KeptAttempt attempt(script);
  attempt.order.gpus = {"GPU-2"};
  attempt.environment = {driver.environment()};
  attempt.mechanism = mechanism;
  Receipt receipt = *attempt.run().receipt;
  EXPECT_EQ(receipt.cause, Cause::completed) << receipt.detail;
  EXPECT_EQ(receipt.survivors, 0);
  return receipt;
}

GpuUse only_use(const Receipt& receipt) {
  EXPECT_EQ(receipt.phases.size(), 1u);
  EXPECT_EQ(receipt.phases.at(0).gpus.size(), 1u);
  return receipt.phases.at(0).gpus.at(0);
}

GpuUse unknown_use() {
  GpuUse use;
  use.uuid = "GPU-2";
  return use;
}

TEST(GpuMeter, TellsWhatTheGpuOfTheAttemptDid) {
  const std::string gpus(
      "GPU-1 H200 reasons=0x40\nGPU-2 H200 reasons=0x1,0x4 power_limit=500000 energy=1000+70 sm_clock=1200 "
      "memory=77\n");
  for (const char* mechanism : {"", "subreaper"}) {
    const Driver driver(gpus);
    const GpuUse use = only_use(metered(driver, driver.task(), mechanism));
    EXPECT_EQ(use.uuid, "GPU-2");
    EXPECT_GT(use.judged_ms, 0) << "a first sample, and a last one at the end of the phase";
    EXPECT_EQ(use.slowed_ms, use.judged_ms);
    EXPECT_EQ(use.slowed_by, std::vector<std::string>{"software power cap"});
    EXPECT_GE(use.energy_mj, 70);
    EXPECT_EQ(use.energy_mj % 70, 0);
    EXPECT_FALSE(use.energy_from_power);
    EXPECT_EQ(use.clock_min_mhz, 1200);
    EXPECT_EQ(use.memory_peak_bytes, 77);
  }
}

TEST(GpuMeter, OfAGpuWithoutACounterTellsTheEnergyByItsPower) {
  const Driver driver("GPU-2 RTX unsupported=energy,memory power=100000\n");
  const GpuUse use = only_use(metered(driver, driver.task()));
  EXPECT_TRUE(use.energy_from_power);
  EXPECT_EQ(use.energy_mj, 100 * use.energy_ms);
  EXPECT_EQ(use.memory_peak_bytes, -1);
  EXPECT_EQ(use.slowed_ms, 0);
  EXPECT_GT(use.judged_ms, 0);
}

TEST(GpuMeter, AGpuThatIsLostInTheMiddleFailsNothing) {
  const Driver driver("GPU-2 H200 lost_after=1\n");
  const GpuUse use = only_use(metered(driver, driver.task()));
  EXPECT_EQ(use.judged_ms, 0);
  EXPECT_EQ(use.energy_mj, -1);
}

TEST(GpuMeter, WhatCannotBeAskedIsUnknownAndFailsNothing) {
  EXPECT_EQ(only_use(metered(Driver("GPU-1 H200\n"), "echo loss: 1")), unknown_use()) << "another GPU";
  EXPECT_EQ(only_use(metered(Driver(""), "echo loss: 1")), unknown_use());
}

TEST(GpuMeter, ADriverThatNeverAnswersHoldsNothingUp) {
  for (const char* mechanism : {"", "subreaper"}) {
    const Receipt receipt = metered(Driver("GPU-2 H200 hang=1\n"), "echo loss: 1", mechanism);
    EXPECT_EQ(only_use(receipt), unknown_use());
    EXPECT_LT(receipt.took_ms, 10'000);
  }
}

TEST(GpuMeter, WithoutADriverEachGpuIsUnknown) {
  KeptAttempt attempt("echo loss: 1");
  attempt.order.gpus = {"GPU-1", "GPU-2"};
  const Receipt receipt = *attempt.run().receipt;
  ASSERT_EQ(receipt.phases.at(0).gpus.size(), 2u);
  EXPECT_EQ(receipt.phases[0].gpus[1], unknown_use());
}

TEST(GpuMeter, WithoutGpusNothingIsTold) {
  KeptAttempt attempt("echo loss: 1");
  EXPECT_TRUE(attempt.run().receipt->phases.at(0).gpus.empty());
}

}  // namespace
}  // namespace overnight::workers
