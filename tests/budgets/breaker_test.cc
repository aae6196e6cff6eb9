#include "budgets/governor/breaker.h"

#include <gtest/gtest.h>

namespace overnight::budgets {
namespace {

using enum Outcome;

// Tells all outcomes; returns what tripped at the last.
std::optional<Trip> tell(Breakers& breakers, const BreakerSettings& settings, const std::vector<Outcome>& outcomes) {
  std::optional<Trip> last;
  for (const Outcome outcome : outcomes) last = observe_outcome(breakers, settings, outcome);
  return last;
}

// Only the named breakers are left on.
BreakerSettings only(std::int64_t consecutive, std::int64_t rate_percent, std::int64_t not_finite) {
  BreakerSettings settings;
  settings.consecutive_crashes = consecutive;
  settings.crash_rate_percent = rate_percent;
  settings.not_finite_count = not_finite;
  return settings;
}

TEST(Breaker, FiveCrashesInARowTripAndFourDoNot) {
  Breakers breakers;
  EXPECT_FALSE(tell(breakers, {}, {crashed, crashed, crashed, crashed}));
  const auto trip = observe_outcome(breakers, {}, crashed);
  ASSERT_TRUE(trip);
  EXPECT_EQ(*trip, (Trip{"consecutive_crashes", TripLevel::hold, "5 trials in a row failed"}));
}

TEST(Breaker, OneThatOnlyTakesNotesIsToldOnceUntilAllIsWellAgain) {
  Breakers breakers;
  BreakerSettings settings = only(3, 0, 0);
  settings.on_consecutive_crashes = TripLevel::note;
  EXPECT_TRUE(tell(breakers, settings, {crashed, crashed, crashed}));
  EXPECT_FALSE(observe_outcome(breakers, settings, crashed));
  EXPECT_FALSE(observe_outcome(breakers, settings, crashed));
  EXPECT_TRUE(tell(breakers, settings, {good, crashed, crashed, crashed}));
}

TEST(Breaker, AGoodTrialBeginsTheCountAnew) {
  Breakers breakers;
  EXPECT_FALSE(
      tell(breakers, only(5, 0, 0), {crashed, crashed, crashed, crashed, good, crashed, crashed, crashed, crashed}));
}

TEST(Breaker, HalfOfTheLastTwentyTripsAndLessDoesNot) {
  Breakers breakers;
  std::vector<Outcome> nine_of_twenty(11, good);
  nine_of_twenty.insert(nine_of_twenty.end(), 9, crashed);
  EXPECT_FALSE(tell(breakers, only(0, 50, 0), nine_of_twenty));
  const auto trip = observe_outcome(breakers, only(0, 50, 0), crashed);  // the oldest good one leaves the window
  ASSERT_TRUE(trip);
  EXPECT_EQ(trip->breaker, "crash_rate");
  EXPECT_EQ(trip->reason, "10 of the last 20 trials failed");
}

TEST(Breaker, ACrashRateNeedsTenTrialsToMeanAnything) {
  Breakers breakers;
  EXPECT_FALSE(tell(breakers, only(0, 50, 0), std::vector<Outcome>(9, crashed)));
  EXPECT_TRUE(observe_outcome(breakers, only(0, 50, 0), crashed));
}

TEST(Breaker, ThreeOfFiveNotFiniteTripAndTwoDoNot) {
  Breakers breakers;
  EXPECT_FALSE(tell(breakers, only(0, 0, 3), {not_finite, good, not_finite, good, good}));
  EXPECT_FALSE(observe_outcome(breakers, only(0, 0, 3), not_finite)) << "the first has left the window";
  EXPECT_TRUE(observe_outcome(breakers, only(0, 0, 3), not_finite));
  EXPECT_EQ(breakers.tripped->breaker, "not_finite");
}

TEST(Breaker, OneThatOnlyTakesNotesDoesNotHideOneThatStops) {
  BreakerSettings settings;
  settings.on_not_finite = TripLevel::note;
  Breakers breakers;
  const auto trip = tell(breakers, settings, std::vector<Outcome>(5, not_finite));
  ASSERT_TRUE(trip);
  EXPECT_EQ(trip->breaker, "consecutive_crashes");
  EXPECT_EQ(trip->level, TripLevel::hold);
}

TEST(Breaker, TrippedItIsSilentUntilResetUnlessSomethingHarderComes) {
  BreakerSettings settings = only(2, 100, 0);
  settings.crash_rate_minimum = 4;
  settings.on_crash_rate = TripLevel::kill;
  Breakers breakers;
  EXPECT_TRUE(tell(breakers, settings, {crashed, crashed}));
  EXPECT_FALSE(observe_outcome(breakers, settings, crashed));
  const auto harder = observe_outcome(breakers, settings, crashed);
  ASSERT_TRUE(harder);
  EXPECT_EQ(harder->level, TripLevel::kill);
  reset(breakers);
  EXPECT_FALSE(observe_outcome(breakers, settings, crashed)) << "what comes after a reset is judged afresh";
  EXPECT_TRUE(observe_outcome(breakers, settings, crashed));
}

TEST(Breaker, StagnationIsToldOnceAndAgainAfterAGain) {
  BreakerSettings settings;
  settings.stagnation_experiments = 3;
  Breakers breakers;
  const auto tell_gain = [&](bool gained) { return observe_experiment(breakers, settings, gained); };
  EXPECT_FALSE(tell_gain(false) || tell_gain(false));
  const auto trip = tell_gain(false);
  ASSERT_TRUE(trip);
  EXPECT_EQ(trip->level, TripLevel::note);
  EXPECT_FALSE(tell_gain(false)) << "told once";
  EXPECT_FALSE(tell_gain(true) || tell_gain(false) || tell_gain(false));
  EXPECT_TRUE(tell_gain(false));
}

TEST(Breaker, AResetDoesNotForgetThatThereWasNoGain) {
  BreakerSettings settings;
  settings.stagnation_experiments = 3;
  Breakers breakers;
  observe_experiment(breakers, settings, false);
  observe_experiment(breakers, settings, false);
  reset(breakers);
  EXPECT_TRUE(observe_experiment(breakers, settings, false));
}

TEST(Breaker, FiveUselessAsksInARowTripAndAUsefulOneBeginsAnew) {
  Breakers breakers;
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(observe_proposer(breakers, {}, false));
  EXPECT_FALSE(observe_proposer(breakers, {}, true));
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(observe_proposer(breakers, {}, false));
  EXPECT_EQ(observe_proposer(breakers, {}, false)->breaker, "proposer_faults");
}

TEST(Breaker, AZeroSwitchesItOff) {
  BreakerSettings settings = only(0, 0, 0);
  settings.stagnation_experiments = 0;
  settings.proposer_faults = 0;
  Breakers breakers;
  for (int i = 0; i < 50; ++i) {
    EXPECT_FALSE(observe_outcome(breakers, settings, i % 2 == 0 ? crashed : not_finite));
    EXPECT_FALSE(observe_experiment(breakers, settings, false));
    EXPECT_FALSE(observe_proposer(breakers, settings, false));
  }
}

TEST(Breaker, LevelsHaveNamesThatReadBack) {
  using enum TripLevel;
  for (const TripLevel level : {note, throttle, hold, drain, kill, lock})
    EXPECT_EQ(trip_level_named(name_of(level)), level);
  EXPECT_FALSE(trip_level_named("pause"));
}

}  // namespace
}  // namespace overnight::budgets
