#include "workers/trainer/time_budget.h"

#include <gtest/gtest.h>

namespace overnight::workers {
namespace {

TEST(TimeBudget, InStepsEndsAfterThatManyHoweverLongTheyTake) {
  const TimeBudget budget{.steps = 10};
  EXPECT_EQ(budget.progress(5, 1e9), 0.5);
  EXPECT_FALSE(budget.over(9, 1e9, 100));
  EXPECT_TRUE(budget.over(10, 0, 0));
}

TEST(TimeBudget, InTimeKeepsAReserveForTheCheckpoint) {
  const TimeBudget budget{.seconds = 100};
  EXPECT_EQ(budget.reserve(), 2);
  EXPECT_EQ(budget.progress(7, 49), 0.5);
  EXPECT_FALSE(budget.over(7, 97, 0.1));
  EXPECT_TRUE(budget.over(7, 98, 0.1));
  EXPECT_GT((TimeBudget{.seconds = 0.1}.progress(1, 0.05)), 0) << "the reserve never eats the whole budget";
}

TEST(TimeBudget, TakesNoStepThatWouldEndTooLate) {
  const TimeBudget budget{.seconds = 100};
  EXPECT_TRUE(budget.over(3, 80, 20));
  EXPECT_FALSE(budget.over(3, 78, 20));
}

// The evaluator would otherwise score a model that has never seen a byte.
TEST(TimeBudget, TakesOneStepAtLeast) { EXPECT_FALSE((TimeBudget{.seconds = 1}.over(0, 5, 0))); }

// However large the first steps are made, their time counts, and the schedule has moved on with it.
TEST(TimeBudget, AFirstStepThatTakesAllTheTimeWasTheLast) {
  const TimeBudget budget{.seconds = 10};
  EXPECT_TRUE(budget.over(1, 1000, 1000));
  EXPECT_GE(budget.progress(1, 1000), 1);
  EXPECT_TRUE(budget.over(1, 6, 6)) << "a second step like it would end too late";
}

}  // namespace
}  // namespace overnight::workers
