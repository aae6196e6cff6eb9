// The life of an attempt, from its lease to the moment when nothing of it is left. A receipt told twice, or an attempt
// that is not in the book, changes nothing.
#include <algorithm>
#include <cmath>

#include "budgets/invariant.h"
#include "orchestrator/core/handlers.h"
#include "orchestrator/core/retry.h"

namespace overnight::core {
namespace {

budgets::Cost cost_of(const Study& study, const AttemptGone& gone) {
  budgets::Cost used;
  used.slot_time = budgets::SlotMillis::of(gone.took->count());
  used.gpu_time = budgets::GpuMillis::of(gone.took->count() * study.task.gpus);
  used.actions = budgets::Actions::of(1);
  used.disk = study.run_budget.disk.is_unlimited() ? budgets::Bytes{} : gone.artifacts + gone.logs;
  return used;
}

// Closes the attempt's reservation; returns what it took.
budgets::Cost settle(Run& run, const Attempt& attempt, const AttemptGone& gone) {
  const budgets::Cost before = run.ledger.settled() + run.ledger.overrun();
  if (gone.took) {
    run.ledger.settle(attempt.reservation, cost_of(run.study, gone));
  } else {
    run.ledger.settle_unknown(attempt.reservation);
  }
  return run.ledger.settled() + run.ledger.overrun() - before;
}

AttemptRecord record_of(const Run& run, const Attempt& attempt, const AttemptGone& gone, const Turn& turn) {
  AttemptRecord record;
  record.attempt = attempt.id;
  record.trial = attempt.trial;
  record.experiment = attempt.experiment;
  record.run = run.id;
  record.slot = attempt.slot;
  record.cause = gone.cause;
  record.phase = gone.phase;
  record.detail = gone.detail;
  record.log_tail =
      gone.log_tail.substr(gone.log_tail.size() - std::min<std::size_t>(gone.log_tail.size(), log_tail_kept_bytes));
  record.launched = attempt.launched_wall;
  record.gone = turn.input.wall;
  record.took = gone.took.value_or(Millis{});
  record.killed_in = gone.killed_in;
  record.phase_ms = gone.phase_ms;
  record.memory_peak_bytes = gone.memory_peak_bytes;
  record.disturbed = gone.disturbed;
  record.gpus = gone.gpus;
  return record;
}

TrialRecord record_of(const Run& run, const Trial& trial, const AttemptGone& gone, const Turn& turn) {
  TrialRecord record;
  record.trial = trial.id;
  record.experiment = trial.experiment;
  record.run = run.id;
  record.purpose = trial.purpose;
  record.seed = trial.seed;
  record.cause = gone.cause;
  record.phase = gone.phase;
  record.detail = gone.detail;
  record.score = gone.score;
  record.self_reported = gone.self_reported;
  record.metrics = gone.metrics;
  record.attempts = trial.attempts;
  record.last_attempt = gone.attempt;
  record.used = trial.used;
  record.finished = turn.input.wall;
  return record;
}

// What the breakers are told: scores of stopped or lost attempts say nothing about the task.
std::optional<budgets::Outcome> outcome_of(const AttemptGone& gone) {
  switch (gone.cause) {
    case Cause::completed:
      return budgets::Outcome::good;
    case Cause::bad_metric:
      return budgets::Outcome::not_finite;
    case Cause::stopped:
    case Cause::lease_lost:
      return std::nullopt;
    case Cause::crash:
    case Cause::timeout:
    case Cause::out_of_memory:
    case Cause::out_of_disk:
    case Cause::process_limit:
    case Cause::no_metric:
    case Cause::launch_failed:
    case Cause::infrastructure:
      return budgets::Outcome::crashed;
  }
  return std::nullopt;
}

// The trial has its last attempt behind it: record, score, breakers, and the experiment if this was its last trial.
void finish_trial(Turn& turn, Run& run, const Trial& trial, const AttemptGone& gone) {
  const auto found = run.experiments.find(trial.experiment);
  INVARIANT(found != run.experiments.end(), "an unfinished trial has a live experiment");
  Experiment& experiment = found->second;
  turn.changes.trials.push_back(record_of(run, trial, gone, turn));
  ++run.counts.trials_finished;
  bool gained = false;
  if (gone.score) {
    ++run.counts.scored;
    experiment.scores.add(*gone.score);
    gained = fold_score(turn, run, trial, experiment, *gone.score);
    if (gone.took) run.longest_took = std::max(run.longest_took, *gone.took);
  } else {
    ++run.counts.failed[gone.cause];
  }
  keep_or_drop_artifacts(turn, run, trial, gone.attempt, gone.artifacts, gone.score.has_value());
  if (trial.purpose == Purpose::baseline && !gone.score) {
    run.baseline_detail = gone.detail + (gone.log_tail.empty() ? "" : "\n" + gone.log_tail);
  }
  remember_spent(turn, run, experiment);
  if (--experiment.open_trials == 0) {
    turn.changes.experiments.push_back(record_of(run, experiment, experiment.scores.n > 0 ? "scored" : "failed"));
    run.experiments.erase(found);
  }
  if (run.pending_end && run.pending_end->kind != EndKind::stopped)
    return;  // a run that is being killed trips nothing more
  // While the baseline is measured it alone is judged, by leave_baseline: there is no canary yet, and a hold would
  // wait.
  if (run.stage == Stage::baseline) return;
  if (trial.purpose == Purpose::canary) {
    canary_finished(turn, run, gone.score.has_value());
    return;
  }
  if (const auto outcome = outcome_of(gone)) {
    if (auto tripped = budgets::observe_outcome(run.breakers, run.study.governor.breakers, *outcome))
      trip(turn, run, *tripped);
  }
  if (trial.purpose == Purpose::search || trial.purpose == Purpose::enqueued) {
    if (auto told = budgets::observe_experiment(run.breakers, run.study.governor.breakers, gained))
      trip(turn, run, *told);
  }
}

// Whether the run still wants this trial at all: now, or when it is resumed.
bool wants_retry(const Run& run) {
  if (run.end) return false;
  return !run.pending_end || (run.pending_end->kind != EndKind::done && run.pending_end->kind != EndKind::failed);
}

// Nothing of it runs any more, and it waits for its next attempt.
void say_that_it_waits(Turn& turn, const Run& run, ExperimentId id) {
  if (is_running(run, id)) return;
  const Experiment& experiment = run.experiments.at(id);
  turn.changes.experiments.push_back(record_of(run, experiment, "queued"));
}

void requeue(Turn& turn, Run& run, Trial& trial, const AttemptGone& gone, const std::string& why, Millis wait) {
  if (gone.disturbed) {
    ++trial.disturbed;
    ++run.counts.disturbed;
  } else {
    ++trial.retries[gone.cause];
    ++run.counts.retries;
  }
  trial.not_before = turn.now() + wait;
  say_that_it_waits(turn, run, trial.experiment);
  keep_or_drop_artifacts(turn, run, trial, gone.attempt, gone.artifacts, false);
  turn.note(run.id, "retry",
            "experiment " + std::to_string(number(trial.experiment)) + " is tried again: " + why + ". " + gone.detail);
}

}  // namespace

void on(Turn& turn, const AttemptStarted& event) {
  Run* run = run_of(turn.state, event.attempt);
  if (run == nullptr) return;
  Attempt& attempt = run->attempts.at(event.attempt);
  if (attempt.started) return;
  attempt.started = turn.now();
  const Moment limit = turn.now() + worst_case_wall(run->study) + kill_allowance;
  attempt.overdue = attempt.stopping ? std::min(attempt.overdue, limit) : limit;
  turn.touch(*run, RunPart::work);
}

void on(Turn& turn, const AttemptInPhase& event) {
  Run* run = run_of(turn.state, event.attempt);
  if (run == nullptr) return;
  run->attempts.at(event.attempt).phase = event.phase;
  turn.touch(*run, RunPart::work);
}

void on(Turn& turn, const AttemptGone& event) {
  Run* run = run_of(turn.state, event.attempt);
  if (run == nullptr) return;
  const auto found = run->attempts.find(event.attempt);
  const Attempt attempt = found->second;
  run->attempts.erase(found);
  AttemptGone gone = event;
  INVARIANT(!gone.score || std::isfinite(*gone.score), "a score that enters is finite");
  // Nobody knows what it left: as much as was reserved lies there until it is deleted.
  if (!gone.took) gone.artifacts = run->ledger.book().open.at(attempt.reservation).disk;
  // A score counts only with the cause that means success; and success without a score is none.
  if (gone.cause != Cause::completed) gone.score.reset();
  if (gone.cause == Cause::completed && !gone.score) gone.cause = Cause::no_metric;
  // Somebody else ended it (a halt past a hanging orchestrator): that is no result of the trial.
  if (gone.cause == Cause::stopped && !attempt.stopping) gone.cause = Cause::lease_lost;

  Trial& trial = run->trials.at(attempt.trial);
  INVARIANT(trial.running == attempt.id, "a trial knows the attempt that runs it");
  trial.running.reset();
  const budgets::Cost used = settle(*run, attempt, gone);
  trial.used = trial.used + used;
  run->experiments.at(trial.experiment).spent += used.slot_time;
  turn.changes.attempts.push_back(record_of(*run, attempt, gone, turn));
  for (const RunPart part : {RunPart::status, RunPart::ledger, RunPart::work}) turn.touch(*run, part);
  if (gone.survivors > 0) {
    trip(turn, *run,
         {"overrun", budgets::TripLevel::kill,
          (gone.survivors == 1 ? "a process" : std::to_string(gone.survivors) + " processes") + " of attempt " +
              std::to_string(number(attempt.id)) + " would not die"});
  }

  const auto retry = retry_after(run->study, trial, gone);
  // An attempt that the run's own stop cut short waits for resume; it is not a result. Neither is one that died with
  // the orchestrator.
  const bool cut_short = gone.cause == Cause::stopped || gone.cause == Cause::lease_lost;
  if (cut_short && (run->pending_end || run->end || !run->live)) {
    say_that_it_waits(turn, *run, trial.experiment);
    keep_or_drop_artifacts(turn, *run, trial, gone.attempt, gone.artifacts, false);
    return;
  }
  if (retry && wants_retry(*run)) {
    requeue(turn, *run, trial, gone, retry->why, retry->wait);
    return;
  }
  const Trial finished = trial;
  run->trials.erase(finished.id);
  finish_trial(turn, *run, finished, gone);
}

void on(Turn& turn, const ArtifactsDropped& event) {
  Run* run = find_run(turn.state, event.run);
  if (run == nullptr) return;
  const auto found = run->dropping.find(event.attempt);
  if (found == run->dropping.end()) return;
  if (!run->study.run_budget.disk.is_unlimited()) run->ledger.give_back(found->second);
  run->dropping.erase(found);
  turn.touch(*run, RunPart::work);
  turn.touch(*run, RunPart::ledger);
}

}  // namespace overnight::core
