// What a trip means, level by level:
//   note, throttle  it is written down;
//   hold            nothing new is admitted or placed. If it is about trials, one baseline canary runs first: if that
//                   is healthy, the machine is not the cause, the windows are cleared and the search goes on, at most
//                   canaries_max times in a run. Otherwise the hold stays until a person releases it, or until its
//                   patience ends the run as tripped;
//   drain           what runs may end, then the run ends as tripped, latched;
//   kill, lock      what runs is killed, then the run ends as tripped, latched.
#include "orchestrator/core/handlers.h"

namespace overnight::core {
namespace {

bool can_canary(const Run& run) { return run.baseline.has_value() && run.canaries < canaries_max; }

void queue_canary(Turn& turn, Run& run) {
  ++run.canaries;
  const ExperimentId id = run.baseline->origin.id;
  if (!run.experiments.contains(id)) {
    Experiment baseline = run.baseline->origin;
    baseline.open_trials = 0;
    run.experiments.emplace(id, std::move(baseline));
  }
  queue_trial(turn, run, id, Purpose::canary, 0);
  turn.note(run.id, "breaker", "a baseline canary is run to see whether the machine is healthy");
}

}  // namespace

void trip(Turn& turn, Run& run, const budgets::Trip& tripped) {
  using budgets::TripLevel;
  turn.touch(run, RunPart::status);
  turn.note(
      run.id, "breaker",
      "breaker " + tripped.breaker + " (" + std::string(budgets::name_of(tripped.level)) + "): " + tripped.reason);
  switch (tripped.level) {
    case TripLevel::note:
    case TripLevel::throttle:
      return;
    case TripLevel::hold:
      if (run.hold || run.pending_end) return;
      if (nothing_is_left(run)) {
        turn.note(run.id, "breaker", "nothing is left that a hold would keep back: the run goes on to its end");
        return;
      }
      run.hold = Hold{"breaker:" + tripped.breaker, tripped.reason, turn.now(), true, false};
      if (budgets::is_about_trials(tripped.breaker) && can_canary(run)) queue_canary(turn, run);
      return;
    case TripLevel::drain:
    case TripLevel::kill:
    case TripLevel::lock:
      if (!run.latch) run.latch = Latch{"breaker:" + tripped.breaker, "breaker", tripped.reason, turn.input.wall};
      if (tripped.level != TripLevel::drain) stop_attempts(turn, run, StopLevel::kill, "breaker " + tripped.breaker);
      decide_end(turn, run, EndKind::tripped, "breaker " + tripped.breaker + ": " + tripped.reason);
      return;
  }
}

void canary_finished(Turn& turn, Run& run, bool healthy) {
  if (!run.hold || !run.hold->by_breaker) return;
  turn.touch(run, RunPart::status);
  if (!healthy) {
    run.hold->canary_failed = true;
    turn.note(run.id, "breaker", "the canary failed: the hold stays until somebody releases it (overnight release)");
    return;
  }
  turn.note(run.id, "breaker", "the canary is healthy: the hold by " + run.hold->by + " is lifted");
  run.hold.reset();
  budgets::reset(run.breakers);
}

}  // namespace overnight::core
