// The handlers that step.cc calls, and the standing rules that follow every event. Not for anybody else.
#pragma once

#include <algorithm>
#include <string>

#include "orchestrator/core/changes.h"
#include "orchestrator/core/state.h"

namespace overnight::core {

// One step's surroundings: the state it changes, the input that it answers, and where it writes down what it did.
struct Turn {
  State& state;
  const Input& input;
  Changes& changes;

  Moment now() const { return input.now; }

  void act(Action action) {
    changes.actions.push_back({ActionId{state.next_action++}, std::move(action)});
    changes.home_touched = true;
  }
  void touch(const Run& run, RunPart part) { changes.touch(run.id, part); }
  void note(const RunId& run, std::string kind, std::string text) {
    changes.notes.push_back({run, input.wall, std::move(kind), std::move(text)});
  }
};

// Events, by file.
void on(Turn& turn, const HomeOpened& event);  // on_home.cc
void on(Turn& turn, const TimePassed& event);
void on(Turn& turn, const SlotChecked& event);
void on(Turn& turn, const Observed& event);
void on(Turn& turn, const RunStarted& event);  // on_runs.cc
void on(Turn& turn, const RunResumed& event);
void on(Turn& turn, const BudgetChanged& event);
void on(Turn& turn, const HaltRequested& event);  // on_operator.cc
void on(Turn& turn, const HoldRequested& event);
void on(Turn& turn, const ReleaseRequested& event);
void on(Turn& turn, const DrainRequested& event);
void on(Turn& turn, const StopRequested& event);
void on(Turn& turn, const OffersArrived& event);  // on_proposals.cc
void on(Turn& turn, const Enqueued& event);
void on(Turn& turn, const AttemptStarted& event);  // on_attempts.cc
void on(Turn& turn, const AttemptInPhase& event);
void on(Turn& turn, const AttemptGone& event);
void on(Turn& turn, const ArtifactsDropped& event);

// Standing rules, in their order.
void keep_time(Turn& turn);       // deadlines.cc: wall time used, overdue attempts, patience
void advance_stages(Turn& turn);  // stages.cc: baseline -> searching -> confirming -> ended
bool place_queued(Turn& turn);    // placement.cc; true: trials that can never start were dropped
void ask_proposers(Turn& turn);   // asking.cc
void finish_runs(Turn& turn);     // stages.cc: ends that were decided, once nothing runs

// ---- shared by handlers ----

Run* find_run(State& state, const RunId& id);
// The run that owns a live attempt; null if the attempt is not in the book.
Run* run_of(State& state, AttemptId attempt);

// admission.cc: an experiment with one trial per seed. The caller has paid for it.
ExperimentId admit(Turn& turn, Run& run, Params params, std::string hash, Purpose purpose, std::string proposer,
                   std::string hypothesis, std::vector<ExperimentId> parents, std::int64_t history_cursor);
TrialId queue_trial(Turn& turn, Run& run, ExperimentId experiment, Purpose purpose, std::int64_t seed_index);
ExperimentRecord record_of(const Run& run, const Experiment& experiment, std::string status);
// Whether an attempt of it runs.
bool is_running(const Run& run, ExperimentId experiment);
// Removes a trial that was never launched (the search ended first).
void drop_trial(Turn& turn, Run& run, TrialId trial, const std::string& why);

// The seed of the i-th repetition: the same for every experiment of a run, so that experiments are compared on equal
// seeds.
std::int64_t trial_seed(const Study& study, std::int64_t index);
std::uint64_t mix(std::uint64_t a, std::uint64_t b);

// What one launch of the study's task can cost at its worst.
budgets::Cost worst_case_launch(const Study& study);

// Whether what the ledger refused now could be paid for later, without anybody's help: attempts that run give back what
// they do not use, and artifacts that are being deleted their disk.
bool may_come_back(const Run& run, const budgets::LedgerRefusal& refusal);

// Whether new work may start: the run is live, not held, latched, halting, draining or ending.
bool admits(const State& state, const Run& run);

// deadlines.cc
// The run's wall budget, as the moment when everything must be over; Moment::never() without one.
Moment wall_end(const Run& run, Moment now, WallTime wall);
// From the start of a trial until it is over at its worst; `searches`: and the best are confirmed.
Millis time_needed(const State& state, const Run& run, bool searches);

inline bool searches(const Trial& trial) {
  return trial.purpose == Purpose::search || trial.purpose == Purpose::enqueued;
}

// leaders.cc: folds a score in; true if it is a new best by at least the minimum effect.
bool fold_score(Turn& turn, Run& run, const Trial& trial, const Experiment& experiment, double score);
// A leader that is run again goes on with what it has spent.
void remember_spent(Turn& turn, Run& run, const Experiment& experiment);
void keep_or_drop_artifacts(Turn& turn, Run& run, const Trial& trial, AttemptId attempt, budgets::Bytes bytes,
                            bool scored);

// on_proposals.cc
void give_up_asks(Turn& turn, Run& run);  // those that nobody has answered for ask_patience

// on_breakers.cc
void trip(Turn& turn, Run& run, const budgets::Trip& trip);
void canary_finished(Turn& turn, Run& run, bool healthy);

// stages.cc
// No trial waits or runs, and none will come: there is nothing that a hold could keep back, or a release let go on.
bool nothing_is_left(const Run& run);
void stop_attempts(Turn& turn, Run& run, StopLevel level, const std::string& reason);
void decide_end(Turn& turn, Run& run, EndKind kind, const std::string& reason);

std::string in_words(Millis time);                                 // "1 h 20 min", "45 s", "380 ms"
std::string counted(std::int64_t count, const std::string& what);  // "1 attempt", "3 attempts"

}  // namespace overnight::core
