// The keeper's clocks. Limits are counted on CLOCK_MONOTONIC, the lease on CLOCK_BOOTTIME (a machine that slept has
// lost its lease), records carry UTC. Milliseconds.
#pragma once

#include <cstdint>
#include <ctime>

namespace overnight::workers {

inline std::int64_t clock_ms(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}
inline std::int64_t monotonic_ms() { return clock_ms(CLOCK_MONOTONIC); }
inline std::int64_t boottime_ms() { return clock_ms(CLOCK_BOOTTIME); }
inline std::int64_t unix_ms() { return clock_ms(CLOCK_REALTIME); }

}  // namespace overnight::workers
