// A run starts, goes on, or gets another budget.
#include <algorithm>

#include "orchestrator/core/handlers.h"

namespace overnight::core {
namespace {

budgets::Cost grant_of(const RunBudget& budget) {
  return {budget.slot_time, budget.gpu_time,   budget.experiments, budget.actions,
          budget.llm_cost,  budget.llm_tokens, budget.disk};
}

// Part of slot and GPU time, set aside at the start so that the search cannot eat what confirmation needs. Where
// nothing is confirmed, nothing.
budgets::Cost confirmation_reserve(const Study& study) {
  const RunBudget& budget = study.run_budget;
  budgets::Cost cost;
  if (confirmation_trials(study.evaluation) == 0) return cost;
  if (!budget.slot_time.is_unlimited()) {
    cost.slot_time = budgets::SlotMillis::of(budget.slot_time.count() / 100 * budget.reserve_percent);
  }
  if (!budget.gpu_time.is_unlimited()) {
    cost.gpu_time = budgets::GpuMillis::of(budget.gpu_time.count() / 100 * budget.reserve_percent);
  }
  return cost;
}

// Too many unfinished runs: the oldest that nobody works on is given up. Its records stay in the store.
void make_room(Turn& turn) {
  while (turn.state.runs.size() >= runs_live_max) {
    auto oldest = turn.state.runs.end();
    for (auto it = turn.state.runs.begin(); it != turn.state.runs.end(); ++it) {
      const bool dormant = !it->second.live && it->second.attempts.empty();
      if (dormant && (oldest == turn.state.runs.end() || it->second.started < oldest->second.started)) oldest = it;
    }
    if (oldest == turn.state.runs.end()) return;
    const RunId id = oldest->first;
    oldest->second.end = End{EndKind::abandoned, "more unfinished runs than a home keeps", turn.input.wall};
    turn.note(id, "end", "abandoned: " + oldest->second.end->reason);
    turn.act(PublishReport{id, true});
    turn.changes.ended.push_back(std::move(oldest->second));
    turn.state.runs.erase(oldest);
  }
}

void admit_baseline(Turn& turn, Run& run) {
  if (run.study.baseline.empty() || run.study.evaluation.baseline_replicates == 0) {
    run.stage = Stage::searching;
    return;
  }
  const auto point = canonical(run.study.space, run.study.baseline);
  if (!point) {  // validate refuses such a study; a hand-made journal could still bring one
    decide_end(turn, run, EndKind::failed, "the baseline is not in the space: " + point.error().explain);
    return;
  }
  const std::string hash = canonical_hash(*point);
  const ExperimentId id = admit(turn, run, *point, hash, Purpose::baseline, "baseline", "the study's baseline", {}, 0);
  for (std::int64_t i = 0; i < run.study.evaluation.baseline_replicates; ++i)
    queue_trial(turn, run, id, Purpose::baseline, i);
}

}  // namespace

void on(Turn& turn, const RunStarted& event) {
  State& state = turn.state;
  if (state.runs.contains(event.run)) return;  // told twice
  make_room(turn);
  if (state.runs.size() >= runs_live_max || state.latch) {
    turn.note(event.run, "end",
              state.latch ? "not started: the home is latched" : "not started: too many unfinished runs");
    return;
  }
  Run& run = state.runs[event.run];
  run.id = event.run;
  run.study = event.study;
  run.started = turn.input.wall;
  run.until = event.until;
  run.ask_worst_case = event.ask_worst_case;
  run.ask_worst_case.resize(run.study.proposers.size());
  run.live = true;
  run.charged_until = turn.now();
  run.wall_grant = run.study.run_budget.wall;
  run.proposers.resize(run.study.proposers.size());
  run.ledger = budgets::Ledger(grant_of(run.study.run_budget));
  if (const auto reserved = run.ledger.reserve(confirmation_reserve(run.study))) run.set_aside = *reserved;
  for (const RunPart part : all_run_parts) turn.touch(run, part);
  turn.note(run.id, "stage", "run started: study " + run.study.name);
  admit_baseline(turn, run);
}

// Lifts no latch: a halted run stays halted until somebody releases it.
void on(Turn& turn, const RunResumed& event) {
  Run* run = find_run(turn.state, event.run);
  if (run == nullptr || run->live || run->latch || turn.state.latch) return;
  run->live = true;
  run->charged_until = turn.now();
  run->end.reset();
  run->pending_end.reset();
  run->halt.reset();
  run->draining = false;
  for (ProposerBook& book : run->proposers) book.failures_in_a_row = 0;
  if (run->hold) {
    run->hold->since = turn.now();
  } else {
    budgets::reset(run->breakers);  // what tripped while the run was stopping holds nothing; it is judged afresh
  }
  turn.touch(*run, RunPart::status);
  turn.note(run->id, "stage", "run resumed");
}

void on(Turn& turn, const BudgetChanged& event) {
  Run* run = find_run(turn.state, event.run);
  if (run == nullptr) return;
  run->ledger.regrant(event.grant);
  run->wall_grant = event.wall;
  if (run->stage == Stage::searching) run->search_ended.clear();
  turn.touch(*run, RunPart::ledger);
  turn.touch(*run, RunPart::status);
  turn.note(run->id, "budget", "budget changed by " + event.by + ": " + event.reason);
}

}  // namespace overnight::core
