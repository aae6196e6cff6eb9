// A home on disk: what was committed is what is read back, whoever else comes is told why not, and what is not a home
// of ours is left alone.
#include "orchestrator/store/home_store.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "orchestrator/store/audit.h"
#include "orchestrator/store/reader.h"
#include "tests/store/children.h"
#include "tests/store/diary.h"
#include "tests/store/tampering.h"

namespace overnight::store {
namespace {

namespace fs = std::filesystem;
using Kind = StoreError::Kind;

StoreError refusal_of(const std::string& home) {
  auto store = HomeStore::open(home, HomeStore::Mode::read_write, test_time());
  EXPECT_FALSE(store);
  return store ? StoreError{} : store.error();
}

TEST(HomeStore, ReadsBackTheStateThatWasCommitted) {
  const TemporaryHome home;
  Diary diary;
  {
    auto store = open_store(home.path());
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(store->commit(diary.next()));
  }
  auto loaded = open_store(home.path())->load();
  ASSERT_TRUE(loaded) << loaded.error().explain;
  EXPECT_EQ(core::number(loaded->last), 40);
  core::State expected = diary.home.state;
  expected.last = loaded->state.last, expected.last_wall = loaded->state.last_wall;  // of the last input: in no row
  EXPECT_EQ(loaded->state, expected);
  EXPECT_FALSE(loaded->state.runs.begin()->second.seen.empty());
}

TEST(HomeStore, KeepsAnActionUntilItIsKnownToBeDone) {
  const TemporaryHome home;
  Diary diary;
  std::vector<core::NumberedAction> decided;
  {
    auto store = open_store(home.path());
    for (int i = 0; i < 3; ++i) {
      const auto batch = diary.next();
      decided.insert(decided.end(), batch.outbox.begin(), batch.outbox.end());
      ASSERT_TRUE(store->commit(batch));
    }
  }
  ASSERT_FALSE(decided.empty());
  {
    auto store = open_store(home.path());
    EXPECT_EQ(store->load()->outbox, decided);
    auto batch = diary.next();
    batch.outbox.clear();
    for (const auto& action : decided) batch.performed.push_back(action.id);
    ASSERT_TRUE(store->commit(batch));
  }
  EXPECT_TRUE(open_store(home.path())->load()->outbox.empty());
}

TEST(HomeStore, IsForItsOwnerAlone) {
  const TemporaryHome home;
  write_story(home.path(), 5);
  for (const auto& entry : fs::recursive_directory_iterator(home.path())) {
    struct stat found {};
    ASSERT_EQ(stat(entry.path().c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 077, 0u) << entry.path();
  }
}

TEST(HomeStore, ASecondOrchestratorIsToldWhoOwnsTheHome) {
  const TemporaryHome home;
  const auto first = open_store(home.path());
  const StoreError refused = refusal_of(home.path());
  EXPECT_EQ(refused.kind, Kind::in_use);
  EXPECT_NE(refused.explain.find("process " + std::to_string(getpid())), std::string::npos) << refused.explain;
}

TEST(HomeStore, ALockDiesWithItsProcess) {
  const TemporaryHome home;
  const pid_t child = fork();
  if (child == 0) {
    auto store = HomeStore::open(home.path(), HomeStore::Mode::read_write, test_time());
    _exit(store ? 0 : 1);  // without any destructor
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  EXPECT_TRUE(open_store(home.path()));
}

bool has_open(pid_t process, const std::string& file) {
  std::error_code ignored;
  for (const auto& one : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd", ignored)) {
    if (std::filesystem::read_symlink(one.path(), ignored) == file) return true;
  }
  return false;
}

// What an orchestrator had just forked when it was killed holds its lock until it is another program. Here it holds it
// until the next owner has opened the file, so that this one finds it held.
TEST(HomeStore, ALockOfADeadProcessThatItsChildStillHoldsIsWaitedFor) {
  const TemporaryHome home;
  const std::string lock = std::filesystem::weakly_canonical(home.path()).string() + "/lock";
  const pid_t tester = getpid(), owner = fork();
  if (owner == 0) {
    auto store = HomeStore::open(home.path(), HomeStore::Mode::read_write, test_time());
    if (!store) _exit(1);
    if (fork() != 0) _exit(0);
    for (int look = 0; look < 10'000 && !has_open(tester, lock); ++look) poll(nullptr, 0, 1);
    _exit(0);
  }
  int status = 0;
  waitpid(owner, &status, 0);
  ASSERT_EQ(status, 0);
  EXPECT_TRUE(open_store(home.path()));
}

TEST(HomeStore, AHomeWhoseMakingWasCutOffIsNoneYetAndIsMadeByTheNextWriter) {
  const TemporaryHome home;
  fs::create_directory(home.path());
  fs::permissions(home.path(), fs::perms::owner_all);
  std::ofstream(fs::path(home.path()) / "home.db");
  const auto reader = HomeReader::open(home.path());
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().kind, Kind::missing);
  EXPECT_TRUE(open_store(home.path()));
  EXPECT_TRUE(HomeReader::open(home.path()));
}

TEST(HomeStore, ANewerVersionIsRefusedByWriterReaderAndAuditAlike) {
  const TemporaryHome home;
  write_story(home.path(), 5);
  tamper(home.path(), "PRAGMA user_version = 99");
  const StoreError refused = refusal_of(home.path());
  EXPECT_EQ(refused.kind, Kind::newer_version);
  EXPECT_NE(refused.explain.find("written by a newer overnight (schema 99"), std::string::npos) << refused.explain;
  const auto reader = HomeReader::open(home.path());
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().kind, Kind::newer_version);
}

std::vector<workers::GpuUse> one_gpu() {
  workers::GpuUse use;
  use.uuid = "GPU-1";
  use.judged_ms = 900, use.slowed_ms = 300, use.slowed_by = {"software power cap"};
  return {use};
}

std::vector<core::AttemptRecord> attempts_in(const std::string& home) {
  const auto reader = HomeReader::open(home);
  EXPECT_TRUE(reader);
  std::vector<core::AttemptRecord> found;
  for (const std::string& number : answers(home, "SELECT attempt FROM attempts ORDER BY attempt"))
    found.push_back((*reader)->attempt(core::AttemptId{std::stoll(number)})->value());
  return found;
}

TEST(HomeStore, KeepsWhatTheGpusOfAnAttemptDid) {
  const TemporaryHome home;
  {
    auto store = open_store(home.path());
    Diary diary;
    diary.gpus = one_gpu();
    for (int i = 0; i < 12; ++i) ASSERT_TRUE(store->commit(diary.next()));
  }
  const auto attempts = attempts_in(home.path());
  ASSERT_FALSE(attempts.empty());
  for (const auto& attempt : attempts) EXPECT_EQ(attempt.gpus, one_gpu());
  EXPECT_EQ(verify(home.path()).kind, AuditVerdict::Kind::intact);
  tamper(home.path(), "UPDATE attempts SET gpus = '' WHERE attempt = 1");
  EXPECT_EQ(verify(home.path()).kind, AuditVerdict::Kind::tampered) << "what was known cannot be made unknown";
}

TEST(HomeStore, OfSchema2IsBroughtUpToDateAndStaysIntact) {
  const TemporaryHome home;
  write_story(home.path(), 12);
  const auto before = attempts_in(home.path());
  ASSERT_FALSE(before.empty());
  tamper(home.path(), "ALTER TABLE attempts DROP COLUMN gpus; PRAGMA user_version = 2");
  EXPECT_FALSE(HomeReader::open(home.path())) << "a reader changes nothing";
  EXPECT_TRUE(open_store(home.path()));
  EXPECT_EQ(attempts_in(home.path()), before);
  EXPECT_EQ(verify(home.path()).kind, AuditVerdict::Kind::intact);
}

TEST(HomeStore, TablesThatWereChangedAreRefused) {
  const TemporaryHome home;
  write_story(home.path(), 5);
  tamper(home.path(), "CREATE TRIGGER quiet AFTER INSERT ON journal BEGIN SELECT 1; END");
  EXPECT_EQ(refusal_of(home.path()).kind, Kind::corrupt);
}

TEST(HomeStore, WhatIsNotAHomeOfOursIsLeftAlone) {
  const TemporaryHome home;
  const fs::path database = fs::path(home.path()) / "home.db";
  fs::create_directory(home.path());
  fs::permissions(home.path(), fs::perms::owner_all);
  tamper(home.path(), "CREATE TABLE someone_elses (x)");
  const std::string before = bytes_of(database);
  EXPECT_EQ(refusal_of(home.path()).kind, Kind::not_a_home);
  EXPECT_EQ(bytes_of(database), before);
  std::ofstream(database) << std::string(8192, 'x');
  EXPECT_EQ(refusal_of(home.path()).kind, Kind::not_a_home);
  fs::remove_all(home.path());
  std::ofstream(home.path()) << "a file";
  EXPECT_EQ(refusal_of(home.path()).kind, Kind::not_a_home);
}

TEST(HomeStore, AFolderThatOthersMayWriteToIsRefused) {
  const TemporaryHome home;
  fs::create_directory(home.path());
  fs::permissions(home.path(), fs::perms::all);
  const StoreError refused = refusal_of(home.path());
  EXPECT_EQ(refused.kind, Kind::no_permission);
  EXPECT_NE(refused.explain.find("chmod go-w"), std::string::npos) << refused.explain;
}

TEST(HomeStore, AnOlderCopyPutBackIsNoticed) {
  const TemporaryHome home;
  write_story(home.path(), 10);
  const fs::path copy = home.folder() / "copy.db";
  fs::copy_file(home.path() + "/home.db", copy);
  {
    auto store = open_store(home.path());
    Diary diary;
    for (int i = 0; i < 10; ++i) (void)diary.next();
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(store->commit(diary.next()));
  }
  fs::copy_file(copy, home.path() + "/home.db", fs::copy_options::overwrite_existing);
  fs::remove(home.path() + "/home.db-wal");
  const StoreError refused = refusal_of(home.path());
  EXPECT_EQ(refused.kind, Kind::corrupt);
  EXPECT_NE(refused.explain.find("ends at 10, but once it ended at 20"), std::string::npos) << refused.explain;
}

TEST(HomeStore, AnotherHomesDatabaseIsRefused) {
  const TemporaryHome one, two;
  write_story(one.path(), 3);
  write_story(two.path(), 3);
  fs::copy_file(two.path() + "/home.db", one.path() + "/home.db", fs::copy_options::overwrite_existing);
  fs::remove(one.path() + "/home.db-wal");
  EXPECT_EQ(refusal_of(one.path()).kind, Kind::not_a_home);
}

TEST(HomeStore, RowsThatDoNotFitTheJournalAreNotLoaded) {
  const TemporaryHome home;
  write_story(home.path(), 12);
  tamper(home.path(), "UPDATE rows SET text = replace(text, '\"live\":true', '\"live\":false')");
  const auto loaded = open_store(home.path())->load();
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().explain.find("audit verify"), std::string::npos) << loaded.error().explain;
}

TEST(HomeStore, AnUnwritableHomeIsExplainedToAnOrdinaryUser) {
  const TemporaryHome home;
  write_story(home.path(), 3);
  const std::string found = as_nobody([&]() -> std::string {
    for (const std::string& place :
         {home.path(), std::string("/proc/overnight-home"), std::string("/overnight-home")}) {
      if (place == home.path() && geteuid() == getuid() && access(place.c_str(), W_OK) == 0) continue;  // it is ours
      auto store = HomeStore::open(place, HomeStore::Mode::read_write, test_time());
      if (store) return place + " was opened";
      if (store.error().explain.find("--home") == std::string::npos) return store.error().explain;
    }
    return "";
  });
  EXPECT_EQ(found, "");
}

TEST(HomeStore, AReadOnlyDiskIsRefusedForWritingAndServesReaders) {
  const TemporaryHome home;
  fs::create_directory(home.path());
  const std::string found = on_small_disk(home.path(), 8 << 20, [&]() -> std::string {
    write_story(home.path(), 10);
    if (!make_read_only(home.path())) return "skipped: the disk cannot be made read-only";
    auto store = HomeStore::open(home.path(), HomeStore::Mode::read_write, test_time());
    if (store) return "it was opened for writing";
    if (store.error().kind != Kind::read_only) return store.error().explain;
    auto reader = HomeReader::open(home.path());
    if (!reader) return "no reader: " + reader.error().explain;
    auto facts = (*reader)->home();
    return facts && facts->journal_entries == 10 ? "" : "the reader does not see the journal";
  });
  if (found.starts_with("skipped")) GTEST_SKIP() << found;
  EXPECT_EQ(found, "");
}

TEST(HomeStore, AFullDiskStopsCommitsWithAMessageAndLosesNothing) {
  const TemporaryHome home;
  fs::create_directory(home.path());
  const std::string found = on_small_disk(home.path(), 1 << 20, [&]() -> std::string {
    Diary diary;
    std::int64_t committed = 0;
    {
      auto store = HomeStore::open(home.path(), HomeStore::Mode::read_write, test_time());
      if (!store) return store.error().explain;
      std::ofstream(home.path() + "/ballast") << std::string(200'000, 'x');
      budgets::Result<void, ports::JournalError> done{};
      while ((done = (*store)->commit(diary.next())) && committed < 100'000) ++committed;
      if (done) return "the disk never filled up";
      if (done.error().explain.find("free some space") == std::string::npos) return done.error().explain;
      if ((*store)->commit(diary.next())) return "a commit went through after one had failed";
    }
    fs::remove(home.path() + "/ballast");
    auto again = HomeStore::open(home.path(), HomeStore::Mode::read_write, test_time());
    if (!again) return again.error().explain;
    auto loaded = (*again)->load();
    if (!loaded) return loaded.error().explain;
    if (core::number(loaded->last) != committed)
      return std::to_string(committed) + " committed, " + std::to_string(core::number(loaded->last)) + " found";
    return "";
  });
  if (found.starts_with("skipped")) GTEST_SKIP() << found;
  EXPECT_EQ(found, "");
}

TEST(HomeStore, ReadingNeedsNoLockAndMakesNothing) {
  const TemporaryHome home;
  EXPECT_FALSE(HomeStore::open(home.path(), HomeStore::Mode::read_only, test_time()));
  EXPECT_FALSE(fs::exists(home.path()));
  write_story(home.path(), 4);
  const auto writer = open_store(home.path());
  const auto reader = HomeStore::open(home.path(), HomeStore::Mode::read_only, test_time());
  ASSERT_TRUE(reader) << reader.error().explain;
  EXPECT_EQ(core::number((*reader)->load()->last), 4);
  EXPECT_FALSE((*reader)->commit({}));
}

}  // namespace
}  // namespace overnight::store
