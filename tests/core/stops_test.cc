// Halts, holds, breakers, retries and lost attempts: what is stopped, what goes on, and that nothing waits for ever.
#include <gtest/gtest.h>

#include "tests/core/home.h"

namespace overnight::core {
namespace {

Home searching(Study study, int slots = 1) {
  Home home(slots);
  home.start(study);
  home.score(home.all<Launch>()[0].attempt, 1.0);
  return home;
}

bool told(const Home& home, const std::string& words) {
  return std::any_of(home.notes.begin(), home.notes.end(),
                     [&](const Note& note) { return note.text.find(words) != std::string::npos; });
}

HomeOpened next_life(int epoch, int slots = 1) {
  HomeOpened opened;
  opened.epoch = Epoch{epoch};
  for (int i = 1; i <= slots; ++i) opened.slots.push_back({SlotId{i}, "cpu", {i - 1}, {}});
  return opened;
}

// Fails search trials, one after the other, until the run is held.
void crash_until_held(Home& home, Cause cause = Cause::crash) {
  for (int i = 0; !home.live().hold; ++i) {
    ASSERT_LT(i, 40);
    const double x = 0.3 + static_cast<double>(home.now) / 1e7;  // never the same twice: each failure takes a second
    if (!home.live().asks.empty()) home.offer({x, x + 1e-5});
    if (!home.live().attempts.empty()) home.fail(home.live().attempts.begin()->first, cause);
  }
}

// ---- the baseline ----

TEST(Stops, ABaselineThatOnlyReportsNaNFailsTheRunAtOnceAndDoesNotWaitInAHold) {
  Study study = small_study();
  study.evaluation.baseline_replicates = 3;
  Home home(1);
  home.start(study);
  for (int i = 0; i < 3; ++i) home.fail(home.all<Launch>().back().attempt, Cause::bad_metric);
  ASSERT_EQ(home.ended.size(), 1u);
  EXPECT_EQ(home.ended[0].end->kind, EndKind::failed);
}

// ---- breakers ----

TEST(Stops, ANaNStormHoldsTheRunBeforeTheCrashCountDoes) {
  Home home = searching(small_study());
  crash_until_held(home, Cause::bad_metric);
  EXPECT_EQ(home.live().hold->by, "breaker:not_finite");
  EXPECT_EQ(home.live().counts.failed.at(Cause::bad_metric), 3);
}

TEST(Stops, ACanaryThatFailsLeavesTheHoldToAPersonAndThenToItsPatience) {
  Home home = searching(small_study());
  crash_until_held(home);
  home.fail(home.all<Launch>().back().attempt);
  ASSERT_TRUE(home.live().hold);
  EXPECT_TRUE(home.live().hold->canary_failed);
  home.wait();
  EXPECT_EQ(home.live().end->kind, EndKind::tripped);
  EXPECT_TRUE(told(home, "held by breaker:consecutive_crashes"));
}

TEST(Stops, AProposerThatFailsIsHeldWithoutACanaryWhichCouldSayNothingOfIt) {
  Home home = searching(small_study());
  for (int i = 0; i < 100 && !home.live().hold; ++i) {
    while (home.live().asks.empty()) ASSERT_TRUE(home.wait());
    OffersArrived nothing{home.run, home.live().asks.begin()->first};
    nothing.failure = "the reply is no JSON";
    home.tell(nothing);
  }
  ASSERT_TRUE(home.live().hold);
  EXPECT_EQ(home.live().hold->by, "breaker:proposer_faults");
  EXPECT_NE(home.all<Launch>().back().purpose, Purpose::canary);
}

TEST(Stops, ThreeCanariesAreEnough) {
  Home home = searching(small_study());
  for (int i = 0; i < canaries_max; ++i) {
    crash_until_held(home);
    ASSERT_EQ(home.all<Launch>().back().purpose, Purpose::canary);
    home.score(home.all<Launch>().back().attempt, 1.0);
    ASSERT_FALSE(home.live().hold);
  }
  crash_until_held(home);
  EXPECT_NE(home.all<Launch>().back().purpose, Purpose::canary);
}

TEST(Stops, ABreakerThatTripsWhenNothingIsLeftToRunHoldsNothingAndRunsNoCanary) {
  Study study = small_study();
  study.governor.breakers.consecutive_crashes = 2;
  study.run_budget.experiments = budgets::Experiments::of(2);
  Home home = searching(study);
  home.offer({0.1, 0.2});
  home.fail(home.all<Launch>().back().attempt);
  home.fail(home.all<Launch>().back().attempt);
  EXPECT_TRUE(told(home, "breaker consecutive_crashes (hold)"));
  EXPECT_TRUE(told(home, "nothing is left that a hold would keep back"));
  EXPECT_NE(home.all<Launch>().back().purpose, Purpose::canary);
  ASSERT_EQ(home.ended.size(), 1u);
  EXPECT_EQ(home.ended[0].end->kind, EndKind::done);
}

TEST(Stops, ABreakerThatTripsBeforeTheBestAreConfirmedHoldsTheConfirmation) {
  Study study = small_study();
  study.governor.breakers.consecutive_crashes = 2;
  study.run_budget.experiments = budgets::Experiments::of(3);
  study.evaluation = {.baseline_replicates = 1, .confirm_replicates = 2, .confirm_top = 1};
  Home home = searching(study);
  home.offer({0.1, 0.2});
  home.score(home.all<Launch>().back().attempt, 0.5);
  home.fail(home.all<Launch>().back().attempt);
  home.offer({0.3});
  home.fail(home.all<Launch>().back().attempt);
  ASSERT_TRUE(home.live().hold);
  EXPECT_EQ(home.all<Launch>().back().purpose, Purpose::canary);
  home.score(home.all<Launch>().back().attempt, 1.0);
  EXPECT_EQ(home.all<Launch>().back().purpose, Purpose::confirm);
}

TEST(Stops, AHoldByAPersonIsNotLiftedByACanary) {
  Home home = searching(small_study());
  crash_until_held(home);
  home.tell(HoldRequested{home.run, "user:alice", "let me look"});
  home.score(home.all<Launch>().back().attempt, 1.0);
  ASSERT_TRUE(home.live().hold);
  EXPECT_EQ(home.live().hold->by, "user:alice");
  home.tell(ReleaseRequested{home.run, "user:alice", "the disk was full"});
  EXPECT_FALSE(home.live().hold);
}

TEST(Stops, AHoldStartsNothingAndLetsRunWhatRuns) {
  Home home = searching(small_study(), 2);
  home.offer({0.1, 0.2, 0.3});
  const std::size_t launched = home.all<Launch>().size();
  home.tell(HoldRequested{home.run, "user:alice", "wait"});
  EXPECT_TRUE(home.all<StopAttempt>().empty());
  home.score(home.all<Launch>()[1].attempt, 0.9);
  EXPECT_EQ(home.all<Launch>().size(), launched);
}

TEST(Stops, AHeldRunWhoseWallIsOverEndsThenAsPlannedAndSaysThatItWasHeld) {
  Study study = small_study();
  study.run_budget.wall = seconds(100);
  Home home = searching(study);
  home.tell(HoldRequested{home.run, "user:alice", "wait"});
  while (home.ended.empty() && home.wait()) {
  }
  ASSERT_EQ(home.ended.size(), 1u);
  EXPECT_EQ(home.ended[0].end->kind, EndKind::done);
  EXPECT_EQ(home.ended[0].end->reason,
            "the wall time is used up; for its last 1 min 39 s the run was held by user:alice (wait)");
  EXPECT_EQ(home.now, 100'000);
}

TEST(Stops, WhatTripsWhileARunDrainsDoesNotSilenceItsBreakersForEver) {
  Home home = searching(small_study());
  for (int i = 0; i < 4; ++i) {
    home.offer({0.1 + i * 0.01});
    home.fail(home.all<Launch>().back().attempt);
  }
  home.offer({0.2});
  home.tell(DrainRequested{home.run, "user:alice"});
  home.fail(home.all<Launch>().back().attempt);  // the fifth: it trips, and there is nothing to hold
  ASSERT_EQ(home.live().end->kind, EndKind::stopped);
  home.tell(RunResumed{home.run});
  crash_until_held(home);
  EXPECT_TRUE(home.live().hold);
}

TEST(Stops, StagnationIsANoteAndTheSearchGoesOn) {
  Study study = small_study();
  study.governor.breakers.stagnation_experiments = 3;
  Home home = searching(study);
  for (int i = 0; i < 3; ++i) {
    home.offer({0.1 + i * 0.01});
    home.score(home.all<Launch>().back().attempt, 2.0);
  }
  EXPECT_TRUE(told(home, "breaker stagnation (note): no gain in 3 experiments"));
  EXPECT_FALSE(home.live().hold);
}

TEST(Stops, ProposersThatAllFailTripAndTheRunEnds) {
  Home home = searching(small_study());
  for (int i = 0; i < 200 && !home.live().end; ++i) {
    if (!home.live().asks.empty()) {
      OffersArrived failed{home.run, home.live().asks.begin()->first};
      failed.failure = "connection refused";
      home.tell(failed);
    } else if (!home.live().attempts.empty()) {
      home.score(home.live().attempts.begin()->first, 1.0);  // canaries are healthy
    } else {
      ASSERT_TRUE(home.wait());
    }
  }
  ASSERT_TRUE(home.live().end);
  EXPECT_EQ(home.live().end->kind, EndKind::tripped);
}

// ---- slots ----

TEST(Stops, WithoutAUsableSlotTheRunIsHeldUntilThereIsOne) {
  Home home(1);
  home.tell(SlotChecked{SlotId{1}, false, "a foreign process uses GPU-1"});
  home.start(small_study());
  ASSERT_TRUE(home.live().hold);
  EXPECT_EQ(home.live().hold->reason, "no slot is usable: a foreign process uses GPU-1");
  home.tell(SlotChecked{SlotId{1}, true, ""});
  EXPECT_FALSE(home.live().hold);
  EXPECT_EQ(home.all<Launch>().size(), 1u);
}

TEST(Stops, WhenNoSlotComesBackTheRunEnds) {
  Home home = searching(small_study());
  home.tell(SlotChecked{SlotId{1}, false, "gone"});
  home.offer({0.1});
  while (!home.live().end && home.wait()) {
  }
  ASSERT_TRUE(home.live().end);
  EXPECT_EQ(home.live().end->kind, EndKind::tripped);
}

TEST(Stops, QueuedTrialsThatCanNoLongerEndInTimeAreDroppedThoughNoSlotIsFree) {
  Study study = small_study();
  study.run_budget.wall = seconds(60);
  Home home = searching(study, 2);
  home.offer({0.1, 0.2});
  home.offer({0.3, 0.4});
  ASSERT_EQ(home.live().attempts.size(), 2u);
  home.tell(TimePassed{}, 50'000);
  EXPECT_EQ(home.live().trials.size(), 2u);
  EXPECT_EQ(home.live().counts.dropped, 2);
}

TEST(Stops, ARetryWhoseBackOffEndsAfterTheWallIsDroppedAtOnce) {
  Study study = small_study();
  study.run_budget.wall = seconds(60);
  study.task.retries.crash = 1;
  study.task.retries.backoff = seconds(3600);
  Home home = searching(study);
  home.offer({0.1}, true);
  home.fail(home.all<Launch>().back().attempt);
  ASSERT_EQ(home.ended.size(), 1u);
  EXPECT_EQ(home.ended[0].end->kind, EndKind::done);
}

// ---- halts ----

TEST(Stops, AHaltOfADormantRunIsALatchThatResumeDoesNotLift) {
  Home home = searching(small_study());
  home.tell(DrainRequested{home.run, "user:alice"});
  home.tell(HaltRequested{home.run, "user:bob", "api", "no"});
  EXPECT_TRUE(home.live().latch);
  EXPECT_FALSE(home.live().halt);
  home.tell(RunResumed{home.run});
  EXPECT_FALSE(home.live().live);
}

TEST(Stops, AKillThatIsNotHeardIsRepeatedUntilTheAttemptIsGone) {
  Home home(1);
  home.start(small_study());
  home.tell(HaltRequested{home.run, "user:bob", "api", "no"});
  for (std::size_t kills = 2; kills < 5; ++kills) {
    home.wait();
    EXPECT_EQ(home.all<StopAttempt>().size(), kills);
    EXPECT_EQ(home.now, static_cast<std::int64_t>(kills - 1) * kill_allowance.count());
  }
}

TEST(Stops, AHaltThatIsNotConfirmedInTimeSaysSoAndGoesOn) {
  Home home(1);
  home.start(small_study());
  home.tell(HaltRequested{home.run, "user:bob", "api", "no"});
  home.tell(TimePassed{}, halt_confirm_within.count());
  EXPECT_TRUE(told(home, "halt unconfirmed: 1 attempts"));
  home.fail(home.all<Launch>()[0].attempt, Cause::stopped);
  EXPECT_TRUE(told(home, "halt confirmed"));
}

TEST(Stops, WhatNoKillEndsTripsTheRunAsAnOverrun) {
  Home home(1);
  home.start(small_study());
  home.tell(AttemptStarted{home.all<Launch>()[0].attempt});
  for (int i = 0; i <= chases_max; ++i) home.wait();
  ASSERT_TRUE(home.live().latch);
  EXPECT_EQ(home.live().latch->by, "breaker:overrun");
  EXPECT_EQ(home.live().pending_end->kind, EndKind::tripped);
}

TEST(Stops, ALaunchThatNeverStartsIsKilledAfterItsPatience) {
  Home home(1);
  home.start(small_study());
  home.wait();
  ASSERT_EQ(home.all<StopAttempt>().size(), 1u);
  EXPECT_EQ(home.now, start_patience.count() + 12'000);
}

TEST(Stops, ReleasingAHaltThatIsStillKillingDoesNotStopTheKilling) {
  Home home(1);
  home.start(small_study());
  home.tell(HaltRequested{home.run, "user:bob", "api", "no"});
  home.tell(ReleaseRequested{home.run, "user:bob", "changed my mind"});
  EXPECT_EQ(home.live().pending_end->kind, EndKind::halted);
  home.fail(home.all<Launch>()[0].attempt, Cause::stopped);
  EXPECT_EQ(home.live().end->kind, EndKind::halted);
  home.tell(RunResumed{home.run});
  EXPECT_TRUE(home.live().live);
}

TEST(Stops, ALostAttemptOfAHaltedRunRunsAgainWhenTheRunIsResumed) {
  Home home(1);
  home.start(small_study());
  home.tell(HaltRequested{home.run, "user:bob", "api", "no"});
  home.fail(home.all<Launch>()[0].attempt, Cause::infrastructure);
  home.tell(ReleaseRequested{home.run, "user:bob", "fine"});
  home.tell(RunResumed{home.run}, 10'000);
  EXPECT_EQ(home.all<Launch>().size(), 2u);
}

TEST(Stops, TheHomesLatchStartsNoRunAndResumesNone) {
  Home home = searching(small_study());
  home.tell(DrainRequested{home.run, "user:alice"});
  home.tell(HaltRequested{std::nullopt, "user:bob", "file", "all of it"});
  home.tell(RunResumed{home.run});
  EXPECT_FALSE(home.live().live);
  home.run = RunId{"run-2"};
  home.start(small_study());
  EXPECT_FALSE(home.state.runs.contains(home.run));
  home.tell(ReleaseRequested{std::nullopt, "user:bob", "fine"});
  home.start(small_study());
  EXPECT_TRUE(home.live().live);
}

TEST(Stops, ASecondDrainAStopAfterADrainAndAHaltAfterBothEachGoFurther) {
  Home home(1);
  home.start(small_study());
  home.tell(DrainRequested{home.run, "user:alice"});
  home.tell(DrainRequested{home.run, "user:alice"});
  EXPECT_TRUE(home.all<StopAttempt>().empty());
  home.tell(StopRequested{home.run, "user:alice"});
  EXPECT_EQ(home.all<StopAttempt>().size(), 1u);
  home.tell(HaltRequested{home.run, "user:alice", "api", "now"});
  EXPECT_EQ(home.all<StopAttempt>().size(), 1u) << "it is being killed already";
  home.fail(home.all<Launch>()[0].attempt, Cause::stopped);
  EXPECT_EQ(home.live().end->kind, EndKind::halted) << "the harder end counts";
}

TEST(Stops, AStopAfterADrainIsWhatTheRunEndsBy) {
  Home home(1);
  home.start(small_study());
  home.tell(DrainRequested{home.run, "user:alice"});
  home.tell(StopRequested{home.run, "user:bob"});
  home.fail(home.all<Launch>()[0].attempt, Cause::stopped);
  EXPECT_EQ(home.live().end->reason, "stopped by user:bob");
}

TEST(Stops, WhatASofterEndAddsToAHarderOneIsWrittenToo) {
  for (const bool drain : {true, false}) {
    Home home(1);
    home.start(small_study());
    home.tell(HaltRequested{home.run, "user:bob", "api", "no"});
    if (drain) home.tell(DrainRequested{home.run, "user:alice"});
    if (!drain) home.tell(StopRequested{home.run, "user:alice"});
    EXPECT_TRUE(home.live().draining);
    EXPECT_TRUE(home.changes.touched.contains({home.run, RunPart::status}));
    home.fail(home.all<Launch>()[0].attempt, Cause::stopped);
    EXPECT_EQ(home.live().end->kind, EndKind::halted);
  }
}

TEST(Stops, WhatIsEnqueuedWhileARunEndsIsRefusedAloud) {
  Home home(1);
  home.start(small_study());
  home.tell(DrainRequested{home.run, "user:alice"});
  home.tell(Enqueued{home.run, {{{{"x", 0.7}}, "", {}}}, "user:alice"});
  EXPECT_EQ(home.notes.back().text, "user:alice enqueued too late: the run is ending");
}

TEST(Stops, AHoldBehindWhichNothingWaitsEndsAtOnce) {
  Study study = small_study();
  study.run_budget.experiments = budgets::Experiments::of(3);
  study.evaluation = {.baseline_replicates = 1, .confirm_replicates = 2, .confirm_top = 2};
  Home home = searching(study);
  home.offer({0.1, 0.2, 0.3});
  for (int i = 0; i < 2; ++i) home.fail(home.live().attempts.begin()->first);
  home.tell(HoldRequested{home.run, "user:alice", "wait"});
  home.fail(home.live().attempts.begin()->first);
  ASSERT_EQ(home.ended.size(), 1u) << "a release could let nothing go on";
  EXPECT_EQ(home.ended[0].end->kind, EndKind::done);
  EXPECT_NE(home.ended[0].end->reason.find("held by user:alice"), std::string::npos) << home.ended[0].end->reason;
}

// ---- retries and lives ----

TEST(Stops, ALifeThatWasCutOffIsChargedForWhatItCanHaveLeftUnsaid) {
  const auto charged = [](std::int64_t gap_ms, const std::string& boot) {
    Home home(1);
    home.start(small_study());
    home.tell(TimePassed{}, 1000);
    HomeOpened opened;
    opened.epoch = Epoch{2};
    opened.boot = boot;
    opened.slots.push_back({SlotId{1}, "cpu", {0}, {}});
    home.tell(opened, gap_ms);
    return home.live().wall_used.count() - 1000;
  };
  EXPECT_EQ(charged(300, ""), 300) << "no more than has passed";
  EXPECT_EQ(charged(60'000, ""), wall_unsaid_max.count()) << "nor than a life leaves unsaid";
  EXPECT_EQ(charged(300, "another boot"), wall_unsaid_max.count()) << "nobody knows what has passed";
}

TEST(Stops, WhatWaitsForItsNextAttemptIsQueuedAndNotRunning) {
  Study study = small_study();
  study.task.retries.crash = 1;
  Home home = searching(study);
  home.offer({0.1});
  EXPECT_EQ(home.experiments.back().status, "running");
  home.fail(home.all<Launch>().back().attempt);
  EXPECT_EQ(home.experiments.back().status, "queued");
  ASSERT_TRUE(home.wait());
  EXPECT_EQ(home.experiments.back().status, "running");
}

TEST(Stops, EachCauseIsRetriedAsOftenAsItsOwnLimitSaysAndTheBackOffDoubles) {
  const std::map<Cause, std::int64_t> limits{
      {Cause::crash, 2},         {Cause::timeout, 1},      {Cause::out_of_memory, 3}, {Cause::infrastructure, 2},
      {Cause::lease_lost, 2},    {Cause::no_metric, 0},    {Cause::bad_metric, 0},    {Cause::out_of_disk, 0},
      {Cause::process_limit, 0}, {Cause::launch_failed, 0}};
  for (const auto& [cause, limit] : limits) {
    Study study = small_study();
    study.task.retries = {.crash = 2, .infrastructure = 2, .timeout = 1, .out_of_memory = 3, .backoff = seconds(5)};
    Home home(1);
    home.start(study);
    std::int64_t wait = 5000;
    for (std::int64_t i = 0; i < limit; ++i, wait *= 2) {
      home.fail(home.all<Launch>().back().attempt, cause);
      const std::int64_t failed_at = home.now;
      ASSERT_TRUE(home.wait());
      EXPECT_EQ(home.now - failed_at, wait) << workers::name_of(cause);
    }
    EXPECT_EQ(home.all<Launch>().size(), static_cast<std::size_t>(limit) + 1) << workers::name_of(cause);
    home.fail(home.all<Launch>().back().attempt, cause);
    EXPECT_EQ(home.ended.size(), 1u) << workers::name_of(cause);
  }
}

TEST(Stops, ADisturbedTrialRunsAgainABoundedNumberOfTimesAndThenItsScoreCounts) {
  Home home(1);
  home.start(small_study());
  for (std::int64_t i = 0; i <= disturbed_retries_max; ++i) {
    AttemptGone gone{home.all<Launch>().back().attempt};
    gone.cause = Cause::completed;
    gone.score = 1.0;
    gone.took = seconds(1);
    gone.disturbed = true;
    home.tell(gone, 1000);
    if (i < disturbed_retries_max) home.wait();
  }
  EXPECT_EQ(home.live().counts.disturbed, disturbed_retries_max);
  EXPECT_EQ(home.live().baseline->search.n, 1);
}

TEST(Stops, AnAttemptOfAnEarlierLifeThatWasToldToStopIsToldAgain) {
  Home home(1);
  home.start(small_study());
  home.tell(HaltRequested{home.run, "user:bob", "api", "no"});
  home.actions.clear();
  home.tell(next_life(2));
  EXPECT_EQ(home.all<StopAttempt>().size(), 1u) << "whether the first one was heard is not known";
}

TEST(Stops, AnAttemptOfAnEarlierLifeThatIsAdoptedAndNeverEndsIsKilled) {
  Home home(1);
  home.start(small_study());
  home.tell(next_life(2));
  home.tell(RunResumed{home.run});
  home.wait();
  EXPECT_EQ(home.all<StopAttempt>().size(), 1u);
}

TEST(Stops, ASeventeenthUnfinishedRunAbandonsTheOldestThatNobodyWorksOn) {
  Home home(1);
  for (std::size_t i = 0; i <= runs_live_max; ++i) {
    home.run = RunId{"run-" + std::to_string(i)};
    home.start(small_study());
    if (i < runs_live_max) home.tell(StopRequested{home.run, "user:alice"});
    if (!home.live().attempts.empty() && i < runs_live_max)
      home.fail(home.live().attempts.begin()->first, Cause::stopped);
  }
  EXPECT_EQ(home.state.runs.size(), runs_live_max);
  ASSERT_EQ(home.ended.size(), 1u);
  EXPECT_EQ(home.ended[0].id.text, "run-0");
  EXPECT_EQ(home.ended[0].end->kind, EndKind::abandoned);
  EXPECT_TRUE(told(home, "abandoned: more unfinished runs than a home keeps"));
}

TEST(Stops, AProposersClaimsBelowZeroAndOfForeignKindsAreNotSettled) {
  Home home(1);
  home.tell(RunStarted{home.run,
                       small_study(),
                       WallTime::never(),
                       {{.actions = budgets::Actions::of(1), .tokens = budgets::Tokens::of(10)}}});
  home.score(home.all<Launch>()[0].attempt, 1.0);
  const budgets::Cost before = home.live().ledger.settled();
  OffersArrived offers{home.run, home.all<Ask>().back().ask};
  offers.used = {.slot_time = budgets::SlotMillis::of(99), .tokens = budgets::Tokens::of(-5)};
  offers.failure = "hostile";
  home.tell(offers);
  EXPECT_EQ(home.live().ledger.settled() - before, budgets::Cost{.actions = budgets::Actions::of(1)});
}

}  // namespace
}  // namespace overnight::core
