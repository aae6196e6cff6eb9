// baseline -> searching -> confirming -> ended.
//   1. baseline: nothing else is admitted before the baseline has one score. If all its trials fail, the run ends as
//   failed.
//   2. searching: until a budget, the clock or the proposers end it. What is queued then and cannot be paid for is
//   dropped.
//   3. confirming: the best `confirm_top` experiments get `confirm_replicates` trials each on fresh seeds. It begins as
//   soon as no more
//      search trials will be placed, so that slots do not wait for the last of them; a late one that enters the top is
//      confirmed too, and what still waits for whom it pushed out is not run.
//   4. An end that was decided (a halt, a trip, a drain) takes effect when nothing of the run is alive any more.
#include <algorithm>
#include <set>

#include "orchestrator/core/handlers.h"

namespace overnight::core {
namespace {

bool has_trials(const Run& run, Purpose purpose) {
  return std::any_of(run.trials.begin(), run.trials.end(),
                     [&](const auto& entry) { return entry.second.purpose == purpose; });
}

bool search_trial_is_open(const Run& run, bool only_queued) {
  return std::any_of(run.trials.begin(), run.trials.end(), [&](const auto& entry) {
    return searches(entry.second) && !(only_queued && entry.second.running);
  });
}

void leave_baseline(Turn& turn, Run& run) {
  if (run.baseline) {
    run.stage = Stage::searching;
    turn.touch(run, RunPart::status);
    turn.note(run.id, "stage", "the baseline is measured, the search begins");
    return;
  }
  if (has_trials(run, Purpose::baseline)) return;
  decide_end(turn, run, EndKind::failed, "the baseline could not be measured. " + run.baseline_detail);
}

// Why nobody can be asked any more; empty while somebody can, or may be later.
std::string why_nobody_is_asked(const Run& run, const budgets::Cost& launch) {
  if (!run.asks.empty()) return "";
  std::string why = "the proposers have nothing more";
  for (std::size_t i = 0; i < run.proposers.size(); ++i) {
    if (run.proposers[i].exhausted) continue;
    const auto can = run.ledger.affords(run.ask_worst_case[i] + launch);
    if (can || may_come_back(run, can.error())) return "";
    why = "budget " + can.error().explain() + " (an ask of " + run.study.proposers[i].name +
          " at its worst, and one launch)";
  }
  return why;
}

// Why no more search experiments will be admitted; empty while they will. What is queued is looked at by placement.
std::string why_search_is_over(const Turn& turn, const Run& run) {
  if (auto can = run.ledger.affords({.experiments = budgets::Experiments::of(1)}); !can)
    return "the number of experiments is reached";
  const budgets::Cost next = worst_case_launch(run.study);
  if (auto can = run.ledger.affords(next); !can && !may_come_back(run, can.error()))
    return "budget " + can.error().explain();
  if (next.slot_time > run.study.experiment_budget.slot_time)
    return "budgets.experiment.slot_time does not pay for one launch";
  const Moment end = wall_end(run, turn.now(), turn.input.wall);
  if (end != Moment::never() && turn.now() + time_needed(turn.state, run, false) > end)
    return "the wall time is used up";
  if (end != Moment::never() && turn.now() + time_needed(turn.state, run, true) > end)
    return "what is left of the wall time is for confirmation";
  return why_nobody_is_asked(run, next);
}

// Fresh seeds stand behind those of baseline and search: index 1000 and up.
constexpr std::int64_t confirm_seed_index = 1000;

std::size_t confirmed_places(const Run& run) {
  return std::min<std::size_t>(run.leaders.size(),
                               static_cast<std::size_t>(std::max<std::int64_t>(0, run.study.evaluation.confirm_top)));
}

// Queues what is missing; true if anything was.
bool queue_confirmations(Turn& turn, Run& run) {
  bool queued = false;
  const std::size_t top = confirmed_places(run);
  const auto confirm = [&](Leader& leader) {
    while (leader.confirm_trials < run.study.evaluation.confirm_replicates) {
      const ExperimentId id = leader.origin.id;
      if (!run.experiments.contains(id)) {
        Experiment again = leader.origin;
        again.open_trials = 0;
        again.scores = leader.search;
        run.experiments.emplace(id, std::move(again));
      }
      queue_trial(turn, run, id, Purpose::confirm, confirm_seed_index + leader.confirm_trials++);
      turn.touch(run, RunPart::leaders);
      queued = true;
    }
  };
  for (std::size_t i = 0; i < top; ++i) confirm(run.leaders[i]);
  return queued;
}

void leave_search(Turn& turn, Run& run) {
  if (run.search_ended.empty()) {
    run.search_ended = why_search_is_over(turn, run);
    if (run.search_ended.empty()) return;
    turn.touch(run, RunPart::status);
    turn.note(run.id, "stage", "the search ends: " + run.search_ended);
  }
  if (search_trial_is_open(run, true)) return;  // queued ones are placed or dropped by placement
  const bool slot_would_idle = run.attempts.size() < turn.state.slots.size();
  if (search_trial_is_open(run, false) && !slot_would_idle) return;
  run.stage = Stage::confirming;
  turn.touch(run, RunPart::status);
  if (run.set_aside) {
    run.ledger.release(*run.set_aside);
    run.set_aside.reset();
    turn.touch(run, RunPart::ledger);
  }
  if (queue_confirmations(turn, run)) turn.note(run.id, "stage", "the best are confirmed on fresh seeds");
}

// Those that a late result pushed out of the top are not confirmed any further.
void drop_displaced(Turn& turn, Run& run) {
  std::set<ExperimentId> top;
  for (std::size_t i = 0; i < confirmed_places(run); ++i) top.insert(run.leaders[i].origin.id);
  std::vector<TrialId> displaced;
  for (const auto& [id, trial] : run.trials) {
    if (trial.purpose == Purpose::confirm && !trial.running && !top.contains(trial.experiment)) displaced.push_back(id);
  }
  for (const TrialId& id : displaced) drop_trial(turn, run, id, "a later result took its place among the best");
}

void leave_confirmation(Turn& turn, Run& run) {
  drop_displaced(turn, run);
  if (search_trial_is_open(run, false)) queue_confirmations(turn, run);  // a late one may have entered the top
  // An answer that is still to come is settled truly if there is time for that, else at its worst.
  const bool asks_wait = !run.asks.empty() && turn.now() < wall_end(run, turn.now(), turn.input.wall);
  if (!run.trials.empty() || asks_wait) return;
  if (queue_confirmations(turn, run)) return;
  decide_end(turn, run, EndKind::done, run.search_ended);
}

bool slot_is_usable(const State& state) {
  return std::any_of(state.slots.begin(), state.slots.end(), [](const auto& entry) { return entry.second.usable; });
}

constexpr const char* no_slot = "breaker:no_slot";

// Where nothing can run, nothing is waited for in silence: a hold, that the first usable slot lifts.
void hold_without_slots(Turn& turn, Run& run) {
  const bool usable = slot_is_usable(turn.state);
  if (run.hold && run.hold->by == no_slot && usable) {
    run.hold.reset();
    turn.touch(run, RunPart::status);
    turn.note(run.id, "breaker", "a slot is usable again: the hold is lifted");
  } else if (!run.hold && !usable && run.attempts.empty()) {
    std::string reason = "no slot is usable";
    if (!turn.state.slots.empty()) reason += ": " + turn.state.slots.begin()->second.reason;
    run.hold = Hold{no_slot, reason, turn.now(), true, false};
    turn.touch(run, RunPart::status);
    turn.note(run.id, "breaker", "breaker no_slot (hold): " + reason);
  }
}

void hold_patience(Turn& turn, Run& run) {
  if (!run.hold || !run.attempts.empty()) return;
  if (nothing_is_left(run) && run.asks.empty())
    return decide_end(turn, run, EndKind::done,
                      run.search_ended + "; the run was held by " + run.hold->by + " (" + run.hold->reason + ")");
  const bool out_of_time = turn.now() >= wall_end(run, turn.now(), turn.input.wall);
  const bool canary_waits = has_trials(run, Purpose::canary) && slot_is_usable(turn.state);
  if (!out_of_time && (canary_waits || turn.now() - run.hold->since < run.study.governor.hold_patience)) return;
  const std::string held = "held by " + run.hold->by + " (" + run.hold->reason + ")";
  if (!out_of_time) return decide_end(turn, run, EndKind::tripped, held + " and nobody answered");
  // The end of the wall was planned, whoever held the run when it came; without a baseline there is nothing to be done.
  decide_end(
      turn, run, run.stage == Stage::baseline ? EndKind::failed : EndKind::done,
      "the wall time is used up; for its last " + in_words(turn.now() - run.hold->since) + " the run was " + held);
}

}  // namespace

bool nothing_is_left(const Run& run) {
  if (run.search_ended.empty() || !run.trials.empty()) return false;
  const auto top = run.leaders.begin() + static_cast<std::ptrdiff_t>(confirmed_places(run));
  return std::all_of(run.leaders.begin(), top, [&](const Leader& leader) {
    return leader.confirm_trials >= run.study.evaluation.confirm_replicates;
  });
}

void advance_stages(Turn& turn) {
  for (auto& [_, run] : turn.state.runs) {
    if (!run.live || run.end || run.pending_end) continue;
    hold_without_slots(turn, run);
    hold_patience(turn, run);
    if (run.pending_end || run.hold) continue;
    if (run.stage == Stage::baseline) leave_baseline(turn, run);
    if (run.stage == Stage::searching && !run.pending_end) leave_search(turn, run);
    if (run.stage == Stage::confirming && !run.pending_end) leave_confirmation(turn, run);
  }
}

void stop_attempts(Turn& turn, Run& run, StopLevel level, const std::string& reason) {
  for (auto& [id, attempt] : run.attempts) {
    if (attempt.stopping && *attempt.stopping >= level) continue;
    attempt.stopping = level;
    if (level == StopLevel::kill) attempt.overdue = std::min(attempt.overdue, turn.now() + kill_allowance);
    turn.act(StopAttempt{id, level, reason});
  }
  turn.touch(run, RunPart::work);
}

// A harder end replaces a milder one that has not taken effect; never the other way round.
void decide_end(Turn& turn, Run& run, EndKind kind, const std::string& reason) {
  const auto hardness = [](EndKind k) {
    switch (k) {
      case EndKind::done:
        return 0;
      case EndKind::stopped:
        return 1;
      case EndKind::failed:
        return 2;
      case EndKind::tripped:
        return 3;
      case EndKind::halted:
        return 4;
      case EndKind::abandoned:
        return 5;
    }
    return 0;
  };
  if (run.end || (run.pending_end && hardness(run.pending_end->kind) >= hardness(kind))) return;
  run.pending_end = End{kind, reason, turn.input.wall};
  turn.touch(run, RunPart::status);
}

void finish_runs(Turn& turn) {
  std::vector<RunId> leaving;
  for (auto& [id, run] : turn.state.runs) {
    if (run.halt && !run.halt->confirmed_after && run.attempts.empty()) {
      run.halt->confirmed_after = turn.now() - run.halt->requested;
      turn.touch(run, RunPart::status);
      turn.note(id, "halt",
                "halt confirmed: " + counted(run.halt->attempts, "attempt") + " seen to be gone after " +
                    in_words(*run.halt->confirmed_after));
    }
    if (!run.pending_end || !run.attempts.empty()) continue;
    run.end = run.pending_end;
    run.end->wall = turn.input.wall;
    run.pending_end.reset();
    run.live = false;
    const bool for_good = run.end->kind == EndKind::done || run.end->kind == EndKind::failed;
    if (for_good) {
      run.stage = Stage::ended;
      while (!run.trials.empty()) drop_trial(turn, run, run.trials.begin()->first, "the run ended");
    }
    for (const auto& [ask, open] : run.asks) run.ledger.settle_unknown(open.reservation);
    run.asks.clear();
    for (const RunPart part : {RunPart::status, RunPart::ledger, RunPart::work}) turn.touch(run, part);
    turn.note(id, "end", std::string(name_of(run.end->kind)) + ": " + run.end->reason);
    turn.act(PublishReport{id, true});
    if (for_good) leaving.push_back(id);
  }
  for (const RunId& id : leaving) {
    turn.changes.ended.push_back(std::move(turn.state.runs.at(id)));
    turn.state.runs.erase(id);
    turn.changes.home_touched = true;
  }
}

}  // namespace overnight::core
