#include "budgets/quantity.h"

#include <gtest/gtest.h>

#include "budgets/time.h"
#include "budgets/units.h"

namespace overnight::budgets {
namespace {

TEST(Quantity, AddsAndComparesOnlyWithItsOwnUnit) {
  EXPECT_EQ(Tokens::of(2) + Tokens::of(3), Tokens::of(5));
  EXPECT_LT(MicroUsd::of(1), MicroUsd::of(2));
}

TEST(QuantityDeathTest, ASumThatDoesNotFitIsABug) {
  EXPECT_DEATH((void)(Bytes::of(INT64_MAX) + Bytes::of(1)), "fits 64 bits");
}

TEST(Time, TwoMomentsDifferByALengthOfTime) {
  EXPECT_EQ(Moment::at(5000) - Moment::at(2000), seconds(3));
  EXPECT_EQ(Moment::at(5000) + seconds(1), Moment::at(6000));
}

}  // namespace
}  // namespace overnight::budgets
