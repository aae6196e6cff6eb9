// A halt without the orchestrator, be it dead, stopped or hung: write the latch, kill the keepers, see that they and
// all that they started are gone.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/core/ids.h"

namespace overnight::cli {

struct HaltOutcome {
  std::filesystem::path home;
  std::string path;        // "api" or "offline"
  bool latched = true;     // false: the disk refused; killed all the same
  bool confirmed = false;  // all that was found was seen to be gone
  std::int64_t gone = 0;   // keepers, or attempts
  std::vector<std::string> alive;
  std::int64_t took_ms = 0;
};

// Only `run`, or the whole home. `asked`: when somebody wanted it, from when on its time is counted.
HaltOutcome halt_offline(const std::filesystem::path& home, const std::optional<core::RunId>& run,
                         const std::string& reason,
                         std::chrono::steady_clock::time_point asked = std::chrono::steady_clock::now());

// Processes of this home (or run) that live: keepers, and tasks whose environment names their attempt's folder.
std::vector<pid_t> live_processes(const std::filesystem::path& home, const std::optional<core::RunId>& run);

}  // namespace overnight::cli
