#include "orchestrator/store/schema.h"

#include <fmt/format.h>

#include "budgets/invariant.h"
#include "orchestrator/store/queries.h"

namespace overnight::store {
namespace {

constexpr std::int64_t application_mark = 0x6f766e74;  // "ovnt", in the file's header

// 1: the first tables. Indices are chosen so that a commit only ever appends or looks up by key.
constexpr Sql create_tables = R"(
BEGIN IMMEDIATE;
PRAGMA application_id = 1870032500;
CREATE TABLE home (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  uuid TEXT NOT NULL,
  created_unix_ms INTEGER NOT NULL,
  anchors_replaced INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE journal (
  seq INTEGER PRIMARY KEY,
  epoch INTEGER NOT NULL,
  wall_unix_ms INTEGER NOT NULL,
  event TEXT NOT NULL,
  input TEXT NOT NULL,
  actions TEXT NOT NULL,
  state_hash TEXT NOT NULL,
  records_hash TEXT NOT NULL,
  prev_hash TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE TABLE rows (
  run TEXT NOT NULL,
  part TEXT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (run, part)
) STRICT;
CREATE TABLE studies (
  number INTEGER PRIMARY KEY,
  run TEXT NOT NULL UNIQUE,
  study TEXT NOT NULL
) STRICT;
CREATE TABLE experiments (
  experiment INTEGER PRIMARY KEY,
  run TEXT NOT NULL REFERENCES studies (run) DEFERRABLE INITIALLY DEFERRED,
  params TEXT NOT NULL,
  hash TEXT NOT NULL,
  proposer TEXT NOT NULL,
  hypothesis TEXT NOT NULL,
  parents TEXT NOT NULL,
  purpose TEXT NOT NULL,
  status TEXT NOT NULL,
  admitted_unix_ms INTEGER NOT NULL,
  history_cursor INTEGER NOT NULL,
  digest TEXT NOT NULL
) STRICT;
CREATE INDEX experiments_of_run ON experiments (run, experiment);
CREATE TABLE trials (
  finish INTEGER PRIMARY KEY,
  trial INTEGER NOT NULL UNIQUE,
  experiment INTEGER NOT NULL REFERENCES experiments (experiment) DEFERRABLE INITIALLY DEFERRED,
  run TEXT NOT NULL,
  purpose TEXT NOT NULL,
  seed INTEGER NOT NULL,
  cause TEXT NOT NULL,
  phase TEXT NOT NULL,
  detail TEXT NOT NULL,
  score REAL,
  self_reported INTEGER NOT NULL,
  metrics TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  last_attempt INTEGER NOT NULL,
  used_slot_ms INTEGER NOT NULL,
  used_gpu_ms INTEGER NOT NULL,
  used_experiments INTEGER NOT NULL,
  used_actions INTEGER NOT NULL,
  used_money_microusd INTEGER NOT NULL,
  used_tokens INTEGER NOT NULL,
  used_disk_bytes INTEGER NOT NULL,
  finished_unix_ms INTEGER NOT NULL,
  digest TEXT NOT NULL
) STRICT;
CREATE INDEX trials_of_run ON trials (run, finish);
CREATE INDEX trials_of_experiment ON trials (experiment, finish);
CREATE TABLE attempts (
  attempt INTEGER PRIMARY KEY,
  trial INTEGER NOT NULL,
  experiment INTEGER NOT NULL REFERENCES experiments (experiment) DEFERRABLE INITIALLY DEFERRED,
  run TEXT NOT NULL,
  slot INTEGER NOT NULL,
  cause TEXT NOT NULL,
  phase TEXT NOT NULL,
  detail TEXT NOT NULL,
  log_tail TEXT NOT NULL,
  launched_unix_ms INTEGER NOT NULL,
  gone_unix_ms INTEGER NOT NULL,
  took_ms INTEGER NOT NULL,
  killed_in_ms INTEGER NOT NULL,
  phase_ms TEXT NOT NULL,
  memory_peak_bytes INTEGER NOT NULL,
  disturbed INTEGER NOT NULL,
  digest TEXT NOT NULL
) STRICT;
CREATE INDEX attempts_of_run ON attempts (run, attempt);
CREATE INDEX attempts_of_trial ON attempts (trial, attempt);
CREATE TABLE notes (
  note INTEGER PRIMARY KEY,
  run TEXT NOT NULL,
  wall_unix_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX notes_of_run ON notes (run, note);
CREATE TABLE outbox (
  action INTEGER PRIMARY KEY,
  text TEXT NOT NULL,
  digest TEXT NOT NULL
) STRICT;
PRAGMA user_version = 1;
COMMIT;
)";

// 2: the last rows of runs that ended stay readable; they are marked, and no longer part of State.
constexpr Sql mark_ended_rows = R"(
BEGIN IMMEDIATE;
ALTER TABLE rows ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version = 2;
COMMIT;
)";

// 3: what the GPUs of an attempt did, as JSON; empty: nothing is known of them, or it had none. It stands behind the
// digest, and is part of it where it is not empty: older rows keep theirs.
constexpr Sql add_gpus_of_attempts = R"(
BEGIN IMMEDIATE;
ALTER TABLE attempts ADD COLUMN gpus TEXT NOT NULL DEFAULT '';
PRAGMA user_version = 3;
COMMIT;
)";

constexpr Sql migrations[] = {create_tables, mark_ended_rows, add_gpus_of_attempts};
static_assert(std::size(migrations) == schema_version);

Stored<std::string> schema_of(Database& database) { return database.text(query::schema_text); }

StoreError newer(const std::string& path, std::int64_t version) {
  return {
      StoreError::Kind::newer_version,
      fmt::format("cannot open {}: it was written by a newer overnight (schema {}, this one knows {}); use the newer "
                  "version that wrote it",
                  path, version, schema_version)};
}

StoreError foreign(const std::string& path, std::string_view why) {
  return {StoreError::Kind::not_a_home,
          fmt::format("cannot open {}: {}; name a folder that overnight may have to itself with --home", path, why)};
}

// The version of a database of ours; 0: it is empty.
Stored<std::int64_t> version_of(Database& database) {
  const Stored<std::int64_t> mark = database.integer(query::application_mark);
  if (!mark) return budgets::unexpected(mark.error());
  const Stored<std::int64_t> version = database.integer(query::user_version);
  if (!version) return budgets::unexpected(version.error());
  const Stored<std::int64_t> tables = database.integer(query::count_of_tables);
  if (!tables) return budgets::unexpected(tables.error());
  if (*mark == 0 && *version == 0 && *tables == 0) return 0;
  if (*mark != application_mark) return budgets::unexpected(foreign(database.path(), "it belongs to another program"));
  if (*version > schema_version) return budgets::unexpected(newer(database.path(), *version));
  if (*version < 1) return budgets::unexpected(corrupt(database.path(), "its schema version makes no sense"));
  return *version;
}

}  // namespace

Stored<void> migrate(Database& database) {
  const Stored<std::int64_t> version = version_of(database);
  if (!version) return budgets::unexpected(version.error());
  for (std::int64_t next = *version; next < schema_version; ++next) {
    const Stored<void> done = database.execute(migrations[next]);
    if (done) continue;
    (void)database.execute(query::rollback);  // fails where the failure itself ended the transaction
    return done;
  }
  return check_schema(database);
}

Stored<void> check_schema(Database& database) {
  const Stored<std::int64_t> version = version_of(database);
  if (!version) return budgets::unexpected(version.error());
  if (*version == 0) {  // killed while it was made
    return budgets::unexpected(StoreError{
        StoreError::Kind::missing,
        fmt::format("there is no home at {} yet: its making was cut off, and nothing was kept in it; start a "
                    "run there, that makes it",
                    database.path())});
  }
  if (*version < schema_version) {
    return budgets::unexpected(
        StoreError{StoreError::Kind::misuse,
                   fmt::format("cannot read {}: it was written by an older overnight (schema {}, this one reads {}); "
                               "start or resume a run in this home once, that brings it up to date",
                               database.path(), *version, schema_version)});
  }
  const std::unique_ptr<Database> model = Database::in_memory();
  for (const Sql& migration : migrations) {
    const Stored<void> made = model->execute(migration);
    INVARIANT(made.has_value(), "the migrations run on an empty database");
  }
  const Stored<std::string> expected = schema_of(*model);
  const Stored<std::string> found = schema_of(database);
  if (!found) return budgets::unexpected(found.error());
  if (*found != *expected) {
    return budgets::unexpected(corrupt(database.path(), "its tables are not those that overnight made"));
  }
  return {};
}

}  // namespace overnight::store
