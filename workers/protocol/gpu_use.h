// What a GPU did while a phase or an attempt had it, as its driver told it once a second, and whether it was slowed.
// Pure data, JSON both ways. What could not be asked is unknown: -1, or time that nothing covers; never 0 by default.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "budgets/result.h"
#include "workers/protocol/order.h"

namespace overnight::workers {

struct GpuUse {
  std::string uuid;
  std::int64_t judged_ms = 0;          // time for which the driver said whether anything held the clocks down
  std::int64_t slowed_ms = 0;          // and of that, with a reason that slows
  std::vector<std::string> slowed_by;  // those reasons, in words
  std::int64_t energy_mj = -1;
  std::int64_t energy_ms = 0;        // time that energy_mj covers
  bool energy_from_power = false;    // at least in part summed up from samples of the power: less exact than a counter
  std::int64_t clock_samples = 0;    // of the SM clock, while the GPU was not idle
  std::int64_t clock_min_mhz = -1;   // of these
  std::int64_t clock_mean_mhz = -1;  // of these
  std::int64_t memory_peak_bytes = -1;  // used on the whole GPU, as sampled: short peaks are missed
  bool operator==(const GpuUse&) const = default;
};

inline constexpr std::size_t gpu_uses_bytes_max = 64 * 1024;  // as JSON: many more GPUs than one attempt gets
inline constexpr std::size_t slowed_by_max = 16;              // reasons of one GPU; there are fewer

std::string to_json(const std::vector<GpuUse>&);
budgets::Result<std::vector<GpuUse>, ProtocolError> gpu_uses_from_json(std::string_view text);

// The next phase of the same attempt: adds to the entry of each GPU, or makes it.
void add_uses(std::vector<GpuUse>& sum, const std::vector<GpuUse>& more);

// An attempt was throttled if one of its GPUs was slowed for more than throttled_percent of the time that was judged.
// It was not if each of them was judged for at least judged_percent of the time that the attempt ran.
inline constexpr std::int64_t throttled_percent = 5;
inline constexpr std::int64_t judged_percent = 50;
enum class Throttling { no, yes, unknown };
std::string_view name_of(Throttling);

Throttling throttling_of(const std::vector<GpuUse>&, std::int64_t ran_ms);
std::vector<std::string> slowed_by(const std::vector<GpuUse>&);  // each reason once
std::int64_t slowed_percent(const std::vector<GpuUse>&);         // of the GPU that was slowed most; -1: unknown

struct GpuEnergy {
  std::int64_t mj = -1;   // of all GPUs that told; -1: none did
  bool complete = false;  // each told, for nearly all of the time
  bool operator==(const GpuEnergy&) const = default;
};
inline constexpr std::int64_t energy_covered_percent = 90;  // "nearly all"
GpuEnergy energy_of(const std::vector<GpuUse>&, std::int64_t ran_ms);

}  // namespace overnight::workers
