// Lifting a hold or a latch of a home whose orchestrator does not run: the same `step`, the same journal.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/core/ids.h"

namespace overnight::cli {

// Prints what it did; returns the exit code. No `run` means the home's own latch; with one, that of the home is lifted
// too.
int release_stored(const std::filesystem::path& home, const std::optional<core::RunId>& run, const std::string& reason,
                   bool as_json);

// What was lifted, runs and (none) the home, for people or as JSON.
void print_released(const std::vector<std::optional<core::RunId>>& lifted, bool as_json);

}  // namespace overnight::cli
