// Proposals become experiments, and experiments trials.
#include <algorithm>

#include "budgets/invariant.h"
#include "orchestrator/core/handlers.h"

namespace overnight::core {

// splitmix64's finalizer: well mixed, and the same everywhere.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = a + 0x9e3779b97f4a7c15ULL * (b + 1);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

std::int64_t trial_seed(const Study& study, std::int64_t index) {
  // 31 bits, not 0: every language and library takes such a seed.
  return static_cast<std::int64_t>(mix(static_cast<std::uint64_t>(study.seed), static_cast<std::uint64_t>(index)) %
                                   0x7ffffffeULL) +
         1;
}

ExperimentRecord record_of(const Run& run, const Experiment& experiment, std::string status) {
  return {experiment.id,
          run.id,
          experiment.params,
          experiment.hash,
          experiment.proposer,
          experiment.hypothesis,
          experiment.parents,
          experiment.purpose,
          std::move(status),
          experiment.admitted,
          experiment.history_cursor};
}

ExperimentId admit(Turn& turn, Run& run, Params params, std::string hash, Purpose purpose, std::string proposer,
                   std::string hypothesis, std::vector<ExperimentId> parents, std::int64_t history_cursor) {
  const ExperimentId id{turn.state.next_experiment++};
  Experiment& experiment = run.experiments[id];
  experiment.id = id;
  experiment.params = std::move(params);
  experiment.hash = std::move(hash);
  experiment.purpose = purpose;
  experiment.proposer = std::move(proposer);
  experiment.hypothesis = std::move(hypothesis);
  experiment.parents = std::move(parents);
  experiment.admitted = turn.input.wall;
  experiment.history_cursor = history_cursor;
  run.seen.insert(experiment.hash);
  turn.changes.experiments.push_back(record_of(run, experiment, "queued"));
  turn.changes.home_touched = true;
  turn.touch(run, RunPart::work);
  return id;
}

bool is_running(const Run& run, ExperimentId experiment) {
  return std::any_of(run.attempts.begin(), run.attempts.end(),
                     [&](const auto& entry) { return entry.second.experiment == experiment; });
}

TrialId queue_trial(Turn& turn, Run& run, ExperimentId experiment, Purpose purpose, std::int64_t seed_index) {
  INVARIANT(run.experiments.contains(experiment), "a trial belongs to a live experiment");
  const TrialId id{turn.state.next_trial++};
  Trial& trial = run.trials[id];
  trial.id = id;
  trial.experiment = experiment;
  trial.purpose = purpose;
  trial.seed = trial_seed(run.study, seed_index);
  trial.not_before = turn.now();
  ++run.experiments[experiment].open_trials;
  turn.changes.home_touched = true;
  turn.touch(run, RunPart::work);
  return id;
}

void drop_trial(Turn& turn, Run& run, TrialId id, const std::string& why) {
  const auto found = run.trials.find(id);
  INVARIANT(found != run.trials.end() && !found->second.running, "only a queued trial can be dropped");
  const ExperimentId experiment_id = found->second.experiment;
  if (found->second.purpose == Purpose::baseline && !run.baseline) run.baseline_detail = why;
  const std::string what = found->second.purpose == Purpose::confirm ? "a confirmation of experiment " : "experiment ";
  const char* not_run = found->second.attempts > 0 ? " is not tried again: " : " is not run: ";
  run.trials.erase(found);
  const auto experiment = run.experiments.find(experiment_id);
  if (--experiment->second.open_trials == 0) {
    const bool scored = experiment->second.scores.n > 0;
    turn.changes.experiments.push_back(record_of(run, experiment->second, scored ? "scored" : "dropped"));
    if (!scored) ++run.counts.dropped;
    run.experiments.erase(experiment);
  }
  turn.note(run.id, "budget", what + std::to_string(number(experiment_id)) + not_run + why);
  turn.touch(run, RunPart::work);
  turn.touch(run, RunPart::status);
}

budgets::Cost worst_case_launch(const Study& study) {
  budgets::Cost cost;
  const Millis wall = worst_case_wall(study) + kill_allowance;
  cost.slot_time = budgets::SlotMillis::of(wall.count());
  cost.gpu_time = budgets::GpuMillis::of(wall.count() * study.task.gpus);
  cost.actions = budgets::Actions::of(1);
  cost.disk = study.run_budget.disk.is_unlimited() ? budgets::Bytes{} : study.attempt.disk;
  return cost;
}

bool may_come_back(const Run& run, const budgets::LedgerRefusal& refusal) {
  return !run.attempts.empty() || (refusal.dimension == "disk" && !run.dropping.empty());
}

bool admits(const State& state, const Run& run) {
  return run.live && !run.end && !run.pending_end && !run.draining && !run.hold && !run.latch && !state.latch;
}

}  // namespace overnight::core
