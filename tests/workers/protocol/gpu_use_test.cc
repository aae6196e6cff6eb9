#include "workers/protocol/gpu_use.h"

#include <gtest/gtest.h>

namespace overnight::workers {
namespace {

GpuUse use(const std::string& uuid, std::int64_t judged_ms, std::int64_t slowed_ms) {
  GpuUse one;
  one.uuid = uuid;
  one.judged_ms = judged_ms;
  one.slowed_ms = slowed_ms;
  if (slowed_ms > 0) one.slowed_by = {"software power cap"};
  return one;
}

GpuUse used(std::int64_t mj, std::int64_t ms) {
  GpuUse one = use("G", ms, 0);
  one.energy_mj = mj;
  one.energy_ms = ms;
  return one;
}

TEST(GpuUse, SurvivesTheWayThroughJson) {
  GpuUse one = use("GPU-1", 1000, 500);
  one.energy_mj = 5, one.energy_ms = 900, one.energy_from_power = true;
  one.clock_samples = 2, one.clock_min_mhz = 1, one.clock_mean_mhz = 2, one.memory_peak_bytes = 3;
  const std::vector<GpuUse> uses{one, use("GPU-2", 0, 0)};
  const auto back = gpu_uses_from_json(to_json(uses));
  ASSERT_TRUE(back) << back.error().explain;
  EXPECT_EQ(*back, uses);
}

TEST(GpuUse, NumbersThatCannotBeAreRefused) {
  EXPECT_FALSE(gpu_uses_from_json(to_json({use("G", 1000, 1001)})));
  EXPECT_FALSE(gpu_uses_from_json(to_json({use("G", -1, 0)})));
  EXPECT_FALSE(gpu_uses_from_json(to_json({used(-2, 1000)})));
  EXPECT_FALSE(gpu_uses_from_json(to_json({used(INT64_MAX, 1000)})));
  EXPECT_FALSE(gpu_uses_from_json("{}"));
  EXPECT_FALSE(gpu_uses_from_json(std::string(gpu_uses_bytes_max + 1, ' ')));
}

TEST(GpuUse, ThrottledIsWhatWasSlowedForMoreThanASmallShare) {
  EXPECT_EQ(throttling_of({use("G", 1000, 50)}, 1000), Throttling::no);
  EXPECT_EQ(throttling_of({use("G", 1000, 51)}, 1000), Throttling::yes);
  EXPECT_EQ(throttling_of({use("G", 1000, 0), use("H", 1000, 60)}, 1000), Throttling::yes) << "one GPU is enough";
}

TEST(GpuUse, WhatWasNotSeenIsUnknownAndNeverNotThrottled) {
  EXPECT_EQ(throttling_of({}, 1000), Throttling::unknown);
  EXPECT_EQ(throttling_of({use("G", 0, 0)}, 1000), Throttling::unknown);
  EXPECT_EQ(throttling_of({use("G", 0, 0)}, 0), Throttling::unknown);
  EXPECT_EQ(throttling_of({use("G", 499, 0)}, 1000), Throttling::unknown);
  EXPECT_EQ(throttling_of({use("G", 500, 0)}, 1000), Throttling::no);
  EXPECT_EQ(throttling_of({use("G", 1000, 0), use("H", 0, 0)}, 1000), Throttling::unknown);
  EXPECT_EQ(throttling_of({use("G", 100, 90)}, 1000), Throttling::yes) << "what was seen was slowed";
  EXPECT_EQ(slowed_percent({use("G", 0, 0)}), -1);
}

TEST(GpuUse, PhasesOfAnAttemptAreAddedByGpu) {
  GpuUse train = use("G", 1000, 0), evaluate = use("G", 500, 500);
  train.clock_samples = 3, train.clock_mean_mhz = 1000, train.clock_min_mhz = 900, train.memory_peak_bytes = 5;
  evaluate.clock_samples = 1, evaluate.clock_mean_mhz = 2000, evaluate.clock_min_mhz = 2000;
  train.energy_mj = 7, train.energy_ms = 1000;
  std::vector<GpuUse> sum;
  add_uses(sum, {train, use("H", 10, 0)});
  add_uses(sum, {evaluate});
  ASSERT_EQ(sum.size(), 2u);
  EXPECT_EQ(sum[0].judged_ms, 1500);
  EXPECT_EQ(sum[0].slowed_ms, 500);
  EXPECT_EQ(sum[0].clock_mean_mhz, 1250);
  EXPECT_EQ(sum[0].clock_min_mhz, 900);
  EXPECT_EQ(sum[0].memory_peak_bytes, 5);
  EXPECT_EQ(sum[0].energy_mj, 7) << "unknown is not added";
  EXPECT_EQ(slowed_by(sum), std::vector<std::string>{"software power cap"});
  EXPECT_EQ(slowed_percent(sum), 33);
}

TEST(GpuUse, EnergyIsCompleteOnlyIfEachGpuToldItNearlyAllTheTime) {
  EXPECT_EQ(energy_of({used(5, 900), used(7, 1000)}, 1000), (GpuEnergy{12, true}));
  EXPECT_EQ(energy_of({used(5, 899), used(7, 1000)}, 1000), (GpuEnergy{12, false}));
  EXPECT_EQ(energy_of({used(5, 1000), use("H", 1000, 0)}, 1000), (GpuEnergy{5, false}));
  EXPECT_EQ(energy_of({use("H", 1000, 0)}, 1000), (GpuEnergy{-1, false}));
  EXPECT_EQ(energy_of({}, 1000), (GpuEnergy{-1, false}));
}

}  // namespace
}  // namespace overnight::workers
