// What people ask for. Anyone may halt; the first halt names its author, later ones only repeat the kill, which is
// idempotent.
#include "orchestrator/core/handlers.h"

namespace overnight::core {
namespace {

void halt_run(Turn& turn, Run& run, const HaltRequested& event) {
  turn.touch(run, RunPart::status);
  if (!run.latch) {
    run.latch = Latch{event.by, event.path, event.reason, turn.input.wall};
    turn.note(run.id, "halt", "halt asked for by " + event.by + " (" + event.path + "): " + event.reason);
  }
  if (!run.halt || run.halt->confirmed_after) {
    if (!run.live && run.attempts.empty()) return;  // a dormant run: the latch alone is the halt
    run.halt = Halt{turn.now(), turn.input.wall, static_cast<std::int64_t>(run.attempts.size()), std::nullopt, false};
  }
  stop_attempts(turn, run, StopLevel::kill, "halt: " + event.reason);
  decide_end(turn, run, EndKind::halted, "halted by " + event.by + ": " + event.reason);
}

// Touched here: where the run has decided to end already, nothing that follows does it.
void begin_draining(Turn& turn, Run& run) {
  run.draining = true;
  turn.touch(run, RunPart::status);
}

}  // namespace

void on(Turn& turn, const HaltRequested& event) {
  if (event.run) {
    if (Run* run = find_run(turn.state, *event.run)) halt_run(turn, *run, event);
    return;
  }
  if (!turn.state.latch) {
    turn.state.latch = Latch{event.by, event.path, event.reason, turn.input.wall};
    turn.note({}, "halt", "halt of the home asked for by " + event.by + " (" + event.path + "): " + event.reason);
  }
  turn.changes.home_touched = true;
  for (auto& [_, run] : turn.state.runs) {
    if (run.live || !run.attempts.empty()) halt_run(turn, run, event);
  }
}

void on(Turn& turn, const HoldRequested& event) {
  Run* run = find_run(turn.state, event.run);
  if (run == nullptr || (run->hold && !run->hold->by_breaker)) return;
  run->hold = Hold{event.by, event.reason, turn.now(), false, false};
  turn.touch(*run, RunPart::status);
  turn.note(run->id, "hold", "held by " + event.by + ": " + event.reason);
}

void on(Turn& turn, const ReleaseRequested& event) {
  if (!event.run) {
    if (!turn.state.latch) return;
    turn.state.latch.reset();
    turn.changes.home_touched = true;
    turn.note({}, "release", "the home's latch was lifted by " + event.by + ": " + event.reason);
    return;
  }
  Run* run = find_run(turn.state, *event.run);
  if (run == nullptr || (!run->latch && !run->hold)) return;
  run->latch.reset();
  run->hold.reset();
  budgets::reset(run->breakers);
  turn.touch(*run, RunPart::status);
  turn.note(run->id, "release", "released by " + event.by + ": " + event.reason);
}

void on(Turn& turn, const DrainRequested& event) {
  Run* run = find_run(turn.state, event.run);
  if (run == nullptr || !run->live || run->draining) return;
  begin_draining(turn, *run);
  decide_end(turn, *run, EndKind::stopped, "stopped by " + event.by + " after what ran had ended");
  turn.note(run->id, "stage",
            "draining: nothing new starts, " + counted(static_cast<std::int64_t>(run->attempts.size()), "attempt") +
                " may end");
}

void on(Turn& turn, const StopRequested& event) {
  Run* run = find_run(turn.state, event.run);
  if (run == nullptr || !run->live) return;
  begin_draining(turn, *run);
  stop_attempts(turn, *run, StopLevel::kill, "stopped by " + event.by);
  if (run->pending_end && run->pending_end->kind == EndKind::stopped) run->pending_end.reset();  // a drain is over
  decide_end(turn, *run, EndKind::stopped, "stopped by " + event.by);
}

}  // namespace overnight::core
