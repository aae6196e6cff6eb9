// Lifting a hold or a latch of a home whose orchestrator does not run: the same `step`, the same journal.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "orchestrator/core/ids.h"

namespace overnight::cli {

// Prints what it did; returns the exit code. No `run` means the home's own latch; with one, that of the home is lifted
// too.
int release_stored(const std::filesystem::path& home, const std::optional<core::RunId>& run, const std::string& reason);

}  // namespace overnight::cli
