// How far a training is, and when it ends: by steps, or by a clock that somebody else holds and that nobody waits for.
// Pure: told the elapsed time, which counts from the start of the process, with everything that came before the first
// step.
#pragma once

#include <algorithm>
#include <cstdint>

namespace overnight::workers {

struct TimeBudget {
  std::int64_t steps = 0;  // 0: in time
  double seconds = 0;

  // What is kept for the last step and the checkpoint.
  double reserve() const { return std::min(seconds / 2, std::max(0.15, 0.02 * seconds)); }

  // From 0 to 1, for the schedule: it has ended when the time has.
  double progress(std::int64_t step, double elapsed) const {
    return steps > 0 ? static_cast<double>(step) / static_cast<double>(steps) : elapsed / (seconds - reserve());
  }

  // No further step: it would end too late, if it takes as long as the longest so far.
  bool over(std::int64_t step, double elapsed, double longest_step) const {
    if (steps > 0) return step >= steps;
    if (step == 0) return false;  // something must have been learnt
    return progress(step, elapsed) >= 1 || elapsed + longest_step > seconds - reserve() / 2;
  }
};

}  // namespace overnight::workers
