// Dispatch only: one handler per event, then the standing rules in their order. Decisions live in on_*.cc and the files
// of the rules.
#include "orchestrator/core/step.h"

#include "budgets/invariant.h"
#include "orchestrator/core/handlers.h"
#include "orchestrator/core/invariants.h"

namespace overnight::core {

void step(State& state, const Input& input, Changes& changes) {
  INVARIANT(std::holds_alternative<HomeOpened>(input.event) || input.now >= state.last,
            "time never goes backwards within a life");
  Turn turn{state, input, changes};
  std::visit([&](const auto& event) { on(turn, event); }, input.event);
  keep_time(turn);
  advance_stages(turn);
  // What is dropped may be what a stage waited for. Ends: each round drops at least one trial, and only a new stage
  // adds any.
  while (place_queued(turn)) advance_stages(turn);
  ask_proposers(turn);
  finish_runs(turn);
  state.last = input.now;
  state.last_wall = input.wall;
  check_invariants(state);
}

}  // namespace overnight::core
