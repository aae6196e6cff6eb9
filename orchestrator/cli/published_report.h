// What the store knows of a run, gathered for the report, the ranked table, and the memory of proposers.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/ports/proposer.h"
#include "orchestrator/report/report_data.h"
#include "orchestrator/report/writers.h"
#include "orchestrator/store/reader.h"

namespace overnight::cli {

std::vector<core::ExperimentRecord> all_experiments(store::HomeReader& reader, const core::RunId& run);
std::vector<core::TrialRecord> all_trials(store::HomeReader& reader, const core::RunId& run);
std::vector<core::AttemptRecord> all_attempts(store::HomeReader& reader, const core::RunId& run);

// Finished trials in order of completion, as proposers may see them.
std::vector<ports::KnownTrial> history_of(store::HomeReader& reader, const core::RunId& run);

// None: this home knows no such run, or it cannot be read (told on stderr).
std::optional<report::ReportData> report_data_of(store::HomeReader& reader, const core::RunId& run);

// Writes runs/<run>/report.html and report.md, each whole or not at all; says on stderr if it cannot. Throws nothing: a
// report is never worth a run.
void publish_report(store::HomeReader& reader, const std::filesystem::path& home, const core::RunId& run) noexcept;

// The verdict in a sentence and the best results, for a terminal.
std::string ranked_table(store::HomeReader& reader, const core::RunId& run);
std::string ranked_table(const report::ReportData& data);

}  // namespace overnight::cli
