// A journal in memory that keeps what a real one keeps, and can fail or "crash" on demand. What was committed is all
// that a new life gets: it is read back from the rows, as from a disk.
#pragma once

#include <functional>

#include "orchestrator/ports/journal.h"

namespace overnight::fakes {

class FakeJournal final : public ports::Journal {
 public:
  [[nodiscard]] budgets::Result<void, ports::JournalError> commit(const ports::Batch& batch) override;
  [[nodiscard]] budgets::Result<ports::Loaded, ports::JournalError> load() override;

  bool refuses = false;                 // as a full disk does; nothing of the batch is kept
  std::function<void()> before_commit;  // may throw: the orchestrator died and nothing was written
  std::function<void()> after_commit;   // may throw: it died, all was written, nothing performed

  // What it remembers.
  std::int64_t commits = 0;
  std::vector<ports::Entry> entries;
  std::map<std::string, std::string> rows;        // of unfinished runs and the home
  std::map<std::string, std::string> ended_rows;  // of runs that left State for good
  std::map<core::RunId, std::string> studies;
  std::map<core::ActionId, core::NumberedAction> outbox;
  std::map<core::ExperimentId, core::ExperimentRecord> experiments;  // the newest record of each
  std::vector<core::TrialRecord> trials;
  std::vector<core::AttemptRecord> attempts;
  std::vector<core::Note> notes;
  std::set<core::RunId> ended;
};

}  // namespace overnight::fakes
