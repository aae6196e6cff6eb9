// The fields of a GpuUse, for the receipt and for the meter's messages. Only .cc files of this folder include this.
#pragma once

#include "workers/protocol/fields.h"
#include "workers/protocol/gpu_use.h"

namespace overnight::workers {

template <typename Visitor>
void describe(Visitor& field, GpuUse& use) {
  field("uuid", use.uuid);
  field("judged_ms", use.judged_ms);
  field("slowed_ms", use.slowed_ms);
  field("slowed_by", use.slowed_by);
  field("energy_mj", use.energy_mj);
  field("energy_ms", use.energy_ms);
  field("energy_from_power", use.energy_from_power);
  field("clock_samples", use.clock_samples);
  field("clock_min_mhz", use.clock_min_mhz);
  field("clock_mean_mhz", use.clock_mean_mhz);
  field("memory_peak_bytes", use.memory_peak_bytes);
}

inline constexpr std::int64_t number_max = 1'000'000'000'000'000;  // 30,000 years in ms: sums never overflow

inline constexpr std::int64_t samples_max = 1'000'000'000;  // 30 years at one a second

inline void check_uses(const std::vector<GpuUse>& uses) {
  for (const GpuUse& use : uses) {
    bool possible = use.slowed_ms <= use.judged_ms && use.clock_samples <= samples_max;
    for (const std::int64_t sum : {use.judged_ms, use.slowed_ms, use.energy_ms, use.clock_samples})
      possible = possible && sum >= 0 && sum <= number_max;
    for (const std::int64_t known : {use.energy_mj, use.memory_peak_bytes})
      possible = possible && known >= -1 && known <= number_max;
    for (const std::int64_t mhz : {use.clock_min_mhz, use.clock_mean_mhz})
      possible = possible && mhz >= -1 && mhz <= 1'000'000;
    if (!possible) throw Refused("gpus", "has a number that cannot be");
    if (use.slowed_by.size() > slowed_by_max) throw Refused("gpus.slowed_by", "has more than 16 reasons");
  }
}

}  // namespace overnight::workers
