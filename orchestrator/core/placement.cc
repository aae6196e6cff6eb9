// Which queued trials start now, on which slots. Rules, in order:
//   1. nothing starts behind a latch, a hold (a canary may), or an end that was decided;
//   2. a slot holds one attempt, and is free only when that attempt was seen to be gone; an unusable slot takes
//   nothing;
//   3. trials by purpose (canary, baseline, enqueued, confirm, search), then by age; a free slot never waits for
//   another trial;
//      a trial whose back-off is not over is passed over;
//   4. runs share the slots: the run with the fewest attempts is served first;
//   5. no launch without a reservation of the worst case, and nothing starts that cannot end in time; search and
//   enqueued trials must
//      also leave the time that confirmation needs. What can never start is dropped, and said so.
#include <algorithm>
#include <set>

#include "budgets/invariant.h"
#include "orchestrator/core/handlers.h"

namespace overnight::core {
namespace {

std::vector<SlotId> free_slots(const State& state) {
  std::set<SlotId> taken;
  for (const auto& [_, run] : state.runs) {
    for (const auto& [__, attempt] : run.attempts) taken.insert(attempt.slot);
  }
  std::vector<SlotId> free;
  for (const auto& [id, slot] : state.slots) {
    if (slot.usable && !taken.contains(id)) free.push_back(id);
  }
  return free;
}

bool may_start(const State& state, const Run& run, const Trial& trial) {
  if (trial.purpose == Purpose::canary) {
    return run.live && !run.end && !run.pending_end && !run.draining && !run.latch && !state.latch;
  }
  return admits(state, run);
}

const Trial* next_trial(const Turn& turn, const Run& run) {
  const Trial* best = nullptr;
  for (const auto& [_, trial] : run.trials) {
    if (trial.running || trial.not_before > turn.now() || !may_start(turn.state, run, trial)) continue;
    if (best == nullptr || trial.purpose < best->purpose) best = &trial;
  }
  return best;
}

// How long the confirmation of the best will take: full rounds at the pace seen so far, the last at its worst.
Millis confirmation_time(const State& state, const Run& run) {
  const Evaluation& evaluation = run.study.evaluation;
  const std::int64_t trials =
      std::max<std::int64_t>(0, evaluation.confirm_top) * std::max<std::int64_t>(0, evaluation.confirm_replicates);
  const auto slots = static_cast<std::int64_t>(std::max<std::size_t>(1, state.slots.size()));
  if (trials == 0 || run.study.run_budget.reserve_percent == 0) return Millis{};
  const std::int64_t rounds = (trials + slots - 1) / slots;
  const Millis worst = worst_case_wall(run.study) + kill_allowance;
  const Millis pace = run.longest_took > Millis{} ? std::min(run.longest_took, worst) : worst;
  return pace * (rounds - 1) + worst;
}

// Why this trial may never start; empty if it may start now or later.
std::string why_never(const Turn& turn, const Run& run, const Trial& trial) {
  const bool searches = trial.purpose == Purpose::search || trial.purpose == Purpose::enqueued;
  const Millis worst = worst_case_wall(run.study) + kill_allowance;
  const Moment end = wall_end(run, turn.input);
  const Millis after = searches ? confirmation_time(turn.state, run) : Millis{};
  if (end != Moment::never() && turn.now() + worst + after > end) {
    return searches ? "it could not end in time and leave the time for confirmation" : "it could not end in time";
  }
  const budgets::Cost cost = worst_case_launch(run.study);
  if (run.experiments.at(trial.experiment).spent + cost.slot_time > run.study.experiment_budget.slot_time) {
    return "budgets.experiment.slot_time would be passed";
  }
  if (const auto can = run.ledger.affords(cost); !can && run.attempts.empty()) return "budget " + can.error().explain();
  return "";
}

void launch(Turn& turn, Run& run, TrialId trial_id, SlotId slot, budgets::ReservationId reservation) {
  Trial& trial = run.trials.at(trial_id);
  const Experiment& experiment = run.experiments.at(trial.experiment);
  const AttemptId id{turn.state.next_attempt++};
  Attempt attempt;
  attempt.id = id;
  attempt.trial = trial_id;
  attempt.experiment = trial.experiment;
  attempt.slot = slot;
  attempt.epoch = turn.state.epoch;
  attempt.reservation = reservation;
  attempt.launched = turn.now();
  attempt.launched_wall = turn.input.wall;
  run.attempts.emplace(id, attempt);
  trial.running = id;
  if (trial.attempts++ == 0) turn.changes.experiments.push_back(record_of(run, experiment, "running"));
  turn.touch(run, RunPart::work);
  turn.touch(run, RunPart::ledger);
  turn.act(Launch{id, trial_id, trial.experiment, run.id, slot, experiment.params, trial.seed, trial.purpose,
                  worst_case_wall(run.study)});
}

// Starts one trial of the run on `slot`; false if nothing of it can start now.
bool place_one(Turn& turn, Run& run, SlotId slot) {
  while (const Trial* trial = next_trial(turn, run)) {
    const TrialId id = trial->id;
    if (const std::string never = why_never(turn, run, *trial); !never.empty()) {
      drop_trial(turn, run, id, never);
      continue;
    }
    const auto reservation = run.ledger.reserve(worst_case_launch(run.study));
    if (!reservation) return false;  // what runs may give enough back
    launch(turn, run, id, slot, *reservation);
    return true;
  }
  return false;
}

}  // namespace

void place_queued(Turn& turn) {
  for (const SlotId slot : free_slots(turn.state)) {
    std::vector<Run*> runs;
    for (auto& [_, run] : turn.state.runs) {
      if (run.live && !run.trials.empty()) runs.push_back(&run);
    }
    std::stable_sort(runs.begin(), runs.end(),
                     [](const Run* a, const Run* b) { return a->attempts.size() < b->attempts.size(); });
    const bool placed = std::any_of(runs.begin(), runs.end(), [&](Run* run) { return place_one(turn, *run, slot); });
    if (!placed) return;
  }
}

}  // namespace overnight::core
