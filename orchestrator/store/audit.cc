#include "orchestrator/store/audit.h"

#include <fmt/format.h>

#include "orchestrator/store/anchor.h"
#include "orchestrator/store/chain.h"
#include "orchestrator/store/loader.h"
#include "orchestrator/store/queries.h"
#include "orchestrator/store/reader.h"
#include "orchestrator/store/records.h"

namespace overnight::store {
namespace {

using Kind = AuditVerdict::Kind;

constexpr std::size_t uuid_bytes_max = 64;

// One walk over a home. Each check says whether to go on; the first that fails has written the verdict.
class Audit {
 public:
  Audit(Database& database, HomePaths paths, std::optional<Anchor> anchor)
      : database_(database), paths_(std::move(paths)), anchor_(std::move(anchor)) {}

  AuditVerdict run() {
    const bool all_good = check_identity() && walk_journal() && check_anchor() && check_state() && check_records() &&
                          check_outbox() && check_file();
    if (all_good) {
      verdict_.explain = fmt::format("{} journal entries, each linked to the one before; State, records and outbox fit",
                                     verdict_.entries);
      if (anchors_replaced_ > 0) {
        verdict_.explain +=
            fmt::format("; journal.head was missing {} times when the home was opened", anchors_replaced_);
      }
    }
    return verdict_;
  }

 private:
  bool bad(Kind kind, std::string explain) {
    verdict_.kind = kind;
    verdict_.explain = std::move(explain);
    return false;
  }
  bool bad_entry(std::int64_t seq, std::string_view what) {
    verdict_.first_bad_seq = seq;
    return bad(Kind::tampered, fmt::format("journal entry {}: {}", seq, what));
  }
  bool unreadable(const StoreError& error) { return bad(Kind::unreadable, error.explain); }

  bool check_identity();
  bool walk_journal();
  bool check_entry(const Statement& row);
  bool check_anchor();
  bool check_state();
  bool check_records();
  bool add_table(Sql query, std::string_view domain, int columns, bool sealed, std::string_view what);
  bool add_attempts();
  bool add_row(const core::Digest& digest, const std::string& sealed, std::string_view what, const std::string& number);
  bool check_outbox();
  bool check_file();

