// The tables of a home and how they came about: numbered migrations, applied in order, each in one transaction.
//
// A released migration is never edited: a change is a new one, with a test that starts from yesterday's file.
#pragma once

#include "orchestrator/store/sql.h"

namespace overnight::store {

inline constexpr std::int64_t schema_version = 3;

// Brings a database that is open for writing to `schema_version`; an empty one gets everything. Refuses newer ones and
// databases of other programs.
[[nodiscard]] Stored<void> migrate(Database& database);

// Whether a database can be read by this version as it is: our mark, our version, exactly our tables and indices.
[[nodiscard]] Stored<void> check_schema(Database& database);

}  // namespace overnight::store
