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

inline void check_uses(const std::vector<GpuUse>& uses) {
  for (const GpuUse& use : uses) {
    const bool sums = use.judged_ms >= 0 && use.slowed_ms >= 0 && use.slowed_ms <= use.judged_ms &&
                      use.energy_ms >= 0 && use.clock_samples >= 0;
    const bool known =
        use.energy_mj >= -1 && use.clock_min_mhz >= -1 && use.clock_mean_mhz >= -1 && use.memory_peak_bytes >= -1;
    if (!sums || !known) throw Refused("gpus", "has a number that cannot be");
    if (use.slowed_by.size() > slowed_by_max) throw Refused("gpus.slowed_by", "has more than 16 reasons");
  }
}

}  // namespace overnight::workers
