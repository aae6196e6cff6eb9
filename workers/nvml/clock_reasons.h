// Why a GPU's clocks are not at their highest, as NVML tells it in bits. Values. A reason that we do not know counts as
// one that slows: what is not understood is never called harmless.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace overnight::workers {

using ClockReasons = std::uint64_t;

inline constexpr ClockReasons gpu_idle = 0x1;
inline constexpr ClockReasons applications_clocks_setting = 0x2;
inline constexpr ClockReasons software_power_cap = 0x4;
inline constexpr ClockReasons hardware_slowdown = 0x8;  // temperature, power brake or draw, without saying which
inline constexpr ClockReasons sync_boost = 0x10;        // held down to the slowest of a group
inline constexpr ClockReasons software_thermal_slowdown = 0x20;
inline constexpr ClockReasons hardware_thermal_slowdown = 0x40;
inline constexpr ClockReasons hardware_power_brake = 0x80;
inline constexpr ClockReasons display_clocks_setting = 0x100;

// What says nothing about how fast work is done: there is none, or somebody set the clocks on purpose.
inline constexpr ClockReasons harmless_reasons = gpu_idle | applications_clocks_setting | display_clocks_setting;

// With all the power that it was built for (`full_power`), a GPU at its power cap is as fast as GPUs of its kind are,
// whenever they are busy; with less, or where that is not known, it is slowed.
constexpr ClockReasons slowing(ClockReasons reasons, bool full_power) {
  return reasons & ~(harmless_reasons | (full_power ? software_power_cap : 0));
}

// One for each reason, in the order of the bits: "software power cap". All unknown ones are told together.
std::vector<std::string> words_of(ClockReasons reasons);

}  // namespace overnight::workers
