// What the samples of one GPU come to. Pure; the time of a sample is its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "workers/nvml/clock_reasons.h"
#include "workers/protocol/gpu_use.h"

namespace overnight::workers {

// None: the driver did not say.
struct GpuSample {
  std::int64_t at_ms = 0;
  std::optional<ClockReasons> reasons;
  std::optional<std::int64_t> energy_mj;  // a counter
  std::optional<std::int64_t> power_mw;
  std::optional<std::int64_t> sm_clock_mhz;
  std::optional<std::int64_t> memory_used_bytes;
  bool full_power = false;  // see slowing()
};

// A sample stands for the time since the one before, but not for longer than this: what was not seen is not judged. (A
// counter of energy saw it.)
inline constexpr std::int64_t sample_stands_for_max_ms = 5000;

class GpuTally {
 public:
  explicit GpuTally(std::string uuid) { use_.uuid = std::move(uuid); }
  void add(const GpuSample& sample);
  const GpuUse& so_far() const { return use_; }

 private:
  void add_energy(const GpuSample& sample, std::int64_t since_ms);
  void add_clock(std::int64_t mhz);

  GpuUse use_;
  std::optional<GpuSample> last_;
  std::int64_t clock_sum_mhz_ = 0;
  ClockReasons slowed_by_ = 0;
};

}  // namespace overnight::workers
