#include "orchestrator/study/plan.h"

#include <gtest/gtest.h>

#include "orchestrator/core/limits.h"
#include "tests/study/studies.h"

namespace overnight::study {
namespace {

core::Study study_with(const std::vector<std::string>& overrides) {
  auto parsed = parse_study(least, "s.yaml", overrides);
  EXPECT_TRUE(parsed) << words_of(parsed.error());
  return parsed ? parsed->study : core::Study{};
}

TEST(WorstCase, IsTheSumOfThePhasesButNeverMoreThanTheAttemptsWall) {
  EXPECT_EQ(core::worst_case_wall(study_with({})), core::seconds(70));
  EXPECT_EQ(core::worst_case_wall(study_with({"task.build={command: make, timeout: 20s}"})), core::seconds(90));
  EXPECT_EQ(core::worst_case_wall(study_with({"budgets.attempt.wall=30s"})), core::seconds(30));
}

TEST(WorstCase, OfABudgetHoldsItsGraceAndOfAnOpenPhaseTheAttemptsWall) {
  EXPECT_EQ(core::worst_case_wall(study_with({"task.train={command: a, budget: 20s, stop: {grace: 3s}}"})),
            core::seconds(33));
  EXPECT_EQ(core::worst_case_wall(study_with({"task.train={command: a}"})), core::seconds(3600));
}

TEST(Plan, NamesTheBudgetThatBindsFirst) {
  EXPECT_EQ(plan_of(study_with({}), 2).binds_first, "experiments");
  EXPECT_EQ(plan_of(study_with({}), 2).experiments_at_worst, 10);
  const Plan time = plan_of(study_with({"budgets.run.slot_time=720s", "budgets.run.reserve=0%"}), 2);
  EXPECT_EQ(time.worst_case, core::seconds(72));
  EXPECT_EQ(time.binds_first, "slot_time");
  EXPECT_EQ(time.experiments_at_worst, 7);  // ten attempts, three of them the baseline's
  const Plan wall = plan_of(study_with({"budgets.run.wall=720s", "evaluation.confirm_top=1"}), 2);
  EXPECT_EQ(wall.binds_first, "experiments");  // (720 - 2 rounds of 72) / 72 on two slots, less three
  EXPECT_EQ(plan_of(study_with({"budgets.run.wall=360s", "evaluation.confirm_top=1"}), 2).binds_first, "wall");
  EXPECT_EQ(plan_of(study_with({"budgets.run.wall=360s", "evaluation.confirm_top=1"}), 2).experiments_at_worst, 3);
}

TEST(Plan, CountsSlotsThatReservationsLeaveIdle) {
  const Plan plan = plan_of(study_with({"budgets.run.slot_time=160s", "budgets.run.reserve=0%"}), 8);
  EXPECT_EQ(plan.slots_idle, 6u);
  EXPECT_EQ(plan_of(study_with({"budgets.run.disk=25GiB"}), 4).slots_idle, 2u);
  EXPECT_EQ(plan_of(study_with({}), 4).slots_idle, 0u);
}

TEST(Plan, WarnsWhereConfirmationIsNotPaidFor) {
  const core::Study study = study_with({"budgets.run.slot_time=1h"});
  const Plan plan = plan_of(study, 2);
  EXPECT_EQ(plan.confirm_trials, 9);
  EXPECT_EQ(plan.confirm_reserved, core::seconds(360));
  ASSERT_FALSE(plan.warnings.empty());
  EXPECT_NE(plan.warnings.back().find("does not pay for all 9 confirmation trials"), std::string::npos);
}

TEST(Plan, WithoutASlotSaysWhatTheAttemptWants) {
  const Plan plan = plan_of(study_with({"task.resources={gpus: 2, cpus: 3}"}), 0);
  ASSERT_FALSE(plan.warnings.empty());
  EXPECT_NE(plan.warnings[0].find("no slot: an attempt wants 2 GPUs and 3 CPUs"), std::string::npos);
}

TEST(Plan, IsPrintedForPeople) {
  EXPECT_EQ(plan_text(study_with({"budgets.run.slot_time=10m"}), 2),
            "  slots            2\n"
            "  worst case       1m12s per attempt, kill allowance included; 2m24s reserved when all slots are busy\n"
            "  binds first      slot_time, after 4 experiments if every one takes its worst case\n"
            "  baseline         3 trials before the search\n"
            "  confirmation     9 trials, at most 10m48s of slot time; 1m set aside for them; up to 3 more if "
            "results that come late enter the best\n"
            "  idle slots       0\n"
            "  warning          the confirmation reserve (10% of slot_time: 1m) does not pay for all 9 confirmation "
            "trials at their worst (10m48s); raise budgets.run.reserve or lower evaluation.confirm_top\n");
}

}  // namespace
}  // namespace overnight::study
