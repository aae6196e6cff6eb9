#include "orchestrator/store/reader.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "orchestrator/core/rows.h"
#include "orchestrator/store/queries.h"
#include "orchestrator/store/records.h"
#include "orchestrator/store/schema.h"

namespace overnight::store {
namespace {

std::int64_t bounded(std::int64_t limit) { return std::clamp<std::int64_t>(limit, 0, page_max); }

// Where we may not write, SQLite cannot make its -shm file; with nothing in the write-ahead log none is needed.
Database::Mode reading_mode(const HomePaths& paths) {
  if (::access(paths.home.c_str(), W_OK) == 0) return Database::Mode::read_only;
  struct stat log {};
  const bool empty = ::stat((paths.database + "-wal").c_str(), &log) != 0 || log.st_size == 0;
  return empty ? Database::Mode::unchanging : Database::Mode::read_only;
}

Stored<void> find_database(const HomePaths& paths) {
  struct stat found {};
  if (::stat(paths.home.c_str(), &found) == 0 && !S_ISDIR(found.st_mode)) {
    return budgets::unexpected(error_of_errno(ENOTDIR, "open the home", paths.home));
  }
  if (::stat(paths.database.c_str(), &found) == 0) return {};
  if (errno != ENOENT) return budgets::unexpected(error_of_errno(errno, "open", paths.database));
  return budgets::unexpected(StoreError{
      StoreError::Kind::missing,
      fmt::format("there is no home at {} (no home.db in it); check --home and $OVERNIGHT_HOME, or start a run "
                  "there first",
                  paths.home)});
}

// Reads all rows of a started statement with `read`, which gives a Result with a text for its error.
template <typename T, typename Read>
Stored<std::vector<T>> all_of(Statement& statement, const std::string& path, Read read) {
  std::vector<T> items;
  Stored<bool> row = statement.step();
  for (; row && *row; row = statement.step()) {
    budgets::Result<T, std::string> item = read(statement);
    if (!item) {
      statement.rewind();
      return budgets::unexpected(corrupt(path, item.error()));
    }
    items.push_back(std::move(*item));
  }
  if (!row) return budgets::unexpected(row.error());
  return items;
}

// The statement was started with one row more than the limit, which tells whether there is more.
template <typename T, typename Read, typename Cursor>
Stored<Page<T>> page_of(Statement& statement, const std::string& path, std::int64_t limit, std::int64_t start,
                        Read read, Cursor cursor) {
  Stored<std::vector<T>> items = all_of<T>(statement, path, read);
  if (!items) return budgets::unexpected(items.error());
  Page<T> page;
  page.more = static_cast<std::int64_t>(items->size()) > limit;
  if (page.more) items->pop_back();
  page.items = std::move(*items);
  page.next = page.items.empty() ? start : cursor(page.items.back());
  return page;
}

template <typename T, typename Read>
Stored<std::optional<T>> one_of(Statement& statement, const std::string& path, Read read) {
  Stored<std::vector<T>> items = all_of<T>(statement, path, read);
  if (!items) return budgets::unexpected(items.error());
  if (items->empty()) return std::nullopt;
  return std::optional<T>(std::move(items->front()));
}

budgets::Result<FinishedTrial, std::string> finished_trial_of(const Statement& row) {
  budgets::Result<core::TrialRecord, std::string> trial = trial_of(row);
  if (!trial) return budgets::unexpected(trial.error());
  return FinishedTrial{row.integer(0), std::move(*trial)};
}

budgets::Result<NumberedNote, std::string> numbered_note_of(const Statement& row) {
  return NumberedNote{row.integer(0), note_of(row)};
}

budgets::Result<JournalEntry, std::string> entry_of(const Statement& row) {
  return JournalEntry{row.integer(0), row.integer(1), core::WallTime::at(row.integer(2)),
                      row.text(3),    row.text(4),    row.text(5),
                      row.text(6),    row.text(7)};
}

struct StartedRun {
  std::int64_t number = 0;
  std::string id, study;
};

budgets::Result<StartedRun, std::string> started_run_of(const Statement& row) {
  return StartedRun{row.integer(0), row.text(1), row.text(2)};
}

// Ends the reader's transaction, whatever happens in it.
class Snapshot {
 public:
  Snapshot(Statement& begin, Statement& end) : end_(end), begun_(begin.run({})) {}
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;
  ~Snapshot() {
    if (begun_) (void)end_.run({});  // nothing was written
  }
  const Stored<void>& begun() const { return begun_; }

