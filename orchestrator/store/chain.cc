#include "orchestrator/store/chain.h"

#include "orchestrator/store/queries.h"

namespace overnight::store {

std::string chain_start(const std::string& uuid, std::int64_t created_unix_ms) {
  return core::hex(digest_of("overnight.home.v1\n", {uuid, created_unix_ms}));
}

std::string chain_hash(const std::string& previous, const Fields& fields) {
  Fields link;
  link.reserve(fields.size() + 1);
  link.emplace_back(std::string_view(previous));
  link.insert(link.end(), fields.begin(), fields.end());
  return core::hex(digest_of("overnight.journal.v1\n", link));
}

Stored<Head> read_head(Database& database) {
  const Stored<std::string> uuid = database.text(query::home_uuid);
  if (!uuid) return budgets::unexpected(uuid.error());
  const Stored<std::int64_t> created = database.integer(query::home_created);
  if (!created) return budgets::unexpected(created.error());
  Stored<Statement> last = database.prepare(query::last_entry);
  if (!last) return budgets::unexpected(last.error());
  const Stored<bool> row = last->step();
  if (!row) return budgets::unexpected(row.error());
  Head head;
  if (!*row) {
    head.records_hash = SetHash().hex();
    head.hash = chain_start(*uuid, *created);
    return head;
  }
  head.seq = last->integer(0);
  head.epoch = last->integer(1);
  head.wall_unix_ms = last->integer(2);
  head.state_hash = last->text(3);
  head.records_hash = last->text(4);
  head.hash = last->text(5);
  return head;
}

}  // namespace overnight::store
