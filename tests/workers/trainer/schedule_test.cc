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

TEST(Momentum, RisesOverStepsOrOverAShareOfTheTraining) {
  const Momentum by_steps;
  EXPECT_NEAR(by_steps.at(150, 0.9), 0.90, 1e-12);
  EXPECT_NEAR(by_steps.at(300, 0.0), 0.95, 1e-12);
  EXPECT_NEAR(by_steps.at(5000, 1.0), 0.95, 1e-12);
  const Momentum by_share{.rise = 0.2};
  EXPECT_NEAR(by_share.at(1, 0.1), 0.90, 1e-12);
  EXPECT_NEAR(by_share.at(1, 0.5), 0.95, 1e-12);
}

TEST(Momentum, FallsAtTheEndWhereItIsToldTo) {
  const Momentum momentum{.height = 0.97, .end = 0.9, .warmup_steps = 0, .fall = 0.5};
  EXPECT_NEAR(momentum.at(1, 0.5), 0.97, 1e-12);
  EXPECT_NEAR(momentum.at(1, 0.75), 0.935, 1e-12);
  EXPECT_NEAR(momentum.at(1, 7.0), 0.9, 1e-12);
}

}  // namespace
}  // namespace overnight::workers
