#include "workers/keeper/log_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "tests/workers/keeper/kept_attempt.h"

namespace overnight::workers {
namespace {

class LogFileTest : public testing::Test {
 protected:
  Folder place_;
  Descriptor opened_{::open(place_.path().c_str(), O_RDONLY | O_DIRECTORY)};
};

TEST_F(LogFileTest, KeepsEverythingWithinTheBound) {
  LogFile log(opened_.get(), "log", 1000);
  log.append("one\n");
  log.append("two\n");
  log.finish();
  EXPECT_EQ(place_.read("log"), "one\ntwo\n");
  EXPECT_EQ(log.dropped_bytes(), 0);
  EXPECT_EQ(log.kept_bytes(), 8);
}

TEST_F(LogFileTest, KeepsTheBeginningAndTheEndAndCountsWhatIsBetween) {
  LogFile log(opened_.get(), "log", 100);
  for (int i = 0; i < 1000; ++i) log.append(std::to_string(1000 + i) + "\n");
  log.finish();
  const std::string text = place_.read("log");
  EXPECT_EQ(text.substr(0, 10), "1000\n1001\n");
  EXPECT_EQ(text.substr(text.size() - 10), "1998\n1999\n");
  EXPECT_EQ(log.dropped_bytes(), 5000 - 100);
  EXPECT_NE(text.find("4900 bytes dropped here"), std::string::npos) << text;
}

TEST_F(LogFileTest, TakesOnePieceThatIsLargerThanAll) {
  LogFile log(opened_.get(), "log", 10);
  log.append(std::string(1000, 'a') + std::string(5, 'z'));
  log.finish();
  EXPECT_TRUE(place_.read("log").ends_with("zzzzz"));
  EXPECT_EQ(log.dropped_bytes(), 995);
}

TEST_F(LogFileTest, FollowsNoLinkAndLosesLogsRatherThanTheAttempt) {
  std::filesystem::create_symlink("/dev/full", place_.path() / "log");
  LogFile log(opened_.get(), "log", 0);
  log.append("text");
  log.finish();
  EXPECT_EQ(log.dropped_bytes(), 4);
  EXPECT_EQ(log.tail(), "text");
}

TEST(TailRing, HoldsTheLastBytes) {
  TailRing ring(4);
  for (const char* text : {"a", "bc", "def", "", "ghijkl", "m"}) ring.append(text);
  EXPECT_EQ(ring.text(), "jklm");
  EXPECT_EQ(ring.pushed_out(), 9);
  TailRing none(0);
  none.append("abc");
  EXPECT_EQ(none.text(), "");
}

TEST(ReadableTail, IsValidUtf8WithoutControlCharacters) {
  EXPECT_EQ(readable_tail("a\x1b[31mb\r\n\tc", 100), "a?[31mb?\n\tc");
  EXPECT_EQ(readable_tail("\xc3\xa4\xff\xc0\x80\xed\xa0\x80", 100), "\xc3\xa4??????");
  EXPECT_EQ(readable_tail(std::string("\0x", 2), 100), "?x");
}

TEST(ReadableTail, IsCutAtALineWhereItCan) {
  EXPECT_EQ(readable_tail("first\nsecond\nthird", 12), "third");
  EXPECT_EQ(readable_tail("abcdef", 3), "def");
}

}  // namespace
}  // namespace overnight::workers
