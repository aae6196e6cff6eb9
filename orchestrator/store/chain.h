// The journal's hash chain: what it begins with, how a link is made, and its newest link.
#pragma once

#include <cstdint>
#include <string>

#include "orchestrator/store/sql.h"

namespace overnight::store {

// What the chain begins with: a journal belongs to one home and cannot be moved into another.
std::string chain_start(const std::string& uuid, std::int64_t created_unix_ms);

// The next link: SHA-256("overnight.journal.v1\n" then, framed as in fields.h, the previous hash and `fields`: seq,
// epoch, wall_unix_ms, event, input, actions, state_hash, records_hash).
std::string chain_hash(const std::string& previous, const Fields& fields);

// The newest entry. records_hash stands in the last entry of each batch: the SetHash over all studies, experiments,
// trials, attempts, notes and rows of ended runs, as they were after it.
struct Head {
  std::int64_t seq = 0;  // 0: no entry yet, and `hash` is the chain's start
  std::int64_t epoch = 0;
  std::int64_t wall_unix_ms = 0;
  std::string state_hash;
  std::string records_hash;
  std::string hash;
};

[[nodiscard]] Stored<Head> read_head(Database& database);

}  // namespace overnight::store
