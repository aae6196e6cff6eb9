// Every planned limit ends a run, none lets it wait for nothing; and what a run may not spend it does not.
#include <gtest/gtest.h>

#include "tests/core/home.h"

namespace overnight::core {
namespace {

using budgets::Actions;
using budgets::Bytes;
using budgets::SlotMillis;

constexpr std::int64_t worst_ms = 12'000;  // one launch of small_study: its timeout and the kill allowance

Study without_limits() {
  Study study = small_study();
  study.run_budget.reserve_percent = 0;
  return study;
}

// A run whose baseline is measured (it took a second).
Home searching(const Study& study, int slots = 1) {
  Home home(slots);
  home.start(study);
  home.score(home.all<Launch>()[0].attempt, 1.0);
  return home;
}

std::string end_of(const Home& home) {
  if (home.ended.size() != 1) return "not ended";
  return std::string(name_of(home.ended[0].end->kind)) + ": " + home.ended[0].end->reason;
}

// ---- budgets too small for one launch: said at once, with the budget's name ----

TEST(Ends, ABudgetThatPaysForNoLaunchFailsTheBaselineAtOnceAndNamesTheBudget) {
  const auto end_with = [](auto limit) {
    Study study = without_limits();
    limit(study);
    Home home(2);
    home.start(study);
    return end_of(home);
  };
  const std::string failed = "failed: the baseline could not be measured. ";
  EXPECT_EQ(end_with([](Study& s) { s.run_budget.slot_time = SlotMillis::of(worst_ms - 1); }),
            failed + "budget slot_time: 12000 ms wanted, 11999 ms left");
  EXPECT_EQ(end_with([](Study& s) {
              s.task.gpus = 2;
              s.run_budget.gpu_time = budgets::GpuMillis::of(2 * worst_ms - 1);
            }),
            failed + "budget gpu_time: 24000 ms wanted, 23999 ms left");
  EXPECT_EQ(end_with([](Study& s) { s.run_budget.actions = Actions::of(0); }),
            failed + "budget actions: 1 wanted, 0 left");
  EXPECT_EQ(end_with([](Study& s) {
              s.run_budget.disk = Bytes::of(5);
              s.attempt.disk = Bytes::of(6);
            }),
            failed + "budget disk: 6 bytes wanted, 5 bytes left");
  EXPECT_EQ(end_with([](Study& s) { s.run_budget.wall = Millis::of(worst_ms - 1); }),
            failed + "it could not end in time");
  EXPECT_EQ(end_with([](Study& s) { s.experiment_budget.slot_time = SlotMillis::of(worst_ms - 1); }),
            failed + "budgets.experiment.slot_time would be passed");
}

TEST(Ends, AnUntilThatIsTooNearFailsTheBaselineAtOnce) {
  Home home(1);
  home.tell(RunStarted{home.run, without_limits(), WallTime::at(1'000'000 + worst_ms - 1), {}});
  EXPECT_EQ(end_of(home), "failed: the baseline could not be measured. it could not end in time");
}

// ---- each budget, reached later ----

TEST(Ends, SlotTimeUsedUpIsAPlannedEnd) {
  Study study = without_limits();
  study.run_budget.slot_time = SlotMillis::of(worst_ms + 1000);
  Home home = searching(study);
  home.offer({0.1});
  home.score(home.all<Launch>().back().attempt, 0.5);
  EXPECT_EQ(end_of(home), "done: budget slot_time: 12000 ms wanted, 11000 ms left");
}

TEST(Ends, GpuTimeUsedUpIsAPlannedEnd) {
  Study study = without_limits();
  study.task.gpus = 4;
  study.run_budget.gpu_time = budgets::GpuMillis::of(4 * (worst_ms + 1000) - 1);
  Home home = searching(study);
  EXPECT_EQ(end_of(home), "done: budget gpu_time: 48000 ms wanted, 47999 ms left");
}

TEST(Ends, ActionsUsedUpInTheMiddleOfTheBaselineEndTheRunAsDone) {
  Study study = without_limits();
  study.run_budget.actions = Actions::of(2);
  study.evaluation.baseline_replicates = 3;
  Home home = searching(study);
  ASSERT_EQ(home.all<Launch>().size(), 2u);
  home.score(home.all<Launch>()[1].attempt, 1.1);
  EXPECT_EQ(end_of(home), "done: budget actions: 1 wanted, 0 left");
  EXPECT_EQ(home.ended[0].baseline->search.n, 2);
  EXPECT_TRUE(home.all<Ask>().empty());
}

TEST(Ends, ALastActionIsNotSpentOnAnAskWhoseAnswerCouldNotBeRun) {
  Study study = without_limits();
  study.run_budget.actions = Actions::of(2);
  Home home(1);
  home.tell(RunStarted{home.run, study, WallTime::never(), {{.actions = Actions::of(1)}}});
  home.score(home.all<Launch>()[0].attempt, 1.0);
  EXPECT_TRUE(home.all<Ask>().empty());
  EXPECT_EQ(end_of(home), "done: budget actions: 2 wanted, 1 left (an ask of random at its worst, and one launch)");
}

TEST(Ends, ProposersThatCannotBePaidEndTheSearchAndDoNotLeaveItWaiting) {
  for (const bool money : {true, false}) {
    Study study = without_limits();
    study.run_budget.llm_cost = budgets::MicroUsd::of(money ? 100 : 1'000'000);
    study.run_budget.llm_tokens = budgets::Tokens::of(money ? 1'000'000 : 100);
    const budgets::Cost worst{
        .actions = Actions::of(1), .money = budgets::MicroUsd::of(60), .tokens = budgets::Tokens::of(60)};
    Home home(1);
    home.tell(RunStarted{home.run, study, WallTime::never(), {worst}});
    home.score(home.all<Launch>()[0].attempt, 1.0);
    OffersArrived offers{home.run, home.all<Ask>().back().ask};
    offers.proposals.push_back({{{"x", 0.1}}, "", {}});
    offers.used = {.money = budgets::MicroUsd::of(50), .tokens = budgets::Tokens::of(50)};
    home.tell(offers);
    EXPECT_EQ(home.all<Ask>().size(), 1u) << "60 do not fit into 50";
    home.score(home.all<Launch>().back().attempt, 0.5);
    EXPECT_EQ(end_of(home), std::string("done: budget ") + (money ? "llm_cost" : "llm_tokens") +
                                (money ? ": $0.000060 wanted, $0.000050 left" : ": 60 wanted, 50 left") +
                                " (an ask of random at its worst, and one launch)");
  }
}

TEST(Ends, TheWallEndsASearchThatWaitsForASlowProposer) {
  Study study = without_limits();
  study.run_budget.wall = Millis::of(60'000);
  Home home = searching(study);
  ASSERT_EQ(home.all<Ask>().size(), 1u);
  home.wait();
  EXPECT_EQ(home.now, 60'000 - worst_ms + 1);
  EXPECT_EQ(home.live().search_ended, "the wall time is used up");
  EXPECT_EQ(end_of(home), "not ended") << "the answer is still to come, and is settled truly if it comes in time";
  home.offer({0.1});
  EXPECT_EQ(end_of(home), "done: the wall time is used up");
  EXPECT_EQ(home.all<Launch>().size(), 1u) << "what came too late is not started";
}

TEST(Ends, AProposerThatNeverAnswersIsNotWaitedForPastTheWall) {
  Study study = without_limits();
  study.run_budget.wall = Millis::of(60'000);
  Home home(1);
  home.tell(RunStarted{home.run, study, WallTime::never(), {{.tokens = budgets::Tokens::of(70)}}});
  home.score(home.all<Launch>()[0].attempt, 1.0);
  while (home.ended.empty() && home.wait()) {
  }
  EXPECT_EQ(home.now, 60'000);
  EXPECT_EQ(end_of(home), "done: the wall time is used up");
  EXPECT_EQ(home.ended[0].ledger.settled().tokens, budgets::Tokens::of(70)) << "what nobody knows counts at its worst";
}

TEST(Ends, AnAskWithoutAnAnswerFailsAfterItsPatienceAndTheProposerIsAskedAgain) {
  Home home = searching(without_limits());
  while (home.all<Ask>().size() < 2) ASSERT_TRUE(home.wait());
  EXPECT_EQ(home.now, 1000 + ask_patience.count() + ask_backoff.count());
  EXPECT_EQ(home.live().proposers[0].failures, 1);
  const State before = home.state;
  OffersArrived late{home.run, home.all<Ask>()[0].ask};
  late.proposals.push_back({{{"x", 0.1}}, "", {}});
  home.tell(late);
  EXPECT_EQ(home.state, before) << "an answer to an ask that was given up changes nothing";
}

TEST(Ends, ASmallSpaceIsSearchedToItsEndAndThatIsAPlannedEnd) {
  Home home = searching(without_limits());
  for (std::int64_t asked = 0; home.ended.empty(); ++asked) {
    ASSERT_LE(asked, 20);
    while (home.live().asks.empty()) ASSERT_TRUE(home.wait());
    home.offer({0.5});  // the baseline's point, and no other
  }
  EXPECT_EQ(end_of(home), "done: the proposers have nothing more");
}

TEST(Ends, UntilEndsARunThoughNothingElseHappens) {
  Home home(1);
  home.tell(RunStarted{home.run, without_limits(), WallTime::at(1'000'000 + 60'000), {}});
  home.score(home.all<Launch>()[0].attempt, 1.0);
  ASSERT_NE(next_deadline(home.state), Moment::never());
  home.wait();
  EXPECT_EQ(home.live().search_ended, "the wall time is used up");
}

TEST(Ends, TheTimeForConfirmationIsNotSpentOnProposalsThatAreThenDropped) {
  Study study = small_study();
  study.run_budget.wall = Millis::of(60'000);
  study.evaluation.confirm_replicates = 2;
  study.evaluation.confirm_top = 1;
  Home home = searching(study);
  home.offer({0.1});
  home.score(home.all<Launch>().back().attempt, 0.5);
  home.wait();  // 60 s - 12 s for a search trial - 1 s and 12 s for two confirmations
  EXPECT_EQ(home.now, 60'000 - 2 * worst_ms - 1000 + 1);
  EXPECT_EQ(home.live().search_ended, "what is left of the wall time is for confirmation");
  const std::int64_t admitted = home.live().counts.admitted;
  home.offer({0.2, 0.3});
  EXPECT_EQ(home.live().counts.admitted, admitted);
  EXPECT_EQ(home.all<Launch>().back().purpose, Purpose::confirm);
}

TEST(Ends, TheReserveForConfirmationIsReallyKeptFromTheSearch) {
  Study study = small_study();
  study.run_budget.slot_time = SlotMillis::of(10 * worst_ms);
  study.run_budget.reserve_percent = 20;  // two launches
  study.evaluation.confirm_replicates = 2;
  study.evaluation.confirm_top = 1;
  Home home(1);
  home.start(study);
  double x = 0.01;
  while (home.ended.empty()) {
    ASSERT_LT(home.all<Launch>().size(), 20u);
    const AttemptId attempt = home.live().attempts.begin()->first;
    AttemptGone gone{attempt};  // every attempt takes its worst
    gone.cause = Cause::completed;
    gone.score = 1 - x;
    gone.took = Millis::of(worst_ms);
    home.tell(gone, worst_ms);
    if (home.ended.empty() && !home.live().asks.empty()) home.offer({x += 0.01});
  }
  const auto launches = home.all<Launch>();
  EXPECT_EQ(launches.size(), 10u);
  EXPECT_EQ(
      std::count_if(launches.begin(), launches.end(), [](const Launch& l) { return l.purpose == Purpose::confirm; }),
      2);
  EXPECT_EQ(home.ended[0].leaders[0].confirm.n, 2);
}

TEST(Ends, WhereNothingIsConfirmedNothingIsSetAsideForIt) {
  Study study = small_study();
  study.run_budget.slot_time = SlotMillis::of(2 * worst_ms);
  study.run_budget.reserve_percent = 50;
  Home home = searching(study);
  EXPECT_EQ(home.live().ledger.left().slot_time, SlotMillis::of(2 * worst_ms - 1000));
}

TEST(Ends, WhatIsEnqueuedDuringTheConfirmationIsNotPaidFromItsReserve) {
  Study study = small_study();
  study.run_budget.experiments = budgets::Experiments::of(5);
  study.evaluation.confirm_replicates = 1;
  study.evaluation.confirm_top = 1;
  Home home = searching(study);
  home.offer({0.1}, true);  // and nothing more, ever
  home.score(home.all<Launch>().back().attempt, 0.5);
  ASSERT_EQ(home.live().stage, Stage::confirming);
  home.tell(Enqueued{home.run, {{{{"x", 0.7}}, "", {}}}, "user:alice"});
  EXPECT_EQ(home.live().counts.admitted, 1);
  EXPECT_EQ(home.notes.back().text,
            "user:alice enqueued too late: the search is over (the proposers have nothing more)");
}

TEST(Ends, WhatIsEnqueuedWaitsForTheBaselineThoughASlotIsFree) {
  Home home(2);
  home.start(small_study());
  home.tell(Enqueued{home.run, {{{{"x", 0.7}}, "", {}}}, "user:alice"});
  ASSERT_EQ(home.all<Launch>().size(), 1u);
  home.score(home.all<Launch>()[0].attempt, 1.0);
  EXPECT_EQ(home.all<Launch>()[1].purpose, Purpose::enqueued);
}

TEST(Ends, NothingStartsInTheStepInWhichTheBaselineIsGivenUp) {
  Study study = small_study();
  study.run_budget.wall = Millis::of(3 * worst_ms / 2);
  Home home(2);
  home.start(study);
  home.tell(Enqueued{home.run, {{{{"x", 0.7}}, "", {}}}, "user:alice"});
  AttemptGone gone{home.all<Launch>()[0].attempt};
  gone.cause = Cause::completed;
  gone.score = 1.0;
  gone.disturbed = true;  // once more, but there is no time for that
  gone.took = Millis::of(worst_ms);
  home.tell(gone, worst_ms);
  EXPECT_EQ(home.all<Launch>().size(), 1u);
  ASSERT_EQ(home.ended.size(), 1u);
  EXPECT_EQ(home.ended[0].end->kind, EndKind::failed);
}

TEST(Ends, AnExperimentNeverPassesItsOwnSlotTimeThoughItsTrialsRunSideBySide) {
  Study study = without_limits();
  study.evaluation.baseline_replicates = 3;
  study.experiment_budget.slot_time = SlotMillis::of(worst_ms + 1500);
  Home home(3);
  home.start(study);
  EXPECT_EQ(home.live().attempts.size(), 1u) << "two at their worst would pass it";
  home.score(home.all<Launch>()[0].attempt, 1.0);
  EXPECT_EQ(home.all<Launch>().size(), 2u) << "one took a second: the next one is paid for";
  home.score(home.all<Launch>()[1].attempt, 1.0);
  EXPECT_EQ(home.live().baseline->search.n, 2);
  EXPECT_EQ(home.live().trials.size(), 0u) << "the third would pass it and is dropped";
}

// ---- disk ----

Study with_disk(std::int64_t bytes) {
  Study study = without_limits();
  study.run_budget.disk = Bytes::of(bytes);
  study.attempt.disk = Bytes::of(100);
  study.task.artifacts = {.champion = false, .top = 0, .all = false};
  return study;
}

void finish(Home& home, std::optional<std::int64_t> took_ms, std::int64_t artifacts) {
  AttemptGone gone{home.all<Launch>().back().attempt};
  gone.cause = Cause::completed;
  gone.score = 1.0;
  if (took_ms) gone.took = Millis::of(*took_ms);
  gone.artifacts = Bytes::of(artifacts);
  home.tell(gone, 1000);
}

TEST(Ends, LogsAreKeptAndSoCountAsDisk) {
  Home home(1);
  home.start(with_disk(250));
  AttemptGone gone{home.all<Launch>().back().attempt};
  gone.cause = Cause::completed;
  gone.score = 1.0;
  gone.took = Millis::of(1000);
  gone.logs = Bytes::of(60);
  home.tell(gone, 1000);
  EXPECT_EQ(home.live().ledger.settled().disk, Bytes::of(60));
  home.offer({0.1});
  home.score(home.all<Launch>().back().attempt, 0.5);
  EXPECT_EQ(home.live().ledger.left().disk, Bytes::of(190));
}

TEST(Ends, DiskThatIsBeingDeletedIsWaitedFor) {
  Home patient(1);
  patient.start(with_disk(180));
  finish(patient, 1000, 10);
  patient.offer({0.1});
  finish(patient, 1000, 90);  // at most 90 are left until the 90 are deleted
  EXPECT_EQ(end_of(patient), "not ended");
  EXPECT_TRUE(patient.live().attempts.empty());
  for (const DropArtifacts& drop : patient.all<DropArtifacts>())
    patient.tell(ArtifactsDropped{drop.attempt, patient.run, {}});
  patient.offer({0.2});
  EXPECT_EQ(patient.live().attempts.size(), 1u);
}

TEST(Ends, WhatALostAttemptLeftIsGivenBackWhenItIsDeleted) {
  Study study = with_disk(250);
  study.task.retries.infrastructure = 0;
  Home home(1);
  home.start(study);
  finish(home, 1000, 0);
  home.offer({0.1});
  AttemptGone lost{home.all<Launch>().back().attempt};
  lost.cause = Cause::infrastructure;
  home.tell(lost, 1000);
  EXPECT_EQ(home.live().ledger.settled().disk, Bytes::of(100)) << "its worst, while nobody knows";
  home.tell(ArtifactsDropped{lost.attempt, home.run, {}});
  EXPECT_EQ(home.live().ledger.settled().disk, Bytes{});
}

TEST(Ends, DeletionsThatACrashMayHaveSwallowedAreAskedForAgain) {
  Home home(1);
  home.start(with_disk(180));
  finish(home, 1000, 10);
  home.offer({0.1});
  finish(home, 1000, 90);
  HomeOpened opened;
  opened.epoch = Epoch{2};
  opened.slots.push_back({SlotId{1}, "cpu", {0}, {}});
  home.actions.clear();
  home.tell(opened);
  EXPECT_EQ(home.all<DropArtifacts>().size(), 2u) << "of the baseline and of the experiment";
}

}  // namespace
}  // namespace overnight::core
