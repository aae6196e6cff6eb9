// The home on disk behind ports::Journal: opened once by the orchestrator, which then owns the home.
//
// Opening for writing makes the layout, takes the home's lock, brings the database up to date and checks that the
// journal is not shorter than journal.head says. Every commit is one fsynced transaction. After a failed commit the
// store refuses all others: the program ends, and the next life finds on the disk what was committed. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "orchestrator/ports/journal.h"
#include "orchestrator/store/error.h"
#include "orchestrator/store/home.h"

namespace overnight::store {

class Database;
class Writer;

inline constexpr std::int64_t anchor_commits_max = 256;  // so many may be cut off unseen after a crash ...
inline constexpr budgets::Millis anchor_age_max = budgets::seconds(10);  // ... or those of so long

class HomeStore final : public ports::Journal {
 public:
  enum class Mode {
    read_write,  // the orchestrator
    read_only,   // load only; takes no lock and makes nothing
  };

  // `now` is written into a new home and into the lock.
  static Stored<std::unique_ptr<HomeStore>> open(const std::string& home, Mode mode, core::WallTime now);
  // Anchors the journal's end.
  ~HomeStore() override;

  [[nodiscard]] budgets::Result<void, ports::JournalError> commit(const ports::Batch& batch) override;
  [[nodiscard]] budgets::Result<ports::Loaded, ports::JournalError> load() override;

  const std::string& uuid() const { return uuid_; }
  const HomePaths& paths() const { return paths_; }

 private:
  explicit HomeStore(const std::string& home);

  Stored<void> open_for_writing(core::WallTime now);
  Stored<void> identify(core::WallTime now);
  Stored<void> settle_anchor();
  Stored<void> anchor_if_due();

  HomePaths paths_;
  std::optional<HomeLock> lock_;  // released last
  std::string uuid_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Writer> writer_;  // none: read-only
  bool failed_ = false;
  std::int64_t commits_since_anchor_ = 0;
  core::WallTime anchored_at_;
};

}  // namespace overnight::store
