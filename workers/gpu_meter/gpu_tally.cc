#include "workers/gpu_meter/gpu_tally.h"

#include <algorithm>

namespace overnight::workers {

void GpuTally::add(const GpuSample& sample) {
  const std::int64_t since_ms = last_ ? std::max<std::int64_t>(0, sample.at_ms - last_->at_ms) : 0;
  if (sample.reasons && since_ms <= sample_stands_for_max_ms) {
    use_.judged_ms += since_ms;
    const ClockReasons slow = slowing(*sample.reasons, sample.full_power);
    if (slow != 0 && since_ms > 0) {
      use_.slowed_ms += since_ms;
      slowed_by_ |= slow;
      use_.slowed_by = words_of(slowed_by_);
    }
  }
  add_energy(sample, since_ms);
  const bool idle = sample.reasons && (*sample.reasons & gpu_idle) != 0;
  if (sample.sm_clock_mhz && !idle) add_clock(*sample.sm_clock_mhz);
  if (sample.memory_used_bytes) use_.memory_peak_bytes = std::max(use_.memory_peak_bytes, *sample.memory_used_bytes);
  last_ = sample;
}

void GpuTally::add_energy(const GpuSample& sample, std::int64_t since_ms) {
  if (!last_) return;
  std::optional<std::int64_t> mj;
  if (sample.energy_mj && last_->energy_mj && *sample.energy_mj >= *last_->energy_mj) {  // else it began anew
    mj = *sample.energy_mj - *last_->energy_mj;
  } else if (sample.power_mw && last_->power_mw && since_ms <= sample_stands_for_max_ms) {
    mj = (*sample.power_mw + *last_->power_mw) * since_ms / 2000;
    use_.energy_from_power = true;
  }
  if (!mj) return;
  use_.energy_mj = std::max<std::int64_t>(0, use_.energy_mj) + *mj;
  use_.energy_ms += since_ms;
}

void GpuTally::add_clock(std::int64_t mhz) {
  clock_sum_mhz_ += mhz;
  ++use_.clock_samples;
  use_.clock_mean_mhz = clock_sum_mhz_ / use_.clock_samples;
  use_.clock_min_mhz = use_.clock_min_mhz < 0 ? mhz : std::min(use_.clock_min_mhz, mhz);
}

}  // namespace overnight::workers
