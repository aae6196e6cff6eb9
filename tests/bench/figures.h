// How benchmark programs tell what they measured: one JSON object a line on standard output, read by tests/bench/run.
//
//   {"figure": "...", "measured": 0.61, "unit": "ms", "target": "< 1"}      target is empty where there is none
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>

#include <cstdint>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

namespace overnight::bench {

inline void tell(const std::string& figure, double measured, const std::string& unit, const std::string& target = "") {
  std::cout << nlohmann::json{{"figure", figure}, {"measured", measured}, {"unit", unit}, {"target", target}}.dump()
            << std::endl;
}

// CPU time of this process, all threads, user and system, in seconds.
inline double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

inline double wall_seconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// The most memory that this process ever had resident.
inline double peak_megabytes() {
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;) {
    if (word != "VmHWM:") continue;
    std::int64_t kilobytes = 0;
    in >> kilobytes;
    return static_cast<double>(kilobytes) / 1024;
  }
  return 0;
}

}  // namespace overnight::bench
