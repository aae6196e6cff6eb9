// The one function that decides. Pure: same State, same Input, same result; no clock, file, socket, thread or
// randomness.
#pragma once

#include "orchestrator/core/changes.h"
#include "orchestrator/core/events.h"
#include "orchestrator/core/state.h"

namespace overnight::core {

void step(State& state, const Input& input, Changes& changes);

// When `step` wants to be told TimePassed at the latest, if nothing else happens; Moment::never() if it waits for
// nothing.
Moment next_deadline(const State& state);

}  // namespace overnight::core