  Database& database_;
  HomePaths paths_;
  std::optional<Anchor> anchor_;
  AuditVerdict verdict_;
  std::int64_t epoch_ = 0;
  std::string state_hash_, records_hash_ = SetHash().hex();
  SetHash records_;
  std::int64_t anchors_replaced_ = 0;
};

bool Audit::check_identity() {
  const Stored<std::string> uuid = database_.text(query::home_uuid);
  if (!uuid) return unreadable(uuid.error());
  const Stored<std::int64_t> created = database_.integer(query::home_created);
  if (!created) return unreadable(created.error());
  const Stored<std::int64_t> replaced = database_.integer(query::anchors_replaced);
  if (!replaced) return unreadable(replaced.error());
  anchors_replaced_ = *replaced;
  verdict_.head_hash = chain_start(*uuid, *created);
  const Stored<std::optional<std::string>> file = read_whole(paths_.uuid, uuid_bytes_max);
  if (!file) return unreadable(file.error());
  if (*file == *uuid + "\n") return true;
  return bad(Kind::tampered, "the file uuid does not name the home that home.db belongs to");
}

bool Audit::walk_journal() {
  Stored<Statement> entries = database_.prepare(query::all_entries);
  if (!entries) return unreadable(entries.error());
  Stored<bool> row = entries->step();
  for (; row && *row; row = entries->step()) {
    if (!check_entry(*entries)) return false;
  }
  if (!row) return unreadable(row.error());
  return true;
}

// Columns: seq, epoch, wall_unix_ms, event, input, actions, state_hash, records_hash, prev_hash, hash.
bool Audit::check_entry(const Statement& row) {
  const std::int64_t expected = verdict_.entries + 1;
  if (row.integer(0) != expected) return bad_entry(expected, "it is missing");
  if (row.text(8) != verdict_.head_hash) return bad_entry(expected, "it does not follow the entry before it");
  const std::string hash = row.text(9);
  if (chain_hash(verdict_.head_hash, row.fields(0, 8)) != hash) return bad_entry(expected, "its content was changed");
  if (row.integer(1) < epoch_) return bad_entry(expected, "its epoch goes back");
  if (anchor_ && anchor_->seq == expected && anchor_->hash != hash) {
    return bad_entry(expected, "it is not the entry that journal.head tells of");
  }
  epoch_ = row.integer(1);
  state_hash_ = row.text(6);
  records_hash_ = row.text(7);
  verdict_.entries = expected;
  verdict_.head_hash = hash;
  return true;
}

bool Audit::check_anchor() {
  if (!anchor_)
    return bad(Kind::truncated, "journal.head is missing: nothing shows that the journal's end is all there");
  if (anchor_->seq <= verdict_.entries) return true;
  return bad(Kind::truncated, fmt::format("the journal ends at {}, but journal.head shows that it once ended at {}",
                                          verdict_.entries, anchor_->seq));
}

bool Audit::check_state() {
  if (verdict_.entries == 0) return true;
  const Stored<std::string> hash = state_hash_of(database_);
  if (!hash) return unreadable(hash.error());
  if (*hash == state_hash_) return true;
  return bad(Kind::tampered, "the rows of State are not those that the journal's last entry was written with");
}

bool Audit::check_records() {
  const bool read = add_table(query::every_study, study_domain, 3, false, "study") &&
                    add_table(query::every_experiment, experiment_domain, 11, true, "experiment") &&
                    add_table(query::every_trial, trial_domain, 22, true, "trial") && add_attempts() &&
                    add_table(query::every_note, note_domain, 5, false, "note") &&
                    add_table(query::ended_rows, ended_row_domain, 3, false, "row of an ended run");
  if (!read) return false;
  if (records_.hex() == records_hash_) return true;
  return bad(Kind::tampered,
             "the records (studies, experiments, trials, attempts, notes) are not those that the journal's last entry "
             "was written with: one was added, removed or changed");
}

bool Audit::add_table(Sql query, std::string_view domain, int columns, bool sealed, std::string_view what) {
  Stored<Statement> rows = database_.prepare(query);
  if (!rows) return unreadable(rows.error());
  Stored<bool> row = rows->step();
  for (; row && *row; row = rows->step()) {
    const core::Digest digest = digest_of(domain, rows->fields(0, columns));
    if (!add_row(digest, sealed ? rows->text(columns) : core::hex(digest), what, rows->text(0))) return false;
  }
  if (!row) return unreadable(row.error());
  return true;
}

// Their digest stands before what their GPUs did, which came with schema 3.
bool Audit::add_attempts() {
  Stored<Statement> rows = database_.prepare(query::every_attempt);
  if (!rows) return unreadable(rows.error());
  Stored<bool> row = rows->step();
  for (; row && *row; row = rows->step()) {
    const core::Digest digest = attempt_digest(rows->fields(0, 16), rows->text(17));
    if (!add_row(digest, rows->text(16), "attempt", rows->text(0))) return false;
  }
  if (!row) return unreadable(row.error());
  return true;
}

bool Audit::add_row(const core::Digest& digest, const std::string& sealed, std::string_view what,
                    const std::string& number) {
  if (sealed != core::hex(digest))
    return bad(Kind::tampered, fmt::format("{} {}: its content was changed", what, number));
  records_.add(digest);
  return true;
}

bool Audit::check_outbox() {
  Stored<Statement> rows = database_.prepare(query::all_actions);
  if (!rows) return unreadable(rows.error());
  Stored<bool> row = rows->step();
  for (; row && *row; row = rows->step()) {
    if (rows->text(2) == core::hex(digest_of(action_domain, rows->fields(0, 2)))) continue;
    return bad(Kind::tampered, fmt::format("action {} in the outbox: its content was changed", rows->text(0)));
  }
  if (!row) return unreadable(row.error());
  return true;
}

bool Audit::check_file() {
  const Stored<std::string> damage = database_.text(query::first_damage);
  if (!damage) return unreadable(damage.error());
  if (*damage == "ok") return true;
  return bad(Kind::unreadable, fmt::format("{} is damaged: {}", database_.path(), *damage));
}

}  // namespace

std::string_view name_of(AuditVerdict::Kind kind) {
  switch (kind) {
    case Kind::intact:
      return "intact";
    case Kind::tampered:
      return "tampered";
    case Kind::truncated:
      return "truncated";
    case Kind::unreadable:
      return "unreadable";
  }
  return "";
}

AuditVerdict verify(const std::string& home) {
  const HomePaths paths(home);
  // First the anchor, then the journal: while someone writes, the journal is never behind.
  const Stored<std::optional<Anchor>> anchor = read_anchor(paths);
  Stored<std::unique_ptr<Database>> database = open_for_reading(paths);
  if (!database) return {Kind::unreadable, 0, std::nullopt, "", database.error().explain};
  if (!anchor) return {Kind::tampered, 0, std::nullopt, "", anchor.error().explain};
  const Stored<void> begun = (*database)->execute(query::begin_reading);
  if (!begun) return {Kind::unreadable, 0, std::nullopt, "", begun.error().explain};
  return Audit(**database, paths, *anchor).run();
}

}  // namespace overnight::store
