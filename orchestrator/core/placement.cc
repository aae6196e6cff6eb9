// Which queued trials start now, on which slots. Rules, in order:
//   1. nothing starts behind a latch, a hold (a canary may), or an end that was decided;
//      until the baseline is measured nothing else starts;
//   2. a slot holds one attempt, and is free only when that attempt was seen to be gone; an unusable slot takes
//   nothing;
//   3. trials by purpose (canary, baseline, enqueued, confirm, search), then by age; a free slot never waits for
//   another trial;
//      a trial whose back-off is not over is passed over;
//   4. runs share the slots: the run with the fewest attempts is served first;
//   5. no launch without a reservation of the worst case, of the run and of the experiment, and nothing starts that
//   cannot end in time;
//      search and enqueued trials must also leave the time that confirmation needs. What can never start is dropped,
//      and said so, whether a slot is free or not.
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
  if (run.stage == Stage::baseline && trial.purpose != Purpose::baseline) return false;
  return admits(state, run);
}

// Slot time that the experiment's attempts that run may still take.
budgets::SlotMillis running_worst(const Run& run, ExperimentId experiment) {
  budgets::SlotMillis sum;
  for (const auto& [_, attempt] : run.attempts) {
    if (attempt.experiment == experiment) sum += run.ledger.book().open.at(attempt.reservation).slot_time;
  }
  return sum;
}

bool within_experiment_budget(const Run& run, ExperimentId experiment, budgets::SlotMillis promised) {
  const budgets::SlotMillis limit = run.study.experiment_budget.slot_time;
  if (limit.is_unlimited()) return true;
  return run.experiments.at(experiment).spent + promised + worst_case_launch(run.study).slot_time <= limit;
}

const Trial* next_trial(const Turn& turn, const Run& run) {
  const Trial* best = nullptr;
  for (const auto& [_, trial] : run.trials) {
    if (trial.running || trial.not_before > turn.now() || !may_start(turn.state, run, trial)) continue;
    if (best != nullptr && trial.purpose >= best->purpose) continue;
    if (!run.study.experiment_budget.slot_time.is_unlimited() &&
        !within_experiment_budget(run, trial.experiment, running_worst(run, trial.experiment)))
      continue;  // what runs may give enough back
    best = &trial;
  }
  return best;
}

// Why trials of the run can never start, looked at once for all of them.
struct Outlook {
  Moment end;
  Millis search_needs, other_needs;
  std::string unpayable;  // the budget that is used up for good; empty: none
};

Outlook outlook_of(const Turn& turn, const Run& run) {
  const auto can = run.ledger.affords(worst_case_launch(run.study));
  return {wall_end(run, turn.now(), turn.input.wall), time_needed(turn.state, run, true),
          time_needed(turn.state, run, false),
          can || may_come_back(run, can.error()) ? "" : "budget " + can.error().explain()};
}

// Why this trial may never start; empty if it may start now or later.
std::string why_never(const Turn& turn, const Run& run, const Trial& trial, const Outlook& outlook) {
  const Moment start = std::max(turn.now(), trial.not_before);
  if (outlook.end != Moment::never()) {
    if (start + outlook.other_needs > outlook.end) return "it could not end in time";
    if (searches(trial) && start + outlook.search_needs > outlook.end)
      return "it could not end in time and leave the time for confirmation";
  }
  if (!within_experiment_budget(run, trial.experiment, {})) return "budgets.experiment.slot_time would be passed";
  return outlook.unpayable;
}

// Drops what can never start, so that no stage waits for it. True if anything was.
bool drop_hopeless(Turn& turn, Run& run) {
  if (run.trials.empty()) return false;
  const Outlook outlook = outlook_of(turn, run);
  std::vector<std::pair<TrialId, std::string>> hopeless;
  for (const auto& [id, trial] : run.trials) {
    if (trial.running || !may_start(turn.state, run, trial)) continue;
    if (std::string why = why_never(turn, run, trial, outlook); !why.empty()) hopeless.emplace_back(id, std::move(why));
  }
  for (const auto& [id, why] : hopeless) drop_trial(turn, run, id, why);
  return !hopeless.empty();
}

void launch(Turn& turn, Run& run, TrialId trial_id, SlotId slot, budgets::ReservationId reservation) {
  Trial& trial = run.trials.at(trial_id);
  const Experiment& experiment = run.experiments.at(trial.experiment);
  const bool first = !is_running(run, trial.experiment);
  const AttemptId id{turn.state.next_attempt++};
  Attempt attempt;
  attempt.id = id;
  attempt.trial = trial_id;
  attempt.experiment = trial.experiment;
  attempt.slot = slot;
  attempt.epoch = turn.state.epoch;
  attempt.reservation = reservation;
  attempt.launched = turn.now();
  attempt.overdue = turn.now() + start_patience + worst_case_wall(run.study) + kill_allowance;
  attempt.launched_wall = turn.input.wall;
  run.attempts.emplace(id, attempt);
  trial.running = id;
  ++trial.attempts;
  if (first) turn.changes.experiments.push_back(record_of(run, experiment, "running"));
  turn.touch(run, RunPart::work);
  turn.touch(run, RunPart::ledger);
  turn.act(Launch{id, trial_id, trial.experiment, run.id, slot, experiment.params, trial.seed, trial.purpose,
                  worst_case_wall(run.study)});
}

// Starts one trial of the run on `slot`; false if nothing of it can start now.
bool place_one(Turn& turn, Run& run, SlotId slot) {
  const Trial* trial = next_trial(turn, run);
  if (trial == nullptr) return false;
  const auto reservation = run.ledger.reserve(worst_case_launch(run.study));
  if (!reservation) return false;  // what runs may give enough back
  launch(turn, run, trial->id, slot, *reservation);
  return true;
}

}  // namespace

bool place_queued(Turn& turn) {
  bool dropped = false;
  for (auto& [_, run] : turn.state.runs) dropped = drop_hopeless(turn, run) || dropped;
  if (dropped) return true;  // a stage may end by that, and the run with it: only then does anything start
  for (const SlotId slot : free_slots(turn.state)) {
    std::vector<Run*> runs;
    for (auto& [_, run] : turn.state.runs) {
      if (run.live && !run.trials.empty()) runs.push_back(&run);
    }
    std::stable_sort(runs.begin(), runs.end(),
                     [](const Run* a, const Run* b) { return a->attempts.size() < b->attempts.size(); });
    const bool placed = std::any_of(runs.begin(), runs.end(), [&](Run* run) { return place_one(turn, *run, slot); });
    if (!placed) break;
  }
  return false;
}

}  // namespace overnight::core
