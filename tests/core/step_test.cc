#include "orchestrator/core/step.h"

#include <gtest/gtest.h>

#include "tests/core/home.h"

namespace overnight::core {
namespace {

TEST(Step, MeasuresTheBaselineBeforeItAsksForAnything) {
  Home home(2);
  home.start(small_study());
  EXPECT_EQ(home.all<Launch>().size(), 1u);
  EXPECT_TRUE(home.all<Ask>().empty());
  home.score(home.all<Launch>()[0].attempt, 1.0);
  EXPECT_EQ(home.all<Ask>().size(), 1u);
}

TEST(Step, ABaselineThatCannotBeMeasuredEndsTheRunAsFailedWithItsReason) {
  Home home(2);
  home.start(small_study());
  home.fail(home.all<Launch>()[0].attempt);
  ASSERT_EQ(home.ended.size(), 1u);
  EXPECT_EQ(home.ended[0].end->kind, EndKind::failed);
  EXPECT_NE(home.ended[0].end->reason.find("exit status 1 in train"), std::string::npos);
}

TEST(Step, FillsEverySlotAndAFreedOneDoesNotWaitForTheOthers) {
  Home home(2);
  home.start(small_study());
  home.score(home.all<Launch>()[0].attempt, 1.0);
  home.offer({0.1, 0.2});
  EXPECT_EQ(home.all<Launch>().size(), 3u);
  home.offer({0.3, 0.4});
  home.score(home.all<Launch>()[2].attempt, 0.9);
  EXPECT_EQ(home.all<Launch>().size(), 4u);
}

TEST(Step, ADuplicateIsRefusedBeforeItRuns) {
  Home home(1);
  home.start(small_study());
  home.score(home.all<Launch>()[0].attempt, 1.0);
  home.offer({0.5, 0.25});
  EXPECT_EQ(home.live().counts.duplicates, 1) << "0.5 is the baseline";
  EXPECT_EQ(home.live().counts.admitted, 1);
}

TEST(Step, WhatAProposerOfferedIsTheSumOfWhatBecameOfIt) {
  Home home(1);
  home.start(small_study());
  home.score(home.all<Launch>()[0].attempt, 1.0);
  OffersArrived offers{home.run, home.all<Ask>().back().ask};
  offers.proposals = {{{{"x", 0.5}}, "", {}}, {{{"x", 7.0}}, "", {}}};  // the baseline, and a point outside the space
  offers.refused = 2;
  home.tell(offers);
  const ProposerBook& book = home.live().proposers[0];
  EXPECT_EQ(book.offered, 4);
  EXPECT_EQ(book.admitted + book.duplicates + book.refused, book.offered);
  EXPECT_TRUE(std::any_of(home.notes.begin(), home.notes.end(), [](const Note& note) {
    return note.text == "random offered nothing new: 1 known, 3 refused";
  }));
}

TEST(Step, NothingStartsThatTheGrantCannotPayAtItsWorst) {
  Study study = small_study();
  study.run_budget.slot_time =
      budgets::SlotMillis::of(26'000);  // two launches of 10 s and 2 s kill allowance, not three
  study.run_budget.reserve_percent = 0;
  Home home(4);
  home.start(study);
  home.score(home.all<Launch>()[0].attempt, 1.0);  // took 1 s: 25 s are left
  home.offer({0.1, 0.2, 0.3, 0.4});
  EXPECT_EQ(home.live().attempts.size(), 2u);
  home.score(home.all<Launch>()[1].attempt, 0.5);
  EXPECT_EQ(home.live().attempts.size(), 2u) << "what was not used pays for the next";
}

TEST(Step, TheNumberOfExperimentsIsAPlannedEnd) {
  Study study = small_study();
  study.run_budget.experiments = budgets::Experiments::of(1);
  Home home(1);
  home.start(study);
  home.score(home.all<Launch>()[0].attempt, 1.0);
  home.offer({0.1});
  home.score(home.all<Launch>()[1].attempt, 0.7);
  ASSERT_EQ(home.ended.size(), 1u);
  EXPECT_EQ(home.ended[0].end->kind, EndKind::done);
  EXPECT_EQ(home.ended[0].best, 0.7);
}

TEST(Step, TheBestAreConfirmedOnFreshSeedsBeforeTheRunEnds) {
  Study study = small_study();
  study.run_budget.experiments = budgets::Experiments::of(2);
  study.evaluation.confirm_replicates = 2;
  study.evaluation.confirm_top = 1;
  Home home(1);
  home.start(study);
  home.score(home.all<Launch>()[0].attempt, 1.0);
  home.offer({0.1, 0.2});
  home.score(home.all<Launch>()[1].attempt, 0.7);
  home.score(home.all<Launch>()[2].attempt, 0.6);
  home.score(home.all<Launch>()[3].attempt, 0.65);
  home.score(home.all<Launch>()[4].attempt, 0.67);
  ASSERT_EQ(home.ended.size(), 1u);
  EXPECT_EQ(home.all<Launch>()[3].purpose, Purpose::confirm);
  EXPECT_EQ(home.all<Launch>()[3].experiment, home.all<Launch>()[2].experiment);
  EXPECT_NE(home.all<Launch>()[3].seed, home.all<Launch>()[2].seed);
  EXPECT_NE(home.all<Launch>()[3].seed, home.all<Launch>()[4].seed);
  EXPECT_EQ(home.ended[0].leaders[0].confirm.n, 2);
}

TEST(Step, AResultThatComesLateTakesThePlaceAndWhatStillWaitsForTheOtherIsNotRun) {
  Study study = small_study();
  study.run_budget.experiments = budgets::Experiments::of(2);
  study.evaluation.confirm_replicates = 3;
  study.evaluation.confirm_top = 1;
  Home home(2);
  home.start(study);
  home.score(home.all<Launch>()[0].attempt, 1.0);
  home.offer({0.1, 0.2});
  const Launch early = home.all<Launch>()[1], late = home.all<Launch>()[2];
  home.score(early.attempt, 0.7);  // its confirmation begins while the other still runs
  ASSERT_EQ(home.all<Launch>()[3].purpose, Purpose::confirm);
  home.score(late.attempt, 0.6);
  while (home.ended.empty()) home.score(home.live().attempts.begin()->first, 0.65);
  std::map<ExperimentId, int> confirmed;
  for (const Launch& launch : home.all<Launch>()) confirmed[launch.experiment] += launch.purpose == Purpose::confirm;
  EXPECT_EQ(confirmed[late.experiment], 3);
  EXPECT_EQ(confirmed[early.experiment], 1) << "one ran already, two were dropped";
  EXPECT_TRUE(std::any_of(home.notes.begin(), home.notes.end(), [](const Note& note) {
    return note.text == "a confirmation of experiment 2 is not run: a later result took its place among the best";
  }));
}

TEST(Step, AHaltKillsWhatRunsIsConfirmedWhenNothingIsLeftAndSaysHowLongItTook) {
  Home home(1);
  home.start(small_study());
  home.tell(HaltRequested{home.run, "operator", "api", "loss looks wrong"});
  ASSERT_EQ(home.all<StopAttempt>().size(), 1u);
  EXPECT_FALSE(home.live().halt->confirmed_after);
  AttemptGone gone{home.all<Launch>()[0].attempt};
  gone.cause = Cause::stopped;
  gone.took = seconds(1);
  home.tell(gone, 40);
  EXPECT_EQ(home.live().halt->confirmed_after, Millis::of(40));
  EXPECT_EQ(home.live().end->kind, EndKind::halted);
  home.tell(RunResumed{home.run});
  EXPECT_FALSE(home.live().live) << "resume lifts no latch";
  home.tell(ReleaseRequested{home.run, "operator", "looked at it"});
  home.tell(RunResumed{home.run});
  EXPECT_TRUE(home.live().live);
  EXPECT_EQ(home.all<Launch>().size(), 2u) << "what was cut short runs again";
}

TEST(Step, ARepeatedReceiptIsSettledOnce) {
  Home home(1);
  home.start(small_study());
  const AttemptId attempt = home.all<Launch>()[0].attempt;
  home.score(attempt, 1.0);
  const State once = home.state;
  AttemptGone again{attempt};
  again.cause = Cause::completed;
  again.score = 0.1;
  home.tell(again);
  EXPECT_EQ(home.state, once);
}

TEST(Step, FiveCrashesInARowHoldTheRunAndAHealthyCanaryLiftsIt) {
  Home home(1);
  home.start(small_study());
  home.score(home.all<Launch>()[0].attempt, 1.0);
  double x = 0.01;
  for (int i = 0; i < 5; ++i) {
    home.offer({x, x + 0.001});
    x += 0.01;
    while (!home.live().attempts.empty() && !home.live().hold) home.fail(home.live().attempts.begin()->first);
    if (home.live().hold) break;
  }
  ASSERT_TRUE(home.live().hold);
  EXPECT_EQ(home.all<Launch>().back().purpose, Purpose::canary);
  home.score(home.all<Launch>().back().attempt, 1.0);
  EXPECT_FALSE(home.live().hold);
}

TEST(Step, ACrashIsRetriedAsOftenAsTheStudySaysAfterItsBackOff) {
  Study study = small_study();
  study.task.retries.crash = 1;
  Home home(1);
  home.start(study);
  home.fail(home.all<Launch>()[0].attempt);
  EXPECT_EQ(home.all<Launch>().size(), 1u) << "the back-off is not over";
  home.tell(TimePassed{}, next_deadline(home.state).ms() - home.now);
  ASSERT_EQ(home.all<Launch>().size(), 2u);
  EXPECT_EQ(home.all<Launch>()[1].trial, home.all<Launch>()[0].trial);
  home.fail(home.all<Launch>()[1].attempt);
  EXPECT_EQ(home.ended.size(), 1u);
}

TEST(Step, StepsTwoRunsThatShareTheSlots) {
  Home home(2);
  home.start(small_study());
  home.run = RunId{"run-2"};
  home.start(small_study());
  const auto launches = home.all<Launch>();
  ASSERT_EQ(launches.size(), 2u);
  EXPECT_NE(launches[0].run, launches[1].run);
  EXPECT_NE(launches[0].slot, launches[1].slot);
}

TEST(Step, AnAttemptLaunchedAfterTheLookIsNotCalledLost) {
  Home home(1);
  home.start(small_study());
  home.tell(Observed{Moment::at(home.now), {}}, 10);
  EXPECT_EQ(home.live().attempts.size(), 1u);
  home.tell(Observed{Moment::at(home.now), {}}, 10);
  EXPECT_TRUE(home.live().attempts.empty());
  EXPECT_EQ(home.live().counts.retries, 1);
}

TEST(Step, WhatTheHomeDoesNotKnowIsKilled) {
  Home home(1);
  home.tell(Observed{Moment::at(0), {AttemptId{99}}});
  ASSERT_EQ(home.all<StopAttempt>().size(), 1u);
  EXPECT_EQ(home.all<StopAttempt>()[0].attempt, AttemptId{99});
}

TEST(Step, ANewLifeKeepsWhatWasDoneAndResumesOnlyWhenAsked) {
  Home home(1);
  home.start(small_study());
  const AttemptId old = home.all<Launch>()[0].attempt;
  HomeOpened opened;
  opened.epoch = Epoch{2};
  opened.slots.push_back({SlotId{1}, "cpu", {0}, {}});
  home.tell(opened);
  AttemptGone gone{old};
  gone.cause = Cause::lease_lost;
  gone.took = seconds(1);
  home.tell(gone);
  EXPECT_EQ(home.all<Launch>().size(), 1u);
  home.tell(RunResumed{home.run});
  ASSERT_EQ(home.all<Launch>().size(), 2u);
  EXPECT_EQ(home.live().counts.retries, 0) << "dying with the orchestrator is not the task's fault";
}

}  // namespace
}  // namespace overnight::core
