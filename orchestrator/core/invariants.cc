#include "orchestrator/core/invariants.h"

#include <set>

#include "budgets/invariant.h"

namespace overnight::core {
namespace {

InvariantCounts* counting = nullptr;

}  // namespace

#define HOLDS(condition, name)                            \
  do {                                                    \
    if (counting != nullptr) ++counting->evaluated[name]; \
    INVARIANT(condition, name);                           \
  } while (false)

namespace {

void check_ledger(const Run& run) {
  budgets::Cost open;
  for (const auto& [_, worst_case] : run.ledger.book().open) open = open + worst_case;
  HOLDS(open == run.ledger.reserved(), "what is reserved is the sum of the open reservations");
  const budgets::Cost& settled = run.ledger.settled();
  HOLDS(settled.slot_time >= budgets::SlotMillis{} && settled.gpu_time >= budgets::GpuMillis{} &&
            settled.money >= budgets::MicroUsd{} && settled.tokens >= budgets::Tokens{} &&
            settled.actions >= budgets::Actions{} && settled.disk >= budgets::Bytes{},
        "nothing settled is negative");
  HOLDS(settled.experiments == budgets::Experiments::of(run.counts.admitted),
        "each admitted experiment was paid for once");
  std::size_t expected = run.attempts.size() + run.asks.size() + (run.set_aside ? 1 : 0);
  HOLDS(run.ledger.book().open.size() == expected,
        "each open reservation belongs to one attempt, one ask or the confirmation reserve");
}

void check_attempts(const State& state, const Run& run, std::set<SlotId>& taken) {
  for (const auto& [id, attempt] : run.attempts) {
    HOLDS(run.ledger.is_open(attempt.reservation), "what runs was paid for before it was launched");
    HOLDS(taken.insert(attempt.slot).second || attempt.epoch != state.epoch, "a slot holds at most one attempt");
    const auto trial = run.trials.find(attempt.trial);
    HOLDS(trial != run.trials.end() && trial->second.running == id, "an attempt runs exactly one live trial");
    HOLDS(number(id) < state.next_attempt, "ids are never used twice");
  }
}

void check_work(const Run& run) {
  std::map<ExperimentId, std::int64_t> open;
  for (const auto& [_, trial] : run.trials) {
    ++open[trial.experiment];
    if (trial.running) HOLDS(run.attempts.contains(*trial.running), "a running trial has a live attempt");
  }
  for (const auto& [id, experiment] : run.experiments) {
    HOLDS(experiment.open_trials == open[id] && experiment.open_trials > 0,
          "a live experiment has open trials, and knows how many");
  }
  HOLDS(run.trials.size() <= trials_queued_max + slots_max, "the queue is bounded");
  HOLDS(run.leaders.size() <= leaders_max, "the leaders are bounded");
}

void check_stops(const State& state, const Run& run) {
  if (run.latch && run.halt && !run.halt->confirmed_after) {
    for (const auto& [_, attempt] : run.attempts)
      HOLDS(attempt.stopping == StopLevel::kill, "a halt kills everything that runs");
  }
  if (run.halt && run.halt->confirmed_after && !run.live)
    HOLDS(run.attempts.empty(), "a confirmed halt means that nothing is alive");
  if (run.end) HOLDS(!run.live && run.asks.empty(), "an ended run waits for nothing");
  if (state.latch) HOLDS(!run.live || run.pending_end || run.end, "no run goes on behind the home's latch");
}

}  // namespace

void count_invariants(InvariantCounts* counts) { counting = counts; }

void check_invariants(const State& state) {
  std::set<SlotId> taken;
  HOLDS(state.runs.size() <= runs_live_max, "the number of unfinished runs is bounded");
  for (const auto& [_, run] : state.runs) {
    check_ledger(run);
    check_attempts(state, run, taken);
    check_work(run);
    check_stops(state, run);
  }
}

}  // namespace overnight::core
