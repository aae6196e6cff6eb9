// All SQL of the project but the tables themselves (schema.cc), named after what it returns or does.
#pragma once

#include "orchestrator/store/sql.h"

namespace overnight::store::query {

// ---- connection ----
// Writing: WAL with an fsync at every commit. This connection alone checkpoints, at 16 MiB: State's rows are written
// again and again, and only their last text needs to reach the database.
inline constexpr Sql prepare_for_writing =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 4000;";
inline constexpr Sql prepare_for_reading = "PRAGMA query_only = ON; PRAGMA cell_size_check = ON;";
inline constexpr Sql begin = "BEGIN IMMEDIATE";
inline constexpr Sql begin_reading = "BEGIN";
inline constexpr Sql commit = "COMMIT";
inline constexpr Sql rollback = "ROLLBACK";
inline constexpr Sql journal_mode = "PRAGMA journal_mode";

// ---- schema ----
inline constexpr Sql application_mark = "PRAGMA application_id";
inline constexpr Sql user_version = "PRAGMA user_version";
inline constexpr Sql count_of_tables = "SELECT count(*) FROM sqlite_schema";
inline constexpr Sql schema_text =
    "SELECT group_concat(line, char(10)) FROM (SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, "
    "'')"
    " AS line FROM sqlite_schema ORDER BY type, name)";
inline constexpr Sql first_damage = "PRAGMA integrity_check(1)";

// ---- home ----
inline constexpr Sql create_home = "INSERT INTO home (one, uuid, created_unix_ms) VALUES (1, ?1, ?2)";
inline constexpr Sql count_of_homes = "SELECT count(*) FROM home";
inline constexpr Sql home_uuid = "SELECT uuid FROM home";
inline constexpr Sql home_created = "SELECT created_unix_ms FROM home";
inline constexpr Sql anchors_replaced = "SELECT anchors_replaced FROM home";
inline constexpr Sql count_replaced_anchor = "UPDATE home SET anchors_replaced = anchors_replaced + 1";

// ---- journal ----
inline constexpr Sql append_entry = "INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
inline constexpr Sql last_entry =
    "SELECT seq, epoch, wall_unix_ms, state_hash, records_hash, hash FROM journal ORDER BY seq DESC LIMIT 1";
inline constexpr Sql hash_of_entry = "SELECT hash FROM journal WHERE seq = ?1";
inline constexpr Sql all_entries =
    "SELECT seq, epoch, wall_unix_ms, event, input, actions, state_hash, records_hash, prev_hash, hash FROM journal"
    " ORDER BY seq";
inline constexpr Sql entries_after =
    "SELECT seq, epoch, wall_unix_ms, event, input, actions, state_hash, hash FROM journal WHERE seq > ?1"
    " ORDER BY seq LIMIT ?2";
inline constexpr Sql last_seq = "SELECT coalesce(max(seq), 0) FROM journal";

// ---- rows of State ----
inline constexpr Sql put_row =
    "INSERT INTO rows (run, part, text) VALUES (?1, ?2, ?3)"
    " ON CONFLICT (run, part) DO UPDATE SET text = excluded.text WHERE ended = 0";
inline constexpr Sql drop_row = "DELETE FROM rows WHERE run = ?1 AND part = ?2 AND ended = 0";
inline constexpr Sql rows_of_run = "SELECT part, text, ended FROM rows WHERE run = ?1 ORDER BY part";
inline constexpr Sql mark_ended = "UPDATE rows SET ended = 1 WHERE run = ?1";
inline constexpr Sql live_rows = "SELECT run, part, text FROM rows WHERE ended = 0 ORDER BY run, part";
inline constexpr Sql ended_rows = "SELECT run, part, text FROM rows WHERE ended != 0 ORDER BY run, part";

// ---- records ----
inline constexpr Sql put_study = "INSERT INTO studies (number, run, study) VALUES (?1, ?2, ?3)";
inline constexpr Sql next_study = "SELECT coalesce(max(number), 0) + 1 FROM studies";
inline constexpr Sql study_of_run = "SELECT study FROM studies WHERE run = ?1";
inline constexpr Sql digest_of_experiment = "SELECT digest FROM experiments WHERE experiment = ?1";
inline constexpr Sql put_experiment =
    "INSERT INTO experiments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (experiment)"
    " DO UPDATE SET run = excluded.run, params = excluded.params, hash = excluded.hash, proposer = excluded.proposer,"
    " hypothesis = excluded.hypothesis, parents = excluded.parents, purpose = excluded.purpose,"
    " status = excluded.status, admitted_unix_ms = excluded.admitted_unix_ms,"
    " history_cursor = excluded.history_cursor, digest = excluded.digest";
inline constexpr Sql finish_of_trial = "SELECT finish, digest FROM trials WHERE trial = ?1";
inline constexpr Sql next_finish = "SELECT coalesce(max(finish), 0) + 1 FROM trials";
inline constexpr Sql put_trial =
    "INSERT OR REPLACE INTO trials VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
    " ?18, ?19, ?20, ?21, ?22, ?23)";
inline constexpr Sql digest_of_attempt = "SELECT digest FROM attempts WHERE attempt = ?1";
inline constexpr Sql put_attempt =
    "INSERT OR REPLACE INTO attempts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,"
    " ?17, ?18)";
inline constexpr Sql put_note = "INSERT INTO notes VALUES (?1, ?2, ?3, ?4, ?5)";
inline constexpr Sql next_note = "SELECT coalesce(max(note), 0) + 1 FROM notes";
inline constexpr Sql hashes_of_run = "SELECT hash FROM experiments WHERE run = ?1";

// ---- outbox ----
inline constexpr Sql put_action = "INSERT INTO outbox VALUES (?1, ?2, ?3)";
inline constexpr Sql drop_action = "DELETE FROM outbox WHERE action = ?1";
inline constexpr Sql all_actions = "SELECT action, text, digest FROM outbox ORDER BY action";

// ---- reading: pages are bounded by ?-limits ----
inline constexpr Sql runs_newest_first =
    "SELECT number, run, study FROM studies WHERE number < ?1 ORDER BY number DESC LIMIT ?2";
inline constexpr Sql one_run = "SELECT number, run, study FROM studies WHERE run = ?1";
inline constexpr Sql experiments_of_run =
    "SELECT experiment, run, params, hash, proposer, hypothesis, parents, purpose, status, admitted_unix_ms,"
    " history_cursor FROM experiments WHERE run = ?1 AND experiment > ?2 AND (?3 = '' OR status = ?3)"
    " AND (?4 = '' OR proposer = ?4) ORDER BY experiment LIMIT ?5";
inline constexpr Sql one_experiment =
    "SELECT experiment, run, params, hash, proposer, hypothesis, parents, purpose, status, admitted_unix_ms,"
    " history_cursor FROM experiments WHERE experiment = ?1";
inline constexpr Sql trials_of_run = "SELECT * FROM trials WHERE run = ?1 AND finish > ?2 ORDER BY finish LIMIT ?3";
inline constexpr Sql trials_of_experiment = "SELECT * FROM trials WHERE experiment = ?1 ORDER BY finish LIMIT ?2";
inline constexpr Sql attempts_of_run =
    "SELECT * FROM attempts WHERE run = ?1 AND attempt > ?2 ORDER BY attempt LIMIT ?3";
inline constexpr Sql attempts_of_trial = "SELECT * FROM attempts WHERE trial = ?1 ORDER BY attempt LIMIT ?2";
inline constexpr Sql one_attempt = "SELECT * FROM attempts WHERE attempt = ?1";
inline constexpr Sql last_notes_of_run = "SELECT * FROM notes WHERE run = ?1 ORDER BY note DESC LIMIT ?2";
inline constexpr Sql last_notes = "SELECT * FROM notes ORDER BY note DESC LIMIT ?1";
inline constexpr Sql notes_after = "SELECT * FROM notes WHERE note > ?1 ORDER BY note LIMIT ?2";

// ---- audit: whole tables, in order, with the digest that was stored last ----
inline constexpr Sql every_study = "SELECT number, run, study FROM studies ORDER BY number";
inline constexpr Sql every_experiment = "SELECT * FROM experiments ORDER BY experiment";
inline constexpr Sql every_trial = "SELECT * FROM trials ORDER BY finish";
inline constexpr Sql every_attempt = "SELECT * FROM attempts ORDER BY attempt";
inline constexpr Sql every_note = "SELECT * FROM notes ORDER BY note";

}  // namespace overnight::store::query
