// Halts that were asked for while no orchestrator could hear them: closed latch files, and HALT files. Whoever opens a
// home for writing puts them into its journal before anything else.
#pragma once

#include <filesystem>
#include <vector>

#include "orchestrator/core/events.h"
#include "orchestrator/core/state.h"
#include "orchestrator/shell/latch_file.h"

namespace overnight::cli {

shell::LatchFile latch_of(const std::filesystem::path& home);
shell::LatchFile latch_of(const std::filesystem::path& home, const core::RunId& run);

std::filesystem::path halt_file(const std::filesystem::path& home);
std::filesystem::path halt_file(const std::filesystem::path& home, const core::RunId& run);

// Of the home (no run) or of one run: a closed latch stands as it was written; a HALT file without one closes it.
std::optional<core::HaltRequested> halt_on_disk(const std::filesystem::path& home,
                                                const std::optional<core::RunId>& run);

// What `state` does not know yet: of the home first, then of its runs. Closes the latch where only a HALT file asks.
std::vector<core::HaltRequested> halts_on_disk(const std::filesystem::path& home, const core::State& state);

// What on the disk keeps the home (no run), or the run or its home, from working, and how it is lifted, in a line for
// people; empty: nothing. Changes nothing.
std::string latch_words(const std::filesystem::path& home, const std::optional<core::RunId>& run);

// After a release: opens the latch of the home (no run) or of the run, and takes the HALT file away.
budgets::Result<void, std::string> lift_on_disk(const std::filesystem::path& home,
                                                const std::optional<core::RunId>& run);

}  // namespace overnight::cli
