// Time in the core: wall budgets, overdue attempts, unconfirmed halts, and the next moment when `step` must be called.
#include <algorithm>

#include "orchestrator/core/handlers.h"
#include "orchestrator/core/step.h"

namespace overnight::core {
namespace {

// An attempt that should be gone: it is killed again and again, and what it uses from now on is an overrun. One that
// survives chases_max kills trips.
void chase_overdue(Turn& turn, Run& run) {
  std::string survivor;
  for (auto& [id, attempt] : run.attempts) {
    if (attempt.overdue > turn.now()) continue;
    attempt.stopping = StopLevel::kill;
    attempt.overdue = turn.now() + kill_allowance;
    turn.act(StopAttempt{id, StopLevel::kill, "it is over its limit and is not seen to be gone"});
    turn.touch(run, RunPart::work);
    if (++attempt.chased == chases_max)
      survivor = "attempt " + std::to_string(number(id)) + " is alive after " + std::to_string(chases_max) + " kills";
  }
  if (!survivor.empty()) trip(turn, run, {"overrun", budgets::TripLevel::kill, survivor});
}

void tell_unconfirmed(Turn& turn, Run& run) {
  if (!run.halt || run.halt->confirmed_after || run.halt->told_unconfirmed) return;
  if (turn.now() - run.halt->requested < halt_confirm_within) return;
  run.halt->told_unconfirmed = true;
  turn.touch(run, RunPart::status);
  turn.note(run.id, "halt",
            "halt unconfirmed: " + std::to_string(run.attempts.size()) +
                " attempts are not seen to be gone; killing goes on");
}

}  // namespace

Moment wall_end(const Run& run, Moment now, WallTime wall) {
  Moment end = Moment::never();
  if (!run.wall_grant.is_unlimited()) end = std::min(end, now + (run.wall_grant - run.wall_used));
  if (run.until != WallTime::never()) end = std::min(end, now + (run.until - wall));
  return end;
}

// The confirmation of the best takes full rounds at the pace seen so far, the last at its worst.
Millis time_needed(const State& state, const Run& run, bool searches) {
  const Millis worst = worst_case_wall(run.study) + kill_allowance;
  const std::int64_t trials = confirmation_trials(run.study.evaluation);
  if (!searches || trials == 0 || run.study.run_budget.reserve_percent == 0) return worst;
  const auto slots = static_cast<std::int64_t>(std::max<std::size_t>(1, state.slots.size()));
  const std::int64_t rounds = (trials + slots - 1) / slots;
  const Millis pace = run.longest_took > Millis{} ? std::min(run.longest_took, worst) : worst;
  return worst + pace * (rounds - 1) + worst;
}

void keep_time(Turn& turn) {
  const bool new_life = std::holds_alternative<HomeOpened>(turn.input.event);
  for (auto& [_, run] : turn.state.runs) {
    if (run.live && !new_life && turn.now() > turn.state.last) {
      run.wall_used += turn.now() - turn.state.last;
      run.charged_until = turn.now();
      turn.touch(run, RunPart::status);
    }
    chase_overdue(turn, run);
    give_up_asks(turn, run);
    tell_unconfirmed(turn, run);
  }
}

Moment next_deadline(const State& state) {
  Moment next = Moment::never();
  const auto consider = [&](Moment moment) {
    if (moment > state.last) next = std::min(next, moment);
  };
  for (const auto& [_, run] : state.runs) {
    for (const auto& [__, attempt] : run.attempts) consider(attempt.overdue);
    if (run.halt && !run.halt->confirmed_after) consider(run.halt->requested + halt_confirm_within);
    if (!run.live) continue;
    if (const Moment end = wall_end(run, state.last, state.last_wall); end != Moment::never()) {
      // One millisecond later it no longer fits: that is when something is to be decided.
      for (const bool searching : {true, false}) consider(end - time_needed(state, run, searching) + Millis::of(1));
      consider(end);
    }
    if (run.hold) consider(run.hold->since + run.study.governor.hold_patience);
    for (const auto& [__, trial] : run.trials) {
      if (!trial.running) consider(trial.not_before);
    }
    for (const auto& [__, ask] : run.asks) consider(ask.asked + ask_patience);
    for (const ProposerBook& book : run.proposers) consider(book.not_before);
  }
  return next;
}

std::string counted(std::int64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string in_words(Millis time) {
  const std::int64_t ms = time.count();
  if (ms < 1000) return std::to_string(ms) + " ms";
  if (ms < 60'000) return std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100) + " s";
  const std::int64_t minutes = ms / 60'000;
  if (minutes < 60) return std::to_string(minutes) + " min " + std::to_string(ms % 60'000 / 1000) + " s";
  return std::to_string(minutes / 60) + " h " + std::to_string(minutes % 60) + " min";
}

}  // namespace overnight::core
