// Whether a home's journal and records are what was written: for `overnight audit verify`. Never needs `step`.
//
// Checked: entries dense, chain recomputed from the home's own identity, links, epochs, the anchor; the rows of State
// against the last entry's state hash, all records against its records hash, the outbox against its digests; SQLite's
// own integrity check. What it cannot see: a whole home rewritten with all its hashes and its anchor. Keep the head
// hash elsewhere (it is printed in every report) against that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace overnight::store {

struct AuditVerdict {
  enum class Kind {
    intact,
    tampered,    // something is not what was written
    truncated,   // the end of the journal is missing, or nothing shows that it is not
    unreadable,  // no home, no permission, damaged beyond reading, another program's file, another version's
  };
  Kind kind = Kind::intact;
  std::int64_t entries = 0;                   // that were read
  std::optional<std::int64_t> first_bad_seq;  // where the journal itself is wrong
  std::string head_hash;                      // of the last good entry; empty: none was read
  std::string explain;                        // one line
};

std::string_view name_of(AuditVerdict::Kind kind);

// Reads only; works while the orchestrator writes.
[[nodiscard]] AuditVerdict verify(const std::string& home);

}  // namespace overnight::store
