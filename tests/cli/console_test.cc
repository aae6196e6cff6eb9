// A reader that does not read must not stop the writer.
#include "orchestrator/cli/console.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>

namespace overnight::cli {
namespace {

class Pipe : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  void TearDown() override {
    for (const int end : ends_) {
      if (end >= 0) close(end);
    }
  }
  // What is there now.
  std::string taken() const {
    fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    std::string text;
    char chunk[65536];
    for (ssize_t n; (n = read(ends_[0], chunk, sizeof chunk)) > 0;) text.append(chunk, static_cast<std::size_t>(n));
    return text;
  }
  int ends_[2] = {-1, -1};
};

TEST_F(Pipe, GetsWhatIsWritten) {
  Console console(ends_[1]);
  console.write("one\n");
  console.write("two\n");
  EXPECT_TRUE(console.idle());
  EXPECT_EQ(taken(), "one\ntwo\n");
}

TEST_F(Pipe, ThatNobodyReadsBlocksNobodyAndTellsWhatWasLeftOut) {
  Console console(ends_[1]);
  const std::string line = std::string(999, 'x') + "\n";
  for (int i = 0; i < 3000; ++i) console.write(line);  // three times what pipe and queue hold
  EXPECT_FALSE(console.idle());
  std::string all;
  for (int i = 0; i < 1000 && !console.idle(); ++i) {
    all += taken();
    console.flush();
  }
  all += taken();
  EXPECT_EQ(all.size() % 1000, 0u) << "lines are whole";
  console.write("after\n");
  const std::string last = taken();
  EXPECT_NE(last.find("lines were left out"), std::string::npos);
  EXPECT_TRUE(last.ends_with("after\n"));
}

TEST(File, IsWrittenInTurnWithWhoeverElseWritesToIt) {
  std::string name = "/tmp/overnight-console-XXXXXX";
  const int file = mkstemp(name.data());
  ASSERT_GE(file, 0);
  {
    Console console(file);
    console.write("one\n");
    ASSERT_EQ(write(file, "two\n", 4), 4);
    console.write("three\n");
  }
  char text[64] = {};
  EXPECT_EQ(pread(file, text, sizeof text, 0), 14);
  EXPECT_STREQ(text, "one\ntwo\nthree\n");
  close(file);
  unlink(name.c_str());
}

TEST_F(Pipe, OfSomebodyElseIsNotMadeNonBlocking) {
  const Console console(ends_[1]);
  EXPECT_EQ(fcntl(ends_[1], F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(Pipe, ThatIsClosedIsWrittenToNoMore) {
  signal(SIGPIPE, SIG_IGN);
  Console console(ends_[1]);
  close(ends_[0]);
  ends_[0] = -1;
  console.write("into the void\n");
  console.write("again\n");
  EXPECT_TRUE(console.idle());
}

}  // namespace
}  // namespace overnight::cli
