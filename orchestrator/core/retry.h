// Whether a trial gets another attempt, and when. Pure; the rules, in order:
//   1. an attempt that was stopped on purpose, or whose run is ending, is not retried;
//   2. a disturbed one (a foreign process on its GPU) is run again, a bounded number of times, without counting as a
//   failure;
//   3. what the orchestrator or the machine lost (infrastructure, lease lost) is retried `infrastructure` times;
//   4. crash, timeout and out of memory are retried as often as the study says; everything else is the task's own fault
//   and final;
//   5. each wait is the study's back-off, doubled for every retry of that trial.
#pragma once

#include <optional>

#include "orchestrator/core/state.h"

namespace overnight::core {

struct Retry {
  Millis wait;
  std::string why;
};

std::optional<Retry> retry_after(const Study& study, const Trial& trial, const AttemptGone& gone);

}  // namespace overnight::core
