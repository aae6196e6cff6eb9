// What a new life of the orchestrator begins with, read from the database.
#pragma once

#include "orchestrator/ports/journal.h"
#include "orchestrator/store/sql.h"

namespace overnight::store {

// Rows that do not fit the state hash of the journal's last entry are refused before they are read.
[[nodiscard]] Stored<ports::Loaded> load_home(Database& database);

// The hash over the rows of State as they lie there, to be compared with the last entry's.
[[nodiscard]] Stored<std::string> state_hash_of(Database& database);

}  // namespace overnight::store
