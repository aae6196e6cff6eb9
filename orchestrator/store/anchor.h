// journal.head: how far the journal was at least written, kept apart from it. A journal that is shorter was cut.
//
// Written by atomic rename after the commit that it tells of, so it is never ahead of an honest journal. It shows a cut
// or an older copy of the database; who can also rewrite this file is caught only by a copy kept elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "orchestrator/store/home.h"

namespace overnight::store {

struct Anchor {
  std::int64_t seq = 0;  // 0: the journal was empty
  std::string hash;      // of that entry; of the home itself at 0
  bool operator==(const Anchor&) const = default;
};

[[nodiscard]] Stored<void> write_anchor(const HomePaths& paths, const Anchor& anchor);
[[nodiscard]] Stored<std::optional<Anchor>> read_anchor(const HomePaths& paths);

}  // namespace overnight::store
