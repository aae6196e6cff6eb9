#include "orchestrator/store/home_store.h"

#include <fmt/format.h>

#include "orchestrator/store/anchor.h"
#include "orchestrator/store/loader.h"
#include "orchestrator/store/queries.h"
#include "orchestrator/store/reader.h"
#include "orchestrator/store/schema.h"
#include "orchestrator/store/writer.h"

namespace overnight::store {
namespace {

constexpr std::size_t uuid_bytes_max = 64;  // 36 and a newline

StoreError journal_cut(const HomePaths& paths, std::string_view what) {
  return {
      StoreError::Kind::corrupt,
      fmt::format("the home {} cannot go on: {} (an older copy of home.db was put back, or someone changed it); run "
                  "`overnight audit verify`, restore the whole home from one backup, or, to go on with what is there, "
                  "delete {} (that is counted and shown)",
                  paths.home, what, paths.anchor)};
}

}  // namespace

HomeStore::HomeStore(const std::string& home) : paths_(home) {}

Stored<std::unique_ptr<HomeStore>> HomeStore::open(const std::string& home, Mode mode, core::WallTime now) {
  std::unique_ptr<HomeStore> store(new HomeStore(home));
  if (mode == Mode::read_write) {
    const Stored<void> opened = store->open_for_writing(now);
    if (!opened) return budgets::unexpected(opened.error());
    return store;
  }
  Stored<std::unique_ptr<Database>> database = open_for_reading(store->paths_);
  if (!database) return budgets::unexpected(database.error());
  store->database_ = std::move(*database);
  const Stored<std::string> uuid = store->database_->text(query::home_uuid);
  if (!uuid) return budgets::unexpected(uuid.error());
  store->uuid_ = *uuid;
  return store;
}

HomeStore::~HomeStore() {
  // A failure loses nothing: the last anchor stays true, it only shows less.
  if (writer_ && !failed_ && commits_since_anchor_ > 0) {
    (void)write_anchor(paths_, {writer_->head().seq, writer_->head().hash});
  }
}

Stored<void> HomeStore::open_for_writing(core::WallTime now) {
  const Stored<void> made = make_layout(paths_);
  if (!made) return made;
  Stored<HomeLock> lock = HomeLock::take(paths_, now);
  if (!lock) return budgets::unexpected(lock.error());
  lock_.emplace(std::move(*lock));
  Stored<std::unique_ptr<Database>> database = Database::open(paths_.database, Database::Mode::create);
  if (!database) return budgets::unexpected(database.error());
  database_ = std::move(*database);
  const Stored<void> migrated = migrate(*database_);
  if (!migrated) return migrated;
  const Stored<void> prepared = database_->execute(query::prepare_for_writing);
  if (!prepared) return prepared;
  const Stored<void> identified = identify(now);
  if (!identified) return identified;
  Stored<std::unique_ptr<Writer>> writer = Writer::open(*database_);
  if (!writer) return budgets::unexpected(writer.error());
  writer_ = std::move(*writer);
  return settle_anchor();
}

// A new home gets its UUID; an old one must be the home that its uuid file names.
Stored<void> HomeStore::identify(core::WallTime now) {
  const Stored<std::int64_t> homes = database_->integer(query::count_of_homes);
  if (!homes) return budgets::unexpected(homes.error());
  if (*homes == 0) {
    Stored<Statement> create = database_->prepare(query::create_home);
    if (!create) return budgets::unexpected(create.error());
    const Stored<void> created = create->run({new_uuid(), now.ms()});
    if (!created) return created;
  }
  const Stored<std::string> uuid = database_->text(query::home_uuid);
  if (!uuid) return budgets::unexpected(uuid.error());
  uuid_ = *uuid;
  const Stored<std::optional<std::string>> file = read_whole(paths_.uuid, uuid_bytes_max);
  if (!file) return budgets::unexpected(file.error());
  if (!*file) return write_whole(paths_.uuid, uuid_ + "\n");
  if (**file == uuid_ + "\n") return {};
  return budgets::unexpected(
      StoreError{StoreError::Kind::not_a_home,
                 fmt::format("cannot open the home {}: home.db belongs to the home {}, but {} names another; put back "
                             "the file that belongs here, or delete the uuid file if home.db is the right one",
                             paths_.home, uuid_, paths_.uuid)});
}

Stored<void> HomeStore::settle_anchor() {
  const Head& head = writer_->head();
  const Stored<std::optional<Anchor>> anchor = read_anchor(paths_);
  if (!anchor) return budgets::unexpected(anchor.error());
  anchored_at_ = core::WallTime::at(head.wall_unix_ms);
  if (!*anchor) {
    const Stored<void> counted = head.seq > 0 ? database_->execute(query::count_replaced_anchor) : Stored<void>{};
    if (!counted) return counted;
    return write_anchor(paths_, {head.seq, head.hash});
  }
  if ((*anchor)->seq > head.seq) {
    return budgets::unexpected(
        journal_cut(paths_, fmt::format("its journal ends at {}, but once it ended at {}", head.seq, (*anchor)->seq)));
  }
  if ((*anchor)->seq == 0) return {};
  Stored<Statement> find = database_->prepare(query::hash_of_entry);
  if (!find) return budgets::unexpected(find.error());
  find->start({(*anchor)->seq});
  const Stored<bool> row = find->step();
  if (!row) return budgets::unexpected(row.error());
  if (*row && find->text(0) == (*anchor)->hash) return {};
  return budgets::unexpected(
      journal_cut(paths_, fmt::format("entry {} of its journal is not the one that was written", (*anchor)->seq)));
}

// Time comes from the entries: the store has no clock.
Stored<void> HomeStore::anchor_if_due() {
  const Head& head = writer_->head();
  const core::WallTime now = core::WallTime::at(head.wall_unix_ms);
  const bool old = now - anchored_at_ >= anchor_age_max || now < anchored_at_;
  if (++commits_since_anchor_ < anchor_commits_max && !old) return {};
  commits_since_anchor_ = 0;
  anchored_at_ = now;
  return write_anchor(paths_, {head.seq, head.hash});
}

budgets::Result<void, ports::JournalError> HomeStore::commit(const ports::Batch& batch) {
  if (!writer_) {
    return budgets::unexpected(
        ports::JournalError{fmt::format("the home {} was opened for reading only", paths_.home)});
  }
  Stored<void> done = writer_->append(batch);
  if (done) done = anchor_if_due();
  if (done) return {};
  failed_ = true;
  return budgets::unexpected(ports::JournalError{done.error().explain});
}

budgets::Result<ports::Loaded, ports::JournalError> HomeStore::load() {
  Stored<ports::Loaded> loaded = load_home(*database_);
  if (!loaded) return budgets::unexpected(ports::JournalError{loaded.error().explain});
  return std::move(*loaded);
}

}  // namespace overnight::store
