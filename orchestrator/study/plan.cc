#include "orchestrator/study/plan.h"

#include <algorithm>

#include "orchestrator/core/limits.h"

namespace overnight::study {

Plan plan_of(const core::Study& study, std::size_t slots) {
  Plan plan;
  plan.slots = slots;
  plan.worst_case = core::worst_case_wall(study) + core::kill_allowance;
  const core::RunBudget& run = study.run_budget;
  const std::int64_t worst = std::max<std::int64_t>(1, plan.worst_case.count());
  const std::int64_t share = 100 - run.reserve_percent;
  const std::int64_t baseline = study.baseline.empty() ? 0 : study.evaluation.baseline_replicates;
  plan.binds_first = "nothing";
  const auto consider = [&](const std::string& name, std::int64_t experiments) {
    if (plan.experiments_at_worst >= 0 && experiments >= plan.experiments_at_worst) return;
    plan.experiments_at_worst = std::max<std::int64_t>(0, experiments);
    plan.binds_first = name;
  };
  const auto at_once = static_cast<std::int64_t>(std::max<std::size_t>(1, slots));
  if (!run.experiments.is_unlimited()) consider("experiments", run.experiments.count());
  if (!run.slot_time.is_unlimited()) consider("slot_time", run.slot_time.count() / 100 * share / worst - baseline);
  if (!run.gpu_time.is_unlimited() && study.task.gpus > 0)
    consider("gpu_time", run.gpu_time.count() / 100 * share / (worst * study.task.gpus) - baseline);
  if (!run.wall.is_unlimited()) consider("wall", run.wall.count() / 100 * share / worst * at_once - baseline);
  consider("actions", run.actions.count() / 2);
  const auto idle_beyond = [&](std::int64_t affordable) {
    if (affordable < at_once)
      plan.slots_idle =
          std::max(plan.slots_idle, static_cast<std::size_t>(at_once - std::max<std::int64_t>(0, affordable)));
  };
  if (!run.slot_time.is_unlimited()) idle_beyond(run.slot_time.count() / 100 * share / worst);
  if (!run.gpu_time.is_unlimited() && study.task.gpus > 0)
    idle_beyond(run.gpu_time.count() / 100 * share / (worst * study.task.gpus));
  if (!run.experiments.is_unlimited()) idle_beyond(std::max(run.experiments.count(), baseline));
  if (!run.disk.is_unlimited() && study.attempt.disk.count() > 0)
    idle_beyond(run.disk.count() / study.attempt.disk.count());

  if (slots == 0)
    plan.warnings.push_back("no slot: the study wants " + std::to_string(study.task.gpus) +
                            " GPUs per attempt, and they are not free here");
  if (plan.experiments_at_worst == 0)
    plan.warnings.push_back("budget " + plan.binds_first + " may not pay for a single experiment at its worst");
  const std::int64_t confirmations = study.evaluation.confirm_top * study.evaluation.confirm_replicates;
  if (confirmations > 0 && !run.slot_time.is_unlimited() &&
      run.slot_time.count() / 100 * run.reserve_percent < confirmations * worst) {
    plan.warnings.push_back("the confirmation reserve (" + std::to_string(run.reserve_percent) +
                            "% of slot_time) does not pay for all " + std::to_string(confirmations) +
                            " confirmation trials at their worst");
  }
  return plan;
}

}  // namespace overnight::study
