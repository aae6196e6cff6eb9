#include "workers/gpu_meter/gpu_tally.h"

#include <gtest/gtest.h>

namespace overnight::workers {
namespace {

using Words = std::vector<std::string>;

GpuSample at(std::int64_t ms, ClockReasons reasons) { return {ms, reasons, 1000 + ms / 10, {}, 1500, 7}; }

GpuUse tally(const std::vector<GpuSample>& samples) {
  GpuTally tally("GPU-1");
  for (const GpuSample& sample : samples) tally.add(sample);
  return tally.so_far();
}

TEST(GpuTally, WithoutASampleKnowsNothing) {
  GpuUse nothing;
  nothing.uuid = "GPU-1";
  EXPECT_EQ(tally({}), nothing);
  EXPECT_EQ(nothing.energy_mj, -1);
  EXPECT_EQ(tally({at(5000, 0)}).judged_ms, 0) << "one moment is no time";
}

TEST(GpuTally, ASampleStandsForTheTimeSinceTheOneBefore) {
  const GpuUse use = tally({at(0, software_power_cap), at(1000, 0), at(2000, hardware_thermal_slowdown | gpu_idle),
                            at(2500, software_power_cap), at(3500, applications_clocks_setting)});
  EXPECT_EQ(use.judged_ms, 3500);
  EXPECT_EQ(use.slowed_ms, 1500);
  EXPECT_EQ(use.slowed_by, (Words{"software power cap", "hardware thermal slowdown"}));
}

TEST(GpuTally, AGpuAtItsPowerCapIsSlowedWhereItHasLessThanItsPower) {
  GpuSample full = at(1000, software_power_cap), hot = at(2000, software_power_cap | hardware_thermal_slowdown);
  full.full_power = hot.full_power = true;
  EXPECT_EQ(tally({at(0, 0), full}).slowed_ms, 0);
  EXPECT_EQ(tally({at(0, 0), full}).judged_ms, 1000);
  EXPECT_EQ(tally({at(0, 0), full, hot}).slowed_by, Words{"hardware thermal slowdown"});
}

TEST(GpuTally, ATimeThatWasNotSeenIsNotJudgedButACounterSawIt) {
  const GpuUse use = tally({at(0, 0), at(1000, 0), at(61'000, software_power_cap)});
  EXPECT_EQ(use.judged_ms, 1000);
  EXPECT_EQ(use.slowed_ms, 0);
  EXPECT_EQ(use.energy_mj, 6100);
  EXPECT_EQ(use.energy_ms, 61'000);
}

TEST(GpuTally, ADriverThatFailsInTheMiddleLeavesWhatItToldBefore) {
  const GpuUse use =
      tally({at(0, 0), at(1000, software_power_cap), {2000, {}, {}, {}, {}, {}}, {3000, {}, {}, {}, {}, {}}});
  EXPECT_EQ(use.judged_ms, 1000);
  EXPECT_EQ(use.slowed_ms, 1000);
  EXPECT_EQ(use.energy_mj, 100);
  EXPECT_EQ(use.energy_ms, 1000);
}

TEST(GpuTally, WithoutACounterSumsUpThePower) {
  const GpuUse use =
      tally({{0, 0, {}, 100'000, {}, {}}, {1000, 0, {}, 300'000, {}, {}}, {1500, 0, {}, 300'000, {}, {}}});
  EXPECT_EQ(use.energy_mj, 200'000 + 150'000);
  EXPECT_TRUE(use.energy_from_power);
  EXPECT_FALSE(tally({at(0, 0), at(1000, 0)}).energy_from_power);
  EXPECT_EQ(tally({{0, 0, {}, 1, {}, {}}, {60'000, 0, {}, 1, {}, {}}}).energy_mj, -1) << "nobody saw the power between";
}

TEST(GpuTally, ACounterThatBeganAnewTellsNothingOfThatTime) {
  const GpuUse use = tally({{0, 0, 900, {}, {}, {}}, {1000, 0, 5, {}, {}, {}}, {2000, 0, 25, {}, {}, {}}});
  EXPECT_EQ(use.energy_mj, 20);
  EXPECT_EQ(use.energy_ms, 1000);
}

TEST(GpuTally, TheClockCountsOnlyWhileThereIsWork) {
  const GpuUse use = tally({{0, gpu_idle, {}, {}, 345, 5}, {1, 0, {}, {}, 1980, 9}, {2, 0, {}, {}, 1500, 7}});
  EXPECT_EQ(use.clock_min_mhz, 1500);
  EXPECT_EQ(use.clock_mean_mhz, 1740);
  EXPECT_EQ(use.memory_peak_bytes, 9);
  EXPECT_EQ(tally({at(0, gpu_idle), at(1000, gpu_idle)}).clock_mean_mhz, -1);
}

TEST(GpuTally, WhereTheReasonsAreNotToldNothingIsJudged) {
  const GpuUse use = tally({{0, {}, 1, {}, 1500, {}}, {1000, {}, 2, {}, 1500, {}}});
  EXPECT_EQ(use.judged_ms, 0);
  EXPECT_EQ(throttling_of({use}, 1000), Throttling::unknown);
}

}  // namespace
}  // namespace overnight::workers
