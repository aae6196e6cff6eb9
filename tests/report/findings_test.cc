#include "orchestrator/report/findings.h"

#include <gtest/gtest.h>

#include "made.h"

namespace overnight::report {
namespace {

std::int64_t id_of(const Result& result) { return core::number(result.record->experiment); }

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

bool warns(const Findings& found, const std::string& part) {
  for (const std::string& caveat : found.verdict.caveats) {
    if (says(caveat, part)) return true;
  }
  return false;
}

TEST(Ranking, JudgesConfirmedResultsByTheirConfirmationAlone) {
  Made made;
  made.baseline({0.30, 0.31, 0.29});
  made.found(0.10, {0.25, 0.26, 0.27});  // lucky once
  made.found(0.15, {0.20, 0.21, 0.19});
  made.found(0.12);
  const Findings found = findings_of(made.data);
  ASSERT_EQ(found.ranked.size(), 3u);
  EXPECT_EQ(found.confirmed, 2u);
  EXPECT_EQ(id_of(found.ranked[0]), 3);
  EXPECT_NEAR(found.ranked[0].estimate.mean, 0.20, 1e-12);
  EXPECT_EQ(found.ranked[0].seeds.size(), 3u);
  EXPECT_EQ(id_of(found.ranked[1]), 2);
  EXPECT_EQ(id_of(found.ranked[2]), 4) << "what was not confirmed stands behind, however good it looks";
}

TEST(Ranking, GivesFewScoresTheNoiseOfAllRepeatedOnes) {
  Made made;
  made.baseline({0.30, 0.31, 0.29});
  made.found(0.10, {0.20, 0.21, 0.19});
  made.found(0.12);
  const Findings found = findings_of(made.data);
  ASSERT_TRUE(found.noise);
  EXPECT_EQ(found.noise->degrees, 4);
  EXPECT_NEAR(found.noise->deviation, 0.01, 1e-12);
  EXPECT_TRUE(found.ranked[0].estimate.pooled);
  EXPECT_TRUE(found.ranked[1].estimate.pooled);
  EXPECT_LT(found.ranked[0].estimate.interval->half_width(), found.ranked[1].estimate.interval->half_width());
  EXPECT_NEAR(found.ranked[1].estimate.interval->half_width(), 2.776445 * 0.01, 1e-6);
}

TEST(Ranking, CallsTiesTies) {
  Made made;
  made.baseline({0.30, 0.31, 0.29});
  made.found(0.11, {0.200, 0.210, 0.190});
  made.found(0.12, {0.203, 0.213, 0.193});
  made.found(0.13);
  const Findings found = findings_of(made.data);
  EXPECT_EQ(rank_words(found.ranked[0].place), "1=");
  EXPECT_EQ(rank_words(found.ranked[1].place), "1=");
  EXPECT_EQ(rank_words(found.ranked[2].place), "3");
  EXPECT_TRUE(warns(found, "It is a tie with experiment 3"));
}

TEST(Ranking, TurnsAroundForAnObjectiveThatIsMaximized) {
  Made made;
  made.data.run.study.objective.direction = core::Direction::maximize;
  made.baseline({0.80, 0.81, 0.79});
  made.found(0.7);
  made.found(0.9, {0.90, 0.91, 0.89});
  const Findings found = findings_of(made.data);
  EXPECT_EQ(id_of(found.ranked[0]), 3);
  EXPECT_NEAR(found.ranked[0].gain->value, 0.10, 1e-12);
  EXPECT_LT(found.ranked[1].gain->value, 0);
}

TEST(Ranking, CountsNoCanary) {
  Made made;
  const auto base = made.baseline({0.30, 0.31, 0.29});
  made.score(base, core::Purpose::canary, 99);
  EXPECT_EQ(findings_of(made.data).baseline->estimate.n, 3);
}

TEST(Verdict, OfAConfirmedGainNamesWinnerGainIntervalAndConfirmation) {
  Made made;
  made.baseline({0.300, 0.302, 0.298});
  made.found(0.19, {0.200, 0.202, 0.198});
  made.end(core::EndKind::done, "the wall time is used up");
  const Findings found = findings_of(made.data);
  EXPECT_EQ(found.verdict.kind, VerdictKind::better);
  EXPECT_EQ(found.verdict.headline,
            "Experiment 2 (tpe) beats the baseline by 0.1000 (33 %): loss 0.2000 ± 0.0032 instead of 0.3000 ± 0.0032, "
            "confirmed on 3 fresh seeds; 95 % interval 0.0955 to 0.1045.");
}

TEST(Verdict, AsksMoreOfAWinnerThatWasChosenAmongMany) {
  const auto verdict_among = [](int candidates) {
    Made made;
    made.baseline({0.300, 0.310, 0.290});
    made.found(0.19, {0.275, 0.285, 0.265});
    for (int i = 1; i < candidates; ++i) made.found(0.2, {0.29, 0.30, 0.28});
    return findings_of(made.data).verdict;
  };
  EXPECT_EQ(verdict_among(1).kind, VerdictKind::better);
  EXPECT_EQ(verdict_among(20).kind, VerdictKind::tie) << "the best of twenty looks that good by chance";
}

TEST(Verdict, OfADifferenceWithinTheNoiseIsThatNoneCouldBeShown) {
  Made made;
  made.baseline({0.30, 0.32, 0.28});
  made.found(0.2, {0.295, 0.315, 0.275});
  const Findings found = findings_of(made.data);
  EXPECT_EQ(found.verdict.kind, VerdictKind::tie);
  EXPECT_TRUE(says(found.verdict.headline, "No difference to the baseline could be shown")) << found.verdict.headline;
  EXPECT_TRUE(says(found.verdict.headline, "noise alone would explain"));
}

TEST(Verdict, OfAGainBelowTheMinimumEffectIsATie) {
  Made made;
  made.data.run.study.objective.minimum_effect = 0.01;
  made.baseline({0.30000, 0.30001, 0.29999});
  made.found(0.2, {0.29600, 0.29601, 0.29599});
  const Findings found = findings_of(made.data);
  EXPECT_EQ(found.verdict.kind, VerdictKind::tie);
  EXPECT_TRUE(says(found.verdict.headline, "less than the minimum effect of 0.01")) << found.verdict.headline;
}

TEST(Verdict, OfALossSaysSo) {
  Made made;
  made.baseline({0.300, 0.302, 0.298});
  made.found(0.29, {0.350, 0.352, 0.348});
  const Findings found = findings_of(made.data);
  EXPECT_EQ(found.verdict.kind, VerdictKind::worse);
  EXPECT_TRUE(says(found.verdict.headline, "Nothing better than the baseline was found"));
}

TEST(Verdict, OfWhatWasNotConfirmedClaimsNothing) {
  Made made;
  made.baseline({0.300, 0.302, 0.298});
  made.found(0.1);
  made.found(0.2);
  const Findings found = findings_of(made.data);
  EXPECT_EQ(found.verdict.kind, VerdictKind::unconfirmed);
  EXPECT_TRUE(says(found.verdict.headline, "but it was not confirmed")) << found.verdict.headline;
  EXPECT_TRUE(warns(found, "best of 2 single measurements"));
}

TEST(Verdict, WithoutABaselineComparesWithNothing) {
  Made made;
  made.data.run.study.baseline.clear();
  made.found(0.2, {0.20, 0.21, 0.19});
  EXPECT_EQ(findings_of(made.data).verdict.kind, VerdictKind::no_baseline);
}

TEST(Verdict, OfAFailedBaselineHasTheEndOfItsLog) {
  Made made;
  const auto base = made.admit(core::Purpose::baseline, "baseline", 0.01);
  made.fail(base, core::Purpose::baseline, core::Cause::crash);
  made.data.run.baseline_detail = "exit status 1 in train\nTraceback\nModuleNotFoundError: torch";
  made.end(core::EndKind::failed, "the baseline could not be measured. exit status 1 in train");
  const Findings found = findings_of(made.data);
  EXPECT_EQ(found.verdict.kind, VerdictKind::no_start);
  EXPECT_EQ(found.verdict.headline, "Nothing was searched: the baseline could not be measured.");
  EXPECT_TRUE(says(found.verdict.log_tail, "ModuleNotFoundError"));
  EXPECT_TRUE(warns(found, "exit status 1 in train"));
}

TEST(Verdict, OfARunWithoutAnyScoreSaysHowManyWereTried) {
  Made made;
  made.baseline({0.3});
  for (int i = 0; i < 4; ++i)
    made.fail(made.admit(core::Purpose::search, "tpe", 0.1), core::Purpose::search, core::Cause::crash);
  const Findings found = findings_of(made.data);
  EXPECT_EQ(found.verdict.kind, VerdictKind::nothing);
  EXPECT_TRUE(says(found.verdict.headline, "of 4 experiments none has a score"));
}

TEST(Verdict, OfUnknownNoiseIsNoClaim) {
  Made made;
  made.baseline({0.3});
  made.found(0.2, {0.2});
  const Findings found = findings_of(made.data);
  EXPECT_EQ(found.verdict.kind, VerdictKind::unconfirmed);
  EXPECT_TRUE(warns(found, "noise is unknown"));
}

TEST(Caveats, TellOfSelfReportedScoresUnseededTasksAndRoundedMetrics) {
  Made made;
  made.data.run.study.task.seed.kind = core::SeedDelivery::Kind::none;
  made.baseline({0.3, 0.3, 0.3});
  made.found(0.2, {0.2, 0.2});
  made.data.trials.back().self_reported = true;
  const Findings found = findings_of(made.data);
  EXPECT_TRUE(warns(found, "self-reported"));
  EXPECT_TRUE(warns(found, "takes no seed"));
  EXPECT_TRUE(warns(found, "agree exactly"));
  EXPECT_TRUE(found.ranked[0].self_reported);
}

TEST(Caveats, ATaskThatReadsItsExperimentsFileHasTheSeedInIt) {
  for (const char* word : {"{experiment}", "--seed={seed}"}) {
    Made made;
    made.data.run.study.task.seed.kind = core::SeedDelivery::Kind::none;
    made.data.run.study.task.train.command.push_back(word);
    made.baseline({0.31, 0.32, 0.33});
    made.found(0.2, {0.21, 0.22});
    const Findings found = findings_of(made.data);
    EXPECT_FALSE(warns(found, "takes no seed")) << word;
    EXPECT_NE(found.verdict.headline.find("fresh seeds"), std::string::npos) << found.verdict.headline;
  }
}

TEST(Failures, AreGroupedByCauseAndPhaseWithAnExample) {
  Made made;
  made.baseline({0.3, 0.31});
  for (int i = 0; i < 3; ++i)
    made.fail(made.admit(core::Purpose::search, "tpe", 0.1), core::Purpose::search, core::Cause::out_of_memory,
              "2 GiB");
  made.fail(made.admit(core::Purpose::search, "tpe", 0.1), core::Purpose::search, core::Cause::crash);
  made.fail(made.admit(core::Purpose::search, "tpe", 0.1), core::Purpose::search, core::Cause::stopped);
  const Findings found = findings_of(made.data);
  ASSERT_EQ(found.failures.size(), 2u) << "what a halt cut short is no failure";
  EXPECT_EQ(found.failures[0].cause, core::Cause::out_of_memory);
  EXPECT_EQ(found.failures[0].attempts, 3);
  EXPECT_EQ(found.failures[0].lost_ms, 3000);
  EXPECT_EQ(found.failures[0].example->detail, "2 GiB");
}

TEST(Credit, GoesToWhoProposedIt) {
  Made made;
  made.baseline({0.3, 0.31});
  made.found(0.2);
  made.score(made.admit(core::Purpose::search, "llm", 0.2), core::Purpose::search, 0.1);
  made.fail(made.admit(core::Purpose::search, "llm", 0.3), core::Purpose::search, core::Cause::crash);
  made.score(made.admit(core::Purpose::enqueued, "enqueue", 0.2), core::Purpose::enqueued, 0.15);
  const Findings found = findings_of(made.data);
  ASSERT_EQ(found.credits.size(), 3u);
  EXPECT_EQ(found.credits[1].proposer, "llm");
  EXPECT_EQ(found.credits[1].scored, 1);
  EXPECT_EQ(found.credits[1].failed, 1);
  EXPECT_EQ(found.credits[1].best, 0u);
  EXPECT_EQ(found.credits[2].proposer, "enqueue");
}

TEST(Ending, IsToldInASentence) {
  Made made;
  EXPECT_EQ(ending_words(made.data), "not ended; it can be resumed");
  made.data.run.live = true;
  EXPECT_EQ(ending_words(made.data), "still running");
  made.end(core::EndKind::halted, "halted by user:alice");
  EXPECT_EQ(ending_words(made.data), "halted by user:alice");
}

}  // namespace
}  // namespace overnight::report
