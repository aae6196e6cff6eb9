#include "orchestrator/store/loader.h"

#include "orchestrator/core/rows.h"
#include "orchestrator/store/chain.h"
#include "orchestrator/store/queries.h"

namespace overnight::store {
namespace {

using Rows = std::map<std::string, std::map<std::string, std::string>>;  // run (empty: the home) -> part -> text

Stored<Rows> live_rows(Database& database) {
  Stored<Statement> statement = database.prepare(query::live_rows);
  if (!statement) return budgets::unexpected(statement.error());
  Rows rows;
  Stored<bool> row = statement->step();
  for (; row && *row; row = statement->step()) rows[statement->text(0)][statement->text(1)] = statement->text(2);
  if (!row) return budgets::unexpected(row.error());
  return rows;
}

std::string hash_of(const Rows& rows) {
  core::StateHash hash;
  for (const auto& [run, parts] : rows) {
    for (const auto& [part, text] : parts) hash.put(run.empty() ? part : run + "/" + part, text);
  }
  return hash.hex();
}

Stored<std::set<std::string>> seen_by(Database& database, const std::string& run) {
  Stored<Statement> statement = database.prepare(query::hashes_of_run);
  if (!statement) return budgets::unexpected(statement.error());
  statement->start({run});
  std::set<std::string> seen;
  Stored<bool> row = statement->step();
  for (; row && *row; row = statement->step()) seen.insert(statement->text(0));
  if (!row) return budgets::unexpected(row.error());
  return seen;
}

Stored<core::Run> load_run(Database& database, const std::string& id, const std::map<std::string, std::string>& parts) {
  Stored<Statement> statement = database.prepare(query::study_of_run);
  if (!statement) return budgets::unexpected(statement.error());
  statement->start({id});
  const Stored<bool> row = statement->step();
  if (!row) return budgets::unexpected(row.error());
  if (!*row) return budgets::unexpected(corrupt(database.path(), "the study of run " + id + " is missing"));
  budgets::Result<core::Run, std::string> run = core::read_run_rows(parts, statement->text(0));
  if (!run) return budgets::unexpected(corrupt(database.path(), "run " + id + ": " + run.error()));
  if (run->id.text != id)
    return budgets::unexpected(corrupt(database.path(), "the rows of run " + id + " name another"));
  Stored<std::set<std::string>> seen = seen_by(database, id);
  if (!seen) return budgets::unexpected(seen.error());
  run->seen = std::move(*seen);
  return std::move(*run);
}

Stored<std::vector<core::NumberedAction>> load_outbox(Database& database) {
  Stored<Statement> statement = database.prepare(query::all_actions);
  if (!statement) return budgets::unexpected(statement.error());
  std::vector<core::NumberedAction> actions;
  Stored<bool> row = statement->step();
  for (; row && *row; row = statement->step()) {
    budgets::Result<core::NumberedAction, std::string> action = core::action_from_json(statement->text(1));
    if (!action) return budgets::unexpected(corrupt(database.path(), "the outbox: " + action.error()));
    actions.push_back(std::move(*action));
  }
  if (!row) return budgets::unexpected(row.error());
  return actions;
}

}  // namespace

Stored<std::string> state_hash_of(Database& database) {
  const Stored<Rows> rows = live_rows(database);
  if (!rows) return budgets::unexpected(rows.error());
  return hash_of(*rows);
}

Stored<ports::Loaded> load_home(Database& database) {
  const Stored<Head> head = read_head(database);
  if (!head) return budgets::unexpected(head.error());
  Stored<Rows> rows = live_rows(database);
  if (!rows) return budgets::unexpected(rows.error());
  if (head->seq > 0 && hash_of(*rows) != head->state_hash) {
    return budgets::unexpected(
        corrupt(database.path(), "the rows of State are not those that the journal's last entry was written with"));
  }
  ports::Loaded loaded;
  loaded.last = core::InputSeq{head->seq};
  for (const auto& [id, parts] : *rows) {
    if (id.empty()) continue;
    Stored<core::Run> run = load_run(database, id, parts);
    if (!run) return budgets::unexpected(run.error());
    loaded.state.runs.emplace(core::RunId{id}, std::move(*run));
  }
  if (!rows->empty()) {
    const auto home = (*rows)[""].find("home");
    if (home == (*rows)[""].end()) return budgets::unexpected(corrupt(database.path(), "the home's row is missing"));
    const budgets::Result<void, std::string> read = core::read_home_row(loaded.state, home->second);
    if (!read) return budgets::unexpected(corrupt(database.path(), read.error()));
  }
  Stored<std::vector<core::NumberedAction>> outbox = load_outbox(database);
  if (!outbox) return budgets::unexpected(outbox.error());
  loaded.outbox = std::move(*outbox);
  return loaded;
}

}  // namespace overnight::store
