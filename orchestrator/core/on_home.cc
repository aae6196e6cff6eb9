// A new life of the orchestrator, the passing of time, and what executors see.
#include <algorithm>

#include "budgets/invariant.h"
#include "orchestrator/core/handlers.h"

namespace overnight::core {

// Runs are not live until they are started or resumed in this life. Attempts of the last life stay in the book until a
// receipt or an observation tells of them: their reservations are still open, so nothing is spent twice.
void on(Turn& turn, const HomeOpened& event) {
  State& state = turn.state;
  INVARIANT(number(event.epoch) > number(state.epoch), "each life of the orchestrator has a higher epoch");
  const bool same_boot = state.boot == event.boot;
  state.epoch = event.epoch;
  state.boot = event.boot;
  state.last = turn.now();
  state.slots.clear();
  for (const SlotFound& found : event.slots) {
    if (state.slots.size() == slots_max) break;
    state.slots[found.slot] = Slot{found, true, ""};
  }
  for (auto& [id, run] : state.runs) {
    // A life that was cut off worked on after its last word: as long as it can have, it is charged for.
    const bool known = same_boot && turn.now() >= run.charged_until;
    if (run.live) run.wall_used += known ? std::min(turn.now() - run.charged_until, wall_unsaid_max) : wall_unsaid_max;
    run.live = false;
    run.asks.clear();  // what was asked in the last life is settled below: nobody can tell what it cost
    for (const auto& [reservation, cost] : std::map(run.ledger.book().open)) {
      const bool of_attempt = std::any_of(run.attempts.begin(), run.attempts.end(),
                                          [&](const auto& entry) { return entry.second.reservation == reservation; });
      if (!of_attempt && run.set_aside != reservation) run.ledger.settle_unknown(reservation);
    }
    for (auto& [attempt_id, attempt] : run.attempts) {
      // It ends by itself or is adopted. What was told to stop may not have heard it: it is chased at once.
      attempt.overdue = attempt.stopping ? turn.now() : turn.now() + worst_case_wall(run.study) + kill_allowance;
      attempt.chased = 0;
    }
    // Whether a deletion of the last life was carried out is not known; deleting twice is deleting once.
    for (const auto& [attempt_id, _] : run.dropping) turn.act(DropArtifacts{attempt_id, id});
    for (auto& [_, trial] : run.trials) trial.not_before = turn.now();
    for (ProposerBook& book : run.proposers) book.not_before = turn.now();
    if (run.hold) run.hold->since = turn.now();
    if (run.halt) run.halt->requested = turn.now();
    for (const RunPart part : {RunPart::status, RunPart::ledger, RunPart::work}) turn.touch(run, part);
  }
  turn.changes.home_touched = true;
}

void on(Turn&, const TimePassed&) {}

void on(Turn& turn, const SlotChecked& event) {
  const auto found = turn.state.slots.find(event.slot);
  if (found == turn.state.slots.end() || found->second.usable == event.usable) return;
  found->second.usable = event.usable;
  found->second.reason = event.reason;
  turn.changes.home_touched = true;
  turn.note({}, "slot",
            "slot " + std::to_string(number(event.slot)) +
                (event.usable ? " is usable again" : " is not used: " + event.reason));
}

// What is in the book, was launched before the look was taken, and was not seen: it is lost. What was seen and is not
// in the book is killed; the executor names only what carries this home's UUID.
void on(Turn& turn, const Observed& event) {
  std::vector<AttemptGone> lost;
  for (auto& [_, run] : turn.state.runs) {
    for (const auto& [id, attempt] : run.attempts) {
      const bool of_this_life = attempt.epoch == turn.state.epoch;
      const bool seen = std::find(event.live.begin(), event.live.end(), id) != event.live.end();
      if (seen || (of_this_life && attempt.launched >= event.as_of)) continue;
      AttemptGone gone;
      gone.attempt = id;
      gone.cause = of_this_life ? Cause::infrastructure : Cause::lease_lost;
      gone.phase = attempt.phase;
      gone.detail = "it was not seen alive and left no receipt";
      lost.push_back(gone);
    }
  }
  for (const AttemptGone& gone : lost) on(turn, gone);
  for (const AttemptId seen : event.live) {
    if (run_of(turn.state, seen) == nullptr)
      turn.act(StopAttempt{seen, StopLevel::kill, "not in the book of this home"});
  }
}

Run* find_run(State& state, const RunId& id) {
  const auto found = state.runs.find(id);
  return found == state.runs.end() ? nullptr : &found->second;
}

Run* run_of(State& state, AttemptId attempt) {
  for (auto& [_, run] : state.runs) {
    if (run.attempts.contains(attempt)) return &run;
  }
  return nullptr;
}

}  // namespace overnight::core
