#include "workers/trainer/schedule.h"

#include <gtest/gtest.h>

namespace overnight::workers {
namespace {

TEST(Schedule, RisesStaysAndFalls) {
  const Schedule schedule{.warmup = 0.1, .warmdown = 0.5, .floor = 0.2};
  EXPECT_NEAR(schedule.at(0.05), 0.5, 1e-12);
  EXPECT_EQ(schedule.at(0.3), 1);
  EXPECT_NEAR(schedule.at(0.75), 0.6, 1e-12);
  EXPECT_NEAR(schedule.at(1), 0.2, 1e-12);
}

TEST(Schedule, IsNeverNothingAndTakesAnyProgress) {
  const Schedule schedule;
  for (const double progress : {-1.0, 0.0, 1.0, 7.0}) EXPECT_GT(schedule.at(progress), 0) << progress;
  EXPECT_EQ((Schedule{.warmup = 0, .warmdown = 0}.at(0.9)), 1);
}

}  // namespace
}  // namespace overnight::workers