 private:
  Statement& end_;
  Stored<void> begun_;
};

}  // namespace

Stored<std::unique_ptr<Database>> open_for_reading(const HomePaths& paths) {
  const Stored<void> found = find_database(paths);
  if (!found) return budgets::unexpected(found.error());
  Stored<std::unique_ptr<Database>> database = Database::open(paths.database, reading_mode(paths));
  if (!database) return database;
  const Stored<void> checked = check_schema(**database);
  if (!checked) return budgets::unexpected(checked.error());
  const Stored<void> prepared = (*database)->execute(query::prepare_for_reading);
  if (!prepared) return budgets::unexpected(prepared.error());
  return database;
}

Stored<std::unique_ptr<HomeReader>> HomeReader::open(const std::string& home) {
  Stored<std::unique_ptr<Database>> database = open_for_reading(HomePaths(home));
  if (!database) return budgets::unexpected(database.error());
  std::unique_ptr<HomeReader> reader(new HomeReader(std::move(*database)));
  const Stored<void> prepared = reader->prepare();
  if (!prepared) return budgets::unexpected(prepared.error());
  return reader;
}

Stored<void> HomeReader::prepare() {
  return prepare_all(*database_, {{&begin_, query::begin_reading},
                                  {&end_, query::commit},
                                  {&runs_, query::runs_newest_first},
                                  {&run_, query::one_run},
                                  {&rows_of_run_, query::rows_of_run},
                                  {&experiments_, query::experiments_of_run},
                                  {&experiment_, query::one_experiment},
                                  {&trials_, query::trials_of_run},
                                  {&trials_of_, query::trials_of_experiment},
                                  {&attempts_, query::attempts_of_run},
                                  {&attempts_of_, query::attempts_of_trial},
                                  {&attempt_, query::one_attempt},
                                  {&notes_of_run_, query::last_notes_of_run},
                                  {&last_notes_, query::last_notes},
                                  {&notes_, query::notes_after},
                                  {&entries_, query::entries_after},
                                  {&outbox_, query::all_actions}});
}

Stored<HomeFacts> HomeReader::home() {
  const Snapshot snapshot(begin_, end_);
  if (!snapshot.begun()) return budgets::unexpected(snapshot.begun().error());
  HomeFacts facts;
  const Stored<std::string> uuid = database_->text(query::home_uuid);
  if (!uuid) return budgets::unexpected(uuid.error());
  facts.uuid = *uuid;
  std::int64_t created_unix_ms = 0;
  for (const auto& [number, query] : {std::pair{&created_unix_ms, query::home_created},
                                      {&facts.journal_entries, query::last_seq},
                                      {&facts.anchors_replaced, query::anchors_replaced}}) {
    const Stored<std::int64_t> found = database_->integer(query);
    if (!found) return budgets::unexpected(found.error());
    *number = *found;
  }
  facts.created = core::WallTime::at(created_unix_ms);
  return facts;
}

Stored<std::optional<RunFacts>> HomeReader::read_run(std::int64_t number, const std::string& id,
                                                     const std::string& study) {
  RunFacts facts;
  facts.number = number;
  rows_of_run_.start({id});
  std::map<std::string, std::string> parts;
  Stored<bool> row = rows_of_run_.step();
  for (; row && *row; row = rows_of_run_.step()) {
    parts[rows_of_run_.text(0)] = rows_of_run_.text(1);
    facts.ended = rows_of_run_.integer(2) != 0;
  }
  if (!row) return budgets::unexpected(row.error());
  if (parts.empty()) return std::nullopt;  // its start was refused
  budgets::Result<core::Run, std::string> run = core::read_run_rows(parts, study);
  if (!run) return budgets::unexpected(corrupt(database_->path(), "run " + id + ": " + run.error()));
  facts.run = std::move(*run);
  return std::optional<RunFacts>(std::move(facts));
}

Stored<std::map<core::SlotId, core::Slot>> HomeReader::slots() {
  rows_of_run_.start({std::string()});
  core::State state;
  Stored<bool> row = rows_of_run_.step();
  for (; row && *row; row = rows_of_run_.step()) {
    if (rows_of_run_.text(0) != "home") continue;
    const budgets::Result<void, std::string> read = core::read_home_row(state, rows_of_run_.text(1));
    if (!read) return budgets::unexpected(corrupt(database_->path(), read.error()));
  }
  if (!row) return budgets::unexpected(row.error());
  return std::move(state.slots);
}

Stored<Page<RunFacts>> HomeReader::runs(std::int64_t before, std::int64_t limit) {
  const Snapshot snapshot(begin_, end_);
  if (!snapshot.begun()) return budgets::unexpected(snapshot.begun().error());
  const std::int64_t start = before > 0 ? before : INT64_MAX;
  runs_.start({start, bounded(limit) + 1});
  const Stored<Page<StartedRun>> started =
      page_of<StartedRun>(runs_, database_->path(), bounded(limit), start, started_run_of,
                          [](const StartedRun& run) { return run.number; });
  if (!started) return budgets::unexpected(started.error());
  Page<RunFacts> page{{}, started->next, started->more};
  for (const StartedRun& run : started->items) {
    Stored<std::optional<RunFacts>> facts = read_run(run.number, run.id, run.study);
    if (!facts) return budgets::unexpected(facts.error());
    if (*facts) page.items.push_back(std::move(**facts));
  }
  return page;
}

Stored<std::optional<RunFacts>> HomeReader::run(const core::RunId& id) {
  const Snapshot snapshot(begin_, end_);
  if (!snapshot.begun()) return budgets::unexpected(snapshot.begun().error());
  run_.start({id.text});
  const Stored<std::optional<StartedRun>> started = one_of<StartedRun>(run_, database_->path(), started_run_of);
  if (!started) return budgets::unexpected(started.error());
  if (!*started) return std::nullopt;
  return read_run((*started)->number, (*started)->id, (*started)->study);
}

Stored<std::optional<std::string>> HomeReader::study_json(const core::RunId& id) {
  run_.start({id.text});
  Stored<std::optional<StartedRun>> started = one_of<StartedRun>(run_, database_->path(), started_run_of);
  if (!started) return budgets::unexpected(started.error());
  if (!*started) return std::nullopt;
  return std::optional<std::string>(std::move((*started)->study));
}

Stored<Page<core::ExperimentRecord>> HomeReader::experiments(const core::RunId& id, const ExperimentFilter& filter,
                                                             std::int64_t after, std::int64_t limit) {
  experiments_.start({id.text, after, filter.status, filter.proposer, bounded(limit) + 1});
  return page_of<core::ExperimentRecord>(experiments_, database_->path(), bounded(limit), after, experiment_of,
                                         [](const core::ExperimentRecord& r) { return core::number(r.experiment); });
}

Stored<std::optional<core::ExperimentRecord>> HomeReader::experiment(core::ExperimentId id) {
  experiment_.start({core::number(id)});
  return one_of<core::ExperimentRecord>(experiment_, database_->path(), experiment_of);
}

Stored<Page<FinishedTrial>> HomeReader::trials(const core::RunId& id, std::int64_t after, std::int64_t limit) {
  trials_.start({id.text, after, bounded(limit) + 1});
  return page_of<FinishedTrial>(trials_, database_->path(), bounded(limit), after, finished_trial_of,
                                [](const FinishedTrial& trial) { return trial.finish; });
}

Stored<std::vector<core::TrialRecord>> HomeReader::trials_of(core::ExperimentId id) {
  trials_of_.start({core::number(id), page_max});
  return all_of<core::TrialRecord>(trials_of_, database_->path(), trial_of);
}

Stored<Page<core::AttemptRecord>> HomeReader::attempts(const core::RunId& id, std::int64_t after, std::int64_t limit) {
  attempts_.start({id.text, after, bounded(limit) + 1});
  return page_of<core::AttemptRecord>(attempts_, database_->path(), bounded(limit), after, attempt_of,
                                      [](const core::AttemptRecord& r) { return core::number(r.attempt); });
}

Stored<std::vector<core::AttemptRecord>> HomeReader::attempts_of(core::TrialId id) {
  attempts_of_.start({core::number(id), page_max});
  return all_of<core::AttemptRecord>(attempts_of_, database_->path(), attempt_of);
}

Stored<std::optional<core::AttemptRecord>> HomeReader::attempt(core::AttemptId id) {
  attempt_.start({core::number(id)});
  return one_of<core::AttemptRecord>(attempt_, database_->path(), attempt_of);
}

Stored<std::vector<NumberedNote>> HomeReader::last_notes(const std::optional<core::RunId>& id, std::int64_t limit) {
  Statement& statement = id ? notes_of_run_ : last_notes_;
  if (id) {
    statement.start({id->text, bounded(limit)});
  } else {
    statement.start({bounded(limit)});
  }
  Stored<std::vector<NumberedNote>> notes = all_of<NumberedNote>(statement, database_->path(), numbered_note_of);
  if (notes) std::reverse(notes->begin(), notes->end());
  return notes;
}

Stored<Page<NumberedNote>> HomeReader::notes(std::int64_t after, std::int64_t limit) {
  notes_.start({after, bounded(limit) + 1});
  return page_of<NumberedNote>(notes_, database_->path(), bounded(limit), after, numbered_note_of,
                               [](const NumberedNote& note) { return note.number; });
}

Stored<Page<JournalEntry>> HomeReader::entries(std::int64_t after, std::int64_t limit) {
  entries_.start({after, bounded(limit) + 1});
  return page_of<JournalEntry>(entries_, database_->path(), bounded(limit), after, entry_of,
                               [](const JournalEntry& entry) { return entry.seq; });
}

Stored<std::vector<core::NumberedAction>> HomeReader::outbox() {
  outbox_.start({});
  return all_of<core::NumberedAction>(outbox_, database_->path(),
                                      [](const Statement& row) { return core::action_from_json(row.text(1)); });
}

}  // namespace overnight::store
