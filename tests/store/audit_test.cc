// `audit verify`: what was written is intact; every way to change it shows, in the kind that the exit code tells.
#include "orchestrator/store/audit.h"

#include <gtest/gtest.h>

#include "tests/store/children.h"
#include "tests/store/diary.h"
#include "tests/store/tampering.h"

namespace overnight::store {
namespace {

namespace fs = std::filesystem;
using Kind = AuditVerdict::Kind;

constexpr int story = 60;

class Audit : public testing::Test {
 protected:
  void SetUp() override { write_story(home_.path(), story); }
  AuditVerdict verdict() const { return verify(home_.path()); }
  std::string file(const std::string& name) const { return home_.path() + "/" + name; }
  TemporaryHome home_;
};

TEST_F(Audit, FindsWhatWasWrittenIntact) {
  const AuditVerdict found = verdict();
  EXPECT_EQ(found.kind, Kind::intact) << found.explain;
  EXPECT_EQ(found.entries, story);
  EXPECT_EQ(found.head_hash.size(), 64u);
}

TEST_F(Audit, FindsAHomeThatIsBeingWrittenIntactToo) {
  auto store = open_store(home_.path());
  Diary diary;
  for (int i = 0; i < story; ++i) (void)diary.next();
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(store->commit(diary.next()));
    if (i % 50 == 0) {
      const AuditVerdict found = verdict();
      EXPECT_EQ(found.kind, Kind::intact) << found.explain;
    }
  }
}

TEST_F(Audit, NamesTheFirstEntryThatWasChanged) {
  for (const std::string change :
       {"UPDATE journal SET input = input || ' ' WHERE seq = 7", "DELETE FROM journal WHERE seq = 7",
        "UPDATE journal SET seq = 1000 WHERE seq = 7", "UPDATE journal SET hash = prev_hash WHERE seq = 7"}) {
    const TemporaryHome other;
    write_story(other.path(), story);
    tamper(other.path(), change);
    const AuditVerdict found = verify(other.path());
    EXPECT_EQ(found.kind, Kind::tampered) << change;
    EXPECT_EQ(found.first_bad_seq, 7) << change << ": " << found.explain;
  }
}

TEST_F(Audit, SeesTwoEntriesThatChangedPlaces) {
  tamper(
      home_.path(),
      "UPDATE journal SET seq = -1 WHERE seq = 8; UPDATE journal SET seq = 8 WHERE seq = 9; UPDATE journal SET seq = 9 "
      "WHERE seq = -1");
  EXPECT_EQ(verdict().kind, Kind::tampered);
  EXPECT_EQ(verdict().first_bad_seq, 8);
}

TEST_F(Audit, CallsAJournalWithoutItsEndTruncated) {
  tamper(home_.path(), "DELETE FROM journal WHERE seq > 50");
  const AuditVerdict found = verdict();
  EXPECT_EQ(found.kind, Kind::truncated) << found.explain;
  EXPECT_NE(found.explain.find("ends at 50"), std::string::npos) << found.explain;
}

TEST_F(Audit, CallsAJournalWithoutItsAnchorTruncatedBecauseNothingShowsItsEnd) {
  fs::remove(file("journal.head"));
  EXPECT_EQ(verdict().kind, Kind::truncated);
}

TEST_F(Audit, SeesAnEditedAnchor) {
  std::string anchor = bytes_of(file("journal.head"));
  anchor[anchor.size() - 2] = anchor[anchor.size() - 2] == '0' ? '1' : '0';
  std::ofstream(file("journal.head")) << anchor;
  EXPECT_EQ(verdict().kind, Kind::tampered);
  std::ofstream(file("journal.head")) << "anything";
  EXPECT_EQ(verdict().kind, Kind::tampered);
}

TEST_F(Audit, SeesAnotherHomesName) {
  std::ofstream(file("uuid")) << "00000000-0000-4000-8000-000000000000\n";
  EXPECT_EQ(verdict().kind, Kind::tampered);
}

// Whatever column of whatever row: a change is never taken for intact.
TEST_F(Audit, SeesAChangeInAnyColumnOfAnyTable) {
  const auto tables = answers(home_.path(), "SELECT name FROM sqlite_schema WHERE type = 'table' AND name != 'home'");
  ASSERT_EQ(tables.size(), 8u);
  const std::string original = bytes_of(file("home.db"));
  for (const std::string& table : tables) {
    const auto columns = answers(home_.path(), "SELECT name FROM pragma_table_info('" + table + "')");
    const auto rows = answers(home_.path(), "SELECT count(*) FROM " + table);
    ASSERT_NE(rows.front(), "0") << table << " is empty: the story must fill it";
    for (const std::string& column : columns) {
      const std::string value = "CASE typeof(" + column + ") WHEN 'integer' THEN " + column +
                                " + 1000003 WHEN 'real' THEN " + column + " + 1 WHEN 'null' THEN 7 ELSE " + column +
                                " || 'x' END";
      tamper(home_.path(), "PRAGMA foreign_keys = OFF; UPDATE " + table + " SET " + column + " = " + value +
                               " WHERE rowid = (SELECT max(rowid) FROM " + table + ")");
      EXPECT_NE(verdict().kind, Kind::intact) << table << "." << column;
      std::ofstream(file("home.db"), std::ios::binary) << original;
      fs::remove(file("home.db-wal"));
      fs::remove(file("home.db-shm"));
    }
    tamper(home_.path(),
           "PRAGMA foreign_keys = OFF; DELETE FROM " + table + " WHERE rowid = (SELECT max(rowid) FROM " + table + ")");
    if (table != "outbox") {  // what leaves the outbox leaves it rightly; only its content is sealed
      EXPECT_NE(verdict().kind, Kind::intact) << "a row less in " << table;
    }
    std::ofstream(file("home.db"), std::ios::binary) << original;
    fs::remove(file("home.db-wal"));
    fs::remove(file("home.db-shm"));
  }
  EXPECT_EQ(verdict().kind, Kind::intact);
}

TEST_F(Audit, CallsDamageUnreadableOrTamperedNeverIntact) {
  const std::string original = bytes_of(file("home.db"));
  for (std::size_t at = 100; at < original.size(); at += original.size() / 40) {
    std::string damaged = original;
    for (std::size_t i = at; i < std::min(at + 64, damaged.size()); ++i)
      damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
    if (damaged == original) continue;
    std::ofstream(file("home.db"), std::ios::binary) << damaged;
    const Kind kind = verdict().kind;
    // Bytes that no table uses may change without a difference to what is read.
    const bool unused = std::all_of(original.begin() + static_cast<std::ptrdiff_t>(at),
                                    original.begin() + static_cast<std::ptrdiff_t>(std::min(at + 64, original.size())),
                                    [](char c) { return c == 0; });
    EXPECT_TRUE(kind != Kind::intact || unused) << "at byte " << at;
  }
}

TEST_F(Audit, CallsWhatItCannotReadUnreadable) {
  EXPECT_EQ(verify(home_.path() + "-elsewhere").kind, Kind::unreadable);
  tamper(home_.path(), "PRAGMA user_version = 99");
  EXPECT_EQ(verdict().kind, Kind::unreadable);
  EXPECT_NE(verdict().explain.find("newer"), std::string::npos);
  std::ofstream(file("home.db")) << "no database at all";
  EXPECT_EQ(verdict().kind, Kind::unreadable);
}

TEST_F(Audit, CallsAFileWithoutPermissionUnreadable) {
  fs::permissions(file("home.db"), fs::perms::none);
  const std::string found = as_nobody([&]() -> std::string {
    const AuditVerdict own = verify(home_.path());
    return own.kind == Kind::unreadable ? "" : std::string(name_of(own.kind)) + ": " + own.explain;
  });
  EXPECT_EQ(found, "");
}

}  // namespace
}  // namespace overnight::store
