// INVARIANT(condition, "what must hold"): a bug, not a refusal. Says what was broken and ends the program, in release
// too: an orchestrator that is wrong about money or about what runs must stop, and the store on disk is right.
#pragma once

namespace overnight::budgets {

// Called before the program ends, with the sentence of what was broken; the simulator and the loop use it to say which
// input led there. At most one; none by default.
using InvariantListener = void (*)(const char* must_hold);
void on_invariant_broken(InvariantListener listener);

[[noreturn]] void invariant_broken(const char* condition, const char* must_hold, const char* file, int line);

}  // namespace overnight::budgets

#define INVARIANT(condition, must_hold)                \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::overnight::budgets::invariant_broken(#condition, must_hold, __FILE__, __LINE__))
