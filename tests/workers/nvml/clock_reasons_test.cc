#include "workers/nvml/clock_reasons.h"

#include <gtest/gtest.h>

namespace overnight::workers {
namespace {

using Words = std::vector<std::string>;

TEST(ClockReasons, AreToldInWordsInTheOrderOfTheirBits) {
  EXPECT_EQ(words_of(0), Words{});
  EXPECT_EQ(words_of(0x84), (Words{"software power cap", "hardware power brake"}));
  EXPECT_EQ(words_of(0x1ff).size(), 9u);
}

TEST(ClockReasons, ThatSlowAreAllButIdleAndWhatSomebodySetOnPurpose) {
  EXPECT_EQ(slowing(gpu_idle | applications_clocks_setting | display_clocks_setting, false), 0u);
  for (const ClockReasons reason : {0x4, 0x8, 0x10, 0x20, 0x40, 0x80}) EXPECT_EQ(slowing(reason, false), reason);
}

TEST(ClockReasons, TheCapOfAGpuWithAllItsPowerIsItsSpeed) {
  EXPECT_EQ(slowing(software_power_cap, true), 0u);
  for (const ClockReasons reason : {0x8, 0x10, 0x20, 0x40, 0x80})
    EXPECT_EQ(slowing(reason | software_power_cap, true), reason);
}

TEST(ClockReasons, ThatWeDoNotKnowSlowToo) {
  EXPECT_EQ(words_of(0x1004), (Words{"software power cap", "unknown reason 0x1000"}));
  EXPECT_EQ(slowing(0x1001, true), 0x1000u);
}

}  // namespace
}  // namespace overnight::workers
