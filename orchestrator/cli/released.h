// Lifting a hold or a latch of a home whose orchestrator does not run: the same `step`, the same journal.
#pragma once

#include <filesystem>
#include <string>

namespace overnight::cli {

// Prints what it did; returns the exit code. An empty `run` means the home's own latch.
int release_stored(const std::filesystem::path& home, const std::string& run, const std::string& reason);

}  // namespace overnight::cli
