// One orchestrator's folder on disk: where everything lies, how it is made, and who owns it.
//
//   home.db (-wal, -shm)   State, journal, records, outbox (SQLite)
//   journal.head           how far the journal was at least written (anchor.h)
//   lock                   held by the process that owns the home; holds its pid
//   uuid                   the home's identity, as in home.db
//   runs/<run>/            what attempts and reports leave
//   blobs/<xx>/<sha256>    kept artifacts (blobs.h)
#pragma once

#include <optional>
#include <string>

#include "budgets/time.h"
#include "orchestrator/store/durable_file.h"
#include "orchestrator/store/error.h"

namespace overnight::store {

struct HomePaths {
  explicit HomePaths(std::string home);
  std::string home, database, anchor, lock, uuid, runs, blobs;
};

// Makes what is missing of the layout, all of it for the owner alone (0700, files 0600). Refuses a file instead of a
// folder, a folder that cannot be written, and one that others may write to.
[[nodiscard]] Stored<void> make_layout(const HomePaths& paths);

// A random identity, as RFC 4122 version 4 writes it.
std::string new_uuid();

// The right to be the one orchestrator of a home. Held while it lives; the kernel gives it back when the process dies,
// however it dies. A lock of the open file (OFD), so that others can ask who holds it without taking it.
class HomeLock {
 public:
  struct Holder {
    std::int64_t pid = 0;
    std::int64_t since_unix_ms = 0;
    std::string host;
  };

  // Refused with who holds it. Waits a few seconds for the lock of a process that is dead: one that it was just
  // starting when it was killed may still have it.
  static Stored<HomeLock> take(const HomePaths& paths, budgets::WallTime now);
  // None: nobody. Opens nothing for writing and creates nothing.
  static Stored<std::optional<Holder>> holder(const HomePaths& paths);

 private:
  explicit HomeLock(Descriptor file) : file_(std::move(file)) {}

  Descriptor file_;
};

}  // namespace overnight::store
