// What holds after every step, by name. `step` ends the program when one is broken; the simulator also counts how often
// each was really put to the test, because a check that is never reached proves nothing.
#pragma once

#include <map>
#include <string_view>

#include "orchestrator/core/state.h"

namespace overnight::core {

// How often each invariant was evaluated on something, since the program started. For the simulator; off unless
// switched on.
struct InvariantCounts {
  std::map<std::string_view, std::int64_t> evaluated;
};
void count_invariants(InvariantCounts* counts);  // null: stop counting. Not for use from several threads.

void check_invariants(const State& state);

}  // namespace overnight::core
