// kill -9 in the middle of commits: what is read afterwards is exactly a beginning of what was told, and holds all that
// was confirmed. And readers beside a writer: they see whole commits, and never touch the log.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <random>
#include <thread>

#include "orchestrator/store/audit.h"
#include "orchestrator/store/reader.h"
#include "tests/store/diary.h"

namespace overnight::store {
namespace {

namespace fs = std::filesystem;

int kills() { return std::getenv("OVERNIGHT_TORTURE") != nullptr ? 100 : 12; }

// Commits the story for ever, from where the home is; confirms each commit with a byte.
[[noreturn]] void write_for_ever(const std::string& home, std::int64_t from, int confirm) {
  auto store = HomeStore::open(home, HomeStore::Mode::read_write, test_time());
  if (!store) _exit(1);
  Diary diary;
  for (std::int64_t i = 0; i < from; ++i) (void)diary.next();
  while ((*store)->commit(diary.next())) {
    if (write(confirm, "x", 1) != 1) _exit(2);
  }
  _exit(3);
}

TEST(Crash, WhatIsReadIsABeginningThatHoldsAllThatWasConfirmed) {
  const TemporaryHome home;
  std::mt19937 random(20261124);
  std::int64_t at_least = 0;
  for (int life = 0; life < kills(); ++life) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) write_for_ever(home.path(), at_least, ends[1]);
    close(ends[1]);
    // Killed after a random number of confirmed commits, while the next is under way.
    char byte = 0;
    for (auto left = random() % 40; left > 0 && read(ends[0], &byte, 1) == 1; --left) ++at_least;
    kill(child, SIGKILL);
    while (read(ends[0], &byte, 1) == 1) ++at_least;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);

    auto store = open_store(home.path());
    ASSERT_TRUE(store);
    const auto loaded = store->load();
    ASSERT_TRUE(loaded) << loaded.error().explain;
    const std::int64_t last = core::number(loaded->last);
    EXPECT_GE(last, at_least);
    EXPECT_LE(last, at_least + 1);
    Diary expected;
    for (std::int64_t i = 0; i < last; ++i) (void)expected.next();
    if (last == 0) continue;
    core::State state = expected.home.state;
    state.last = loaded->state.last, state.last_wall = loaded->state.last_wall;
    EXPECT_EQ(loaded->state, state);
    EXPECT_EQ(verify(home.path()).kind, AuditVerdict::Kind::intact) << verify(home.path()).explain;
    at_least = last;
  }
  EXPECT_GT(at_least, 30);
}

TEST(Readers, SeeWholeCommitsWhileTheWriterWrites) {
  const TemporaryHome home;
  write_story(home.path(), 3);
  auto store = open_store(home.path());
  std::atomic<bool> over{false};
  std::atomic<int> looks{0};
  std::string wrong;
  std::thread watcher([&] {
    std::int64_t before = 0;
    while (!over && wrong.empty()) {
      auto reader = HomeReader::open(home.path());
      if (!reader) {
        wrong = reader.error().explain;
        break;
      }
      for (int i = 0; i < 20 && wrong.empty(); ++i, ++looks) {
        const auto facts = (*reader)->home();
        const auto run = (*reader)->run(core::RunId{"run-1"});
        const auto trials = (*reader)->trials(core::RunId{"run-1"}, 0, page_max);
        if (!facts || !run || !trials) wrong = "a reader was refused";
        if (!wrong.empty()) break;
        if (facts->journal_entries < before) wrong = "the journal went back";
        before = facts->journal_entries;
        if (*run && (*run)->run.counts.trials_finished > static_cast<std::int64_t>(trials->items.size()))
          wrong = "a run counts trials that are not recorded";
      }
    }
  });
  Diary diary;
  for (int i = 0; i < 3; ++i) (void)diary.next();
  for (int i = 0; i < 400 || looks < 40; ++i) ASSERT_TRUE(store->commit(diary.next()));
  over = true;
  watcher.join();
  EXPECT_EQ(wrong, "");
}

// SQLite 3.40 can lose pages when several connections checkpoint: only the writer may.
TEST(Readers, NeverCheckpointEvenWhenTheyAreTheLastToLeave) {
  const TemporaryHome home;
  const pid_t child = fork();
  if (child == 0) {  // leaves a full log behind, as a crash does
    auto store = HomeStore::open(home.path(), HomeStore::Mode::read_write, test_time());
    Diary diary;
    for (int i = 0; i < 50; ++i) {
      if (!(*store)->commit(diary.next())) _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  const std::string log = bytes_of(home.path() + "/home.db-wal"), database = bytes_of(home.path() + "/home.db");
  ASSERT_GT(log.size(), 0u);
  {
    auto reader = HomeReader::open(home.path());
    ASSERT_TRUE(reader) << reader.error().explain;
    EXPECT_EQ((*reader)->home()->journal_entries, 50);
    EXPECT_EQ(verify(home.path()).kind, AuditVerdict::Kind::intact);
  }
  EXPECT_EQ(bytes_of(home.path() + "/home.db-wal"), log);
  EXPECT_EQ(bytes_of(home.path() + "/home.db"), database);
}

TEST(Readers, GiveListsInPagesWithoutAGapOrADouble) {
  const TemporaryHome home;
  write_story(home.path(), 120);
  auto reader = HomeReader::open(home.path());
  ASSERT_TRUE(reader);
  const auto all = (*reader)->trials(core::RunId{"run-1"}, 0, page_max);
  ASSERT_TRUE(all);
  ASSERT_GT(all->items.size(), 20u);
  std::vector<std::int64_t> seen;
  for (std::int64_t cursor = 0;;) {
    const auto page = (*reader)->trials(core::RunId{"run-1"}, cursor, 7);
    ASSERT_TRUE(page);
    EXPECT_LE(page->items.size(), 7u);
    for (const auto& item : page->items) seen.push_back(item.finish);
    if (!page->more) break;
    cursor = page->next;
  }
  std::vector<std::int64_t> expected;
  for (const auto& item : all->items) expected.push_back(item.finish);
  EXPECT_EQ(seen, expected);
}

}  // namespace
}  // namespace overnight::store
