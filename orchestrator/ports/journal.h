// Port: the durable side of the home. One batch of inputs is one transaction: journal rows, changed rows of State,
// records, outbox. Actions leave only after `commit` returned; if it fails the program ends, and the disk is right.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "budgets/result.h"
#include "orchestrator/core/changes.h"
#include "orchestrator/core/events.h"
#include "orchestrator/core/state.h"

namespace overnight::ports {

struct JournalError {
  std::string explain;  // what happened, where, what to do
};

// One input and what was decided. The store adds the chain: hash = SHA-256 over the previous hash and all fields.
struct Entry {
  core::InputSeq seq{};
  core::Epoch epoch{};
  core::WallTime wall;
  std::string event;       // name_of(event)
  std::string input;       // JSON of the Input
  std::string actions;     // JSON array of the actions decided
  std::string state_hash;  // after this input
};

struct Batch {
  std::vector<Entry> entries;
  std::map<std::string, std::string>
      rows;  // rows of State by name ("home", "RUN/status"), the last text each; empty: delete
  std::vector<core::ExperimentRecord> experiments;
  std::vector<core::TrialRecord> trials;
  std::vector<core::AttemptRecord> attempts;
  std::vector<core::Note> notes;
  std::vector<core::NumberedAction> outbox;                  // decided in this batch
  std::vector<core::ActionId> performed;                     // known to be done since the last batch
  std::vector<std::pair<core::RunId, std::string>> studies;  // runs that started: study as JSON
  std::vector<core::RunId> ended;  // runs that left State for good; `rows` holds their last text, kept for readers
};

// What a new life of the orchestrator begins with.
struct Loaded {
  core::State state;                         // seen hashes included
  core::InputSeq last{};                     // of the journal
  std::vector<core::NumberedAction> outbox;  // decided, not known to be done
};

class Journal {
 public:
  Journal() = default;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  virtual ~Journal() = default;

  [[nodiscard]] virtual budgets::Result<void, JournalError> commit(const Batch& batch) = 0;
  [[nodiscard]] virtual budgets::Result<Loaded, JournalError> load() = 0;
};

}  // namespace overnight::ports
