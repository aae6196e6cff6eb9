// What every clock promises, asked of the fake and of the real one.
#include <gtest/gtest.h>

#include "orchestrator/cli/real_clock.h"
#include "tests/fakes/fake_clock.h"

namespace overnight::contract_tests {
namespace {

void never_goes_back(const ports::Clock& clock) {
  budgets::Moment last = clock.now();
  for (int i = 0; i < 1000; ++i) {
    const budgets::Moment now = clock.now();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(ClockContract, TheBootClockNeverGoesBackAndTheWallIsOfOurTime) {
  const cli::RealClock real;
  never_goes_back(real);
  EXPECT_GT(real.wall(), budgets::WallTime::at(1'600'000'000'000));
  fakes::FakeClock fake;
  never_goes_back(fake);
  EXPECT_GT(fake.wall(), budgets::WallTime::at(1'600'000'000'000));
}

TEST(ClockContract, TheFakeMovesOnlyWhenTold) {
  fakes::FakeClock fake;
  const budgets::Moment before = fake.now();
  fake.advance(budgets::seconds(5));
  EXPECT_EQ(fake.now() - before, budgets::seconds(5));
  const budgets::WallTime wall = fake.wall();
  fake.reboot();
  EXPECT_EQ(fake.now(), budgets::Moment::at(0)) << "a boot begins at 0";
  EXPECT_EQ(fake.wall(), wall) << "the wall goes on";
}

}  // namespace
}  // namespace overnight::contract_tests
