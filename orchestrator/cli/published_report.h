// What the store knows of a run, gathered for the report, the ranked table, and the memory of proposers.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "orchestrator/ports/proposer.h"
#include "orchestrator/store/reader.h"

namespace overnight::cli {

std::vector<core::ExperimentRecord> all_experiments(store::HomeReader& reader, const core::RunId& run);
std::vector<core::TrialRecord> all_trials(store::HomeReader& reader, const core::RunId& run);
std::vector<core::AttemptRecord> all_attempts(store::HomeReader& reader, const core::RunId& run);

// Finished trials in order of completion, as proposers may see them.
std::vector<ports::KnownTrial> history_of(store::HomeReader& reader, const core::RunId& run);

// Writes runs/<run>/report.html and report.md; says on stderr if it cannot (a report is never worth a run).
void publish_report(store::HomeReader& reader, const std::filesystem::path& home, const core::RunId& run);

std::string ranked_table(store::HomeReader& reader, const core::RunId& run);

}  // namespace overnight::cli
