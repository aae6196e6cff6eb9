#include "workers/nvml/clock_reasons.h"

#include <cstdio>
#include <utility>

namespace overnight::workers {
namespace {

constexpr std::pair<ClockReasons, const char*> known_reasons[] = {
    {gpu_idle, "GPU idle"},
    {applications_clocks_setting, "applications clocks setting"},
    {software_power_cap, "software power cap"},
    {hardware_slowdown, "hardware slowdown"},
    {sync_boost, "sync boost"},
    {software_thermal_slowdown, "software thermal slowdown"},
    {hardware_thermal_slowdown, "hardware thermal slowdown"},
    {hardware_power_brake, "hardware power brake"},
    {display_clocks_setting, "display clocks setting"},
};

}  // namespace

std::vector<std::string> words_of(ClockReasons reasons) {
  std::vector<std::string> words;
  for (const auto& [bit, word] : known_reasons) {
    if ((reasons & bit) != 0) words.emplace_back(word);
    reasons &= ~bit;
  }
  if (reasons != 0) {
    char text[48];
    std::snprintf(text, sizeof text, "unknown reason 0x%llx", static_cast<unsigned long long>(reasons));
    words.emplace_back(text);
  }
  return words;
}

}  // namespace overnight::workers
