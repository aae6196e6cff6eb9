#include "orchestrator/study/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "orchestrator/core/limits.h"
#include "orchestrator/study/quantities.h"

namespace overnight::study {
namespace {

// Follows the core: the reserve is kept from the search, baseline trials come out of the rest.
class Planner {
 public:
  Planner(const core::Study& study, std::size_t slots)
      : study_(study),
        run_(study.run_budget),
        at_once_(static_cast<std::int64_t>(std::max<std::size_t>(1, slots))),
        worst_(std::max<std::int64_t>(1, (core::worst_case_wall(study) + core::kill_allowance).count())) {
    plan_.slots = slots;
    plan_.worst_case = core::Millis::of(worst_);
    plan_.binds_first = "nothing";
    plan_.baseline_trials = study.baseline.empty() ? 0 : study.evaluation.baseline_replicates;
    plan_.confirm_trials = study.evaluation.confirm_top * study.evaluation.confirm_replicates;
    plan_.confirm_late = std::min(study_.evaluation.confirm_top, at_once_ - 1) * study_.evaluation.confirm_replicates;
    plan_.confirm_worst = core::Millis::of(worst_ * plan_.confirm_trials);
    plan_.confirm_reserved = core::Millis::unlimited();
    if (!run_.slot_time.is_unlimited())
      plan_.confirm_reserved = core::Millis::of(run_.slot_time.count() / 100 * reserve_percent());
  }

  Plan plan() {
    const std::int64_t baseline = plan_.baseline_trials;
    if (!run_.experiments.is_unlimited()) binds("experiments", run_.experiments.count());
    if (!run_.slot_time.is_unlimited()) binds("slot_time", searched(run_.slot_time.count()) / worst_ - baseline);
    if (!run_.gpu_time.is_unlimited() && study_.task.gpus > 0)
      binds("gpu_time", searched(run_.gpu_time.count()) / (worst_ * study_.task.gpus) - baseline);
    if (!run_.wall.is_unlimited()) binds("wall", searched_wall() / worst_ * at_once_ - baseline);
    // An experiment takes one launch, and a proposer's answer brings at least one experiment.
    if (!run_.actions.is_unlimited()) binds("actions", run_.actions.count() / 2 - baseline);
    find_idle();
    warn();
    return std::move(plan_);
  }

 private:
  std::int64_t searched(std::int64_t grant) const { return grant / 100 * (100 - reserve_percent()); }

  // Where nothing is confirmed, nothing is set aside.
  std::int64_t reserve_percent() const { return plan_.confirm_trials > 0 ? run_.reserve_percent : 0; }

  // The core keeps the last rounds of the wall for confirmation, at their worst until it has seen a pace.
  std::int64_t searched_wall() const {
    const bool keeps = plan_.confirm_trials > 0 && run_.reserve_percent > 0;
    const std::int64_t rounds = keeps ? (plan_.confirm_trials + at_once_ - 1) / at_once_ : 0;
    return std::max<std::int64_t>(0, run_.wall.count() - rounds * worst_);
  }

  void binds(const char* name, std::int64_t experiments) {
    experiments = std::max<std::int64_t>(0, experiments);
    if (plan_.experiments_at_worst >= 0 && experiments >= plan_.experiments_at_worst) return;
    plan_.experiments_at_worst = experiments;
    plan_.binds_first = name;
  }

  void idle_beyond(std::int64_t affordable) {
    const auto idle = static_cast<std::size_t>(std::max<std::int64_t>(0, at_once_ - affordable));
    plan_.slots_idle = std::max(plan_.slots_idle, std::min(idle, plan_.slots));
  }

  void find_idle() {
    if (!run_.slot_time.is_unlimited()) idle_beyond(searched(run_.slot_time.count()) / worst_);
    if (!run_.gpu_time.is_unlimited() && study_.task.gpus > 0)
      idle_beyond(searched(run_.gpu_time.count()) / (worst_ * study_.task.gpus));
    if (!run_.experiments.is_unlimited()) idle_beyond(std::max(run_.experiments.count(), plan_.baseline_trials));
    if (!run_.disk.is_unlimited() && study_.attempt.disk.count() > 0)
      idle_beyond(run_.disk.count() / study_.attempt.disk.count());
  }

  void warn() {
    if (plan_.slots == 0)
      plan_.warnings.push_back(
          fmt::format("no slot: an attempt wants {} GPUs and {} CPUs (task.resources), and they are not free here",
                      study_.task.gpus, study_.task.cpus));
    if (plan_.experiments_at_worst == 0)
      plan_.warnings.push_back("budgets.run." + plan_.binds_first +
                               " may not pay for a single experiment beside the baseline, at their worst; raise it");
    if (plan_.slots_idle > 0)
      plan_.warnings.push_back(
          fmt::format("{} of {} slots stand idle: the reservations of the others take the whole "
                      "budget; lower the phases' timeouts or budgets.attempt, or raise the budget",
                      plan_.slots_idle, plan_.slots));
    if (plan_.confirm_trials > 0 && plan_.confirm_reserved < plan_.confirm_worst)
      plan_.warnings.push_back(
          fmt::format("the confirmation reserve ({}% of slot_time: {}) does not pay for all {} confirmation trials at "
                      "their worst ({}); raise budgets.run.reserve or lower evaluation.confirm_top",
                      run_.reserve_percent, duration_text(plan_.confirm_reserved.count()), plan_.confirm_trials,
                      duration_text(plan_.confirm_worst.count())));
  }

  const core::Study& study_;
  const core::RunBudget& run_;
  std::int64_t at_once_;
  std::int64_t worst_;
  Plan plan_;
};

}  // namespace

Plan plan_of(const core::Study& study, std::size_t slots) { return Planner(study, slots).plan(); }

std::string plan_text(const core::Study& study, std::size_t slots) {
  const Plan plan = plan_of(study, slots);
  const auto all = plan.worst_case.count() * static_cast<std::int64_t>(plan.slots);
  std::string text = fmt::format("  slots            {}\n", plan.slots);
  text +=
      fmt::format("  worst case       {} per attempt, kill allowance included; {} reserved when all slots are busy\n",
                  duration_text(plan.worst_case.count()), duration_text(all));
  text += "  binds first      " + plan.binds_first;
  if (plan.experiments_at_worst >= 0)
    text += fmt::format(", after {} experiments if every one takes its worst case", plan.experiments_at_worst);
  text += fmt::format("\n  baseline         {} trials before the search\n", plan.baseline_trials);
  text += fmt::format("  confirmation     {} trials, at most {} of slot time", plan.confirm_trials,
                      duration_text(plan.confirm_worst.count()));
  if (!plan.confirm_reserved.is_unlimited())
    text += fmt::format("; {} set aside for them", duration_text(plan.confirm_reserved.count()));
  if (plan.confirm_late > 0)
    text += fmt::format("; up to {} more if results that come late enter the best", plan.confirm_late);
  text += fmt::format("\n  idle slots       {}\n", plan.slots_idle);
  for (const std::string& warning : plan.warnings) text += "  warning          " + warning + "\n";
  return text;
}

}  // namespace overnight::study
