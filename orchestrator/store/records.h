// How the core's records lie in their tables: one row of fields each, in the order of the columns, and back.
#pragma once

#include "orchestrator/core/changes.h"
#include "orchestrator/store/fields.h"
#include "orchestrator/store/sql.h"

namespace overnight::store {

Fields fields_of(const core::ExperimentRecord& record);
// `finish`: the trial's place among all finished trials of the home.
Fields fields_of(const core::TrialRecord& record, std::int64_t finish);
Fields fields_of(const core::AttemptRecord& record);
std::string gpus_of(const core::AttemptRecord& record);  // a column of its own behind the digest; empty: nothing known
Fields fields_of(const core::Note& note, std::int64_t number);

// From the statement's current row; the error says which row and what does not fit.
[[nodiscard]] budgets::Result<core::ExperimentRecord, std::string> experiment_of(const Statement& row);
[[nodiscard]] budgets::Result<core::TrialRecord, std::string> trial_of(const Statement& row);  // column 0 is `finish`
[[nodiscard]] budgets::Result<core::AttemptRecord, std::string> attempt_of(const Statement& row);
core::Note note_of(const Statement& row);  // column 0 is its number

// What the digest of a row of each table is made over (fields.h).
inline constexpr std::string_view study_domain = "overnight.study.v1\n";
inline constexpr std::string_view experiment_domain = "overnight.experiment.v1\n";
inline constexpr std::string_view trial_domain = "overnight.trial.v1\n";
inline constexpr std::string_view attempt_domain = "overnight.attempt.v1\n";
inline constexpr std::string_view note_domain = "overnight.note.v1\n";
inline constexpr std::string_view ended_row_domain = "overnight.ended.v1\n";
inline constexpr std::string_view action_domain = "overnight.action.v1\n";

// Of an attempt's fields and what its GPUs did: those of schema 2 have none, and keep the digests that they were given.
core::Digest attempt_digest(Fields fields, std::string_view gpus);

}  // namespace overnight::store
