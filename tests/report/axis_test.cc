#include "orchestrator/report/axis.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace overnight::report {
namespace {

TEST(LinearAxis, HasRoundTicksWithinItsRange) {
  const Axis axis = Axis::linear(0.93, 1.17, 300, 0, 5);
  ASSERT_GE(axis.ticks().size(), 3u);
  EXPECT_EQ(axis.ticks().front().label, "0.95");
  for (const Tick& tick : axis.ticks()) EXPECT_TRUE(axis.holds(tick.value)) << tick.label;
  EXPECT_DOUBLE_EQ(axis.at(0.93), 300);
  EXPECT_DOUBLE_EQ(axis.at(1.17), 0);
}

TEST(LinearAxis, OfOneValueIsWidened) {
  for (const double value : {0.0, 3.0, -2e-8, 1e12}) {
    const Axis axis = Axis::linear(value, value, 0, 100);
    EXPECT_TRUE(std::isfinite(axis.at(value)));
    EXPECT_GT(axis.high(), axis.low());
    EXPECT_FALSE(axis.ticks().empty()) << value;
  }
}

TEST(LogarithmicAxis, HasDecades) {
  const Axis axis = Axis::logarithmic(1e-4, 1, 0, 400);
  ASSERT_EQ(axis.ticks().size(), 5u);
  EXPECT_EQ(axis.ticks()[0].label, "1e-04");
  EXPECT_EQ(axis.ticks()[1].label, "0.001");
  EXPECT_DOUBLE_EQ(axis.at(0.01), 200);
}

TEST(LogarithmicAxis, SaysThousandsAndMillionsShortly) {
  const Axis axis = Axis::logarithmic(1e4, 1e9, 0, 400);
  std::vector<std::string> labels;
  for (const Tick& tick : axis.ticks()) labels.push_back(tick.label);
  EXPECT_EQ(labels, (std::vector<std::string>{"10000", "100k", "1M", "10M", "100M", "1G"}));
}

TEST(LogarithmicAxis, HasTicksEvenWithinADecade) {
  EXPECT_GE(Axis::logarithmic(0.31, 0.38, 0, 100).ticks().size(), 2u);
  EXPECT_LE(Axis::logarithmic(1e-30, 1e30, 0, 100).ticks().size(), 8u);
}

TEST(ElapsedAxis, HasRoundLengthsOfTime) {
  EXPECT_EQ(Axis::elapsed(8 * 3'600'000, 0, 100).ticks()[1].label, "1 h");
  EXPECT_EQ(Axis::elapsed(90'000, 0, 100).ticks()[1].label, "15 s");
  for (const std::int64_t length :
       {std::int64_t{0}, std::int64_t{900}, std::int64_t{61'000}, std::int64_t{86'400'000} * 40})
    EXPECT_LE(Axis::elapsed(length, 0, 100).ticks().size(), 12u) << length;
}

}  // namespace
}  // namespace overnight::report
