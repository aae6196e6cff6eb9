// All that a report is made of: plain data that somebody read from a store, a test made up, or a simulator played.
//
// A value. The writers (writers.h) read nothing else: no clock, no file, no database. Texts in it come from tasks and
// LLMs and are hostile; the writers escape them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "orchestrator/core/changes.h"
#include "orchestrator/core/state.h"

namespace overnight::report {

struct ReportData {
  core::Run run;                                    // as it is, or as it was at its end
  std::vector<core::ExperimentRecord> experiments;  // by id
  std::vector<core::TrialRecord> trials;            // in the order in which they finished
  std::vector<core::AttemptRecord> attempts;        // in the order in which they were launched
  std::vector<core::Note> notes;                    // the last ones, oldest first
  std::map<core::SlotId, core::SlotFound> slots;    // as far as known
  std::string home_uuid;
  std::int64_t journal_entries = 0;
  std::string journal_head;  // hash of the newest journal entry that was read; empty: unknown
  std::string version;       // of the program that writes the report
  core::WallTime written;
};

}  // namespace overnight::report
