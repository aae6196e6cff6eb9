// What people ask a home: read models for the command line, the report and the dashboard.
//
// A read-only connection of its own; works while the orchestrator writes, and when none runs. Each call sees one
// committed state; two calls may see two. Lists come in pages of at most `page_max`, with a cursor for the next.
// One thread at a time.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/core/changes.h"
#include "orchestrator/core/state.h"
#include "orchestrator/store/home.h"
#include "orchestrator/store/sql.h"

namespace overnight::store {

inline constexpr std::int64_t page_max = 1000;  // rows of one answer: the memory of a reader, and how long it may pin
                                                // the write-ahead log

// The home's database for reading, checked to be ours; explains what is missing.
[[nodiscard]] Stored<std::unique_ptr<Database>> open_for_reading(const HomePaths& paths);

template <typename T>
struct Page {
  std::vector<T> items;
  std::int64_t next = 0;  // pass it as the cursor to go on
  bool more = false;      // there was something behind the last item
};

struct HomeFacts {
  std::string uuid;
  core::WallTime created;
  std::int64_t journal_entries = 0;
  std::int64_t anchors_replaced = 0;  // how often journal.head was missing when the home was opened
};

struct RunFacts {
  std::int64_t number = 0;  // runs of this home, in the order of their start, from 1
  core::Run run;            // as it is, or as it was at its end; `seen` is left empty
  bool ended = false;       // it left State for good
};

struct ExperimentFilter {
  std::string status;    // empty: any
  std::string proposer;  // empty: any
};

struct FinishedTrial {
  std::int64_t finish = 0;  // the cursor: its place among all finished trials of the home
  core::TrialRecord trial;
};

struct NumberedNote {
  std::int64_t number = 0;
  core::Note note;
};

struct JournalEntry {
  std::int64_t seq = 0;
  std::int64_t epoch = 0;
  core::WallTime wall;
  std::string event, input, actions, state_hash, hash;
};

class HomeReader {
 public:
  static Stored<std::unique_ptr<HomeReader>> open(const std::string& home);
  HomeReader(const HomeReader&) = delete;
  HomeReader& operator=(const HomeReader&) = delete;

  [[nodiscard]] Stored<HomeFacts> home();
  // As the newest life of the orchestrator found them.
  [[nodiscard]] Stored<std::map<core::SlotId, core::Slot>> slots();

  // Newest first. `before`: the `next` of the last page, 0 to begin.
  [[nodiscard]] Stored<Page<RunFacts>> runs(std::int64_t before, std::int64_t limit);
  // None: this home knows no such run.
  [[nodiscard]] Stored<std::optional<RunFacts>> run(const core::RunId& run);
  [[nodiscard]] Stored<std::optional<std::string>> study_json(const core::RunId& run);

  // By id. `after`: 0 to begin.
  [[nodiscard]] Stored<Page<core::ExperimentRecord>> experiments(const core::RunId& run, const ExperimentFilter& filter,
                                                                 std::int64_t after, std::int64_t limit);
  [[nodiscard]] Stored<std::optional<core::ExperimentRecord>> experiment(core::ExperimentId experiment);

  // In the order in which they finished, so that a cursor misses none.
  [[nodiscard]] Stored<Page<FinishedTrial>> trials(const core::RunId& run, std::int64_t after, std::int64_t limit);
  [[nodiscard]] Stored<std::vector<core::TrialRecord>> trials_of(core::ExperimentId experiment);

  [[nodiscard]] Stored<Page<core::AttemptRecord>> attempts(const core::RunId& run, std::int64_t after,
                                                           std::int64_t limit);
  [[nodiscard]] Stored<std::vector<core::AttemptRecord>> attempts_of(core::TrialId trial);
  [[nodiscard]] Stored<std::optional<core::AttemptRecord>> attempt(core::AttemptId attempt);

  // The newest `limit`, oldest first; `run` empty: of all runs and of the home.
  [[nodiscard]] Stored<std::vector<NumberedNote>> last_notes(const std::optional<core::RunId>& run, std::int64_t limit);
  // What came after a cursor, oldest first: for following.
  [[nodiscard]] Stored<Page<NumberedNote>> notes(std::int64_t after, std::int64_t limit);

  // By sequence number. `after`: 0 to begin.
  [[nodiscard]] Stored<Page<JournalEntry>> entries(std::int64_t after, std::int64_t limit);

  // Decided, not known to be done.
  [[nodiscard]] Stored<std::vector<core::NumberedAction>> outbox();

 private:
  explicit HomeReader(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  Stored<void> prepare();
  // None: its start was refused, it never had rows.
  Stored<std::optional<RunFacts>> read_run(std::int64_t number, const std::string& id, const std::string& study);

  std::unique_ptr<Database> database_;
  Statement begin_, end_;
  Statement runs_, run_, rows_of_run_;
  Statement experiments_, experiment_;
  Statement trials_, trials_of_;
  Statement attempts_, attempts_of_, attempt_;
  Statement notes_of_run_, last_notes_, notes_;
  Statement entries_, outbox_;
};

}  // namespace overnight::store
