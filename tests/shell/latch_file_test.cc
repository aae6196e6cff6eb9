// The latch on disk fails closed: what is not exactly what was written counts as halted.
#include "orchestrator/shell/latch_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace overnight::shell {
namespace {

namespace fs = std::filesystem;

class Latch : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "overnight-latch-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path file() const { return folder_ / "latch"; }
  std::string bytes() const {
    std::ifstream in(file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& text) const { std::ofstream(file(), std::ios::binary) << text; }

  fs::path folder_;
  WrittenLatch halt_{"user:ann", "offline", "the loss looks wrong"};
};

TEST_F(Latch, IsMadeOpenInItsFullSizeForItsOwnerAlone) {
  const LatchFile latch(file());
  ASSERT_TRUE(latch.prepare());
  EXPECT_EQ(latch.read(), std::nullopt);
  struct stat found {};
  ASSERT_EQ(stat(file().c_str(), &found), 0);
  EXPECT_EQ(static_cast<std::size_t>(found.st_size), latch_file_bytes);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
}

// Killed while it was being made: what is left beside it is no latch, and the next one is made whole.
TEST_F(Latch, IsThereWholeOrNotAtAll) {
  const fs::path half = file().string() + ".new";
  std::ofstream(half) << "op";
  const LatchFile latch(file());
  EXPECT_FALSE(latch.exists());
  ASSERT_TRUE(latch.prepare());
  EXPECT_EQ(latch.read(), std::nullopt);
  EXPECT_FALSE(fs::exists(half));
  // One that was closed meanwhile stands.
  ASSERT_TRUE(latch.close(halt_));
  ASSERT_TRUE(latch.prepare());
  EXPECT_EQ(latch.read(), halt_);
}

TEST_F(Latch, SaysWhoClosedItAndWhy) {
  const LatchFile latch(file());
  ASSERT_TRUE(latch.prepare());
  ASSERT_TRUE(latch.close(halt_));
  EXPECT_EQ(latch.read(), halt_);
  ASSERT_TRUE(latch.prepare()) << "making it again lifts nothing";
  EXPECT_EQ(latch.read(), halt_);
  ASSERT_TRUE(latch.open_again());
  EXPECT_EQ(latch.read(), std::nullopt);
}

TEST_F(Latch, AMissingOneCountsAsClosed) {
  const auto read = LatchFile(file()).read();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->by, "latch file");
  EXPECT_NE(read->reason.find("counts as halted"), std::string::npos);
}

TEST_F(Latch, ATornOrForeignOneCountsAsClosed) {
  const LatchFile latch(file());
  ASSERT_TRUE(latch.prepare());
  const std::string open = bytes();
  ASSERT_TRUE(latch.close(halt_));
  const std::string closed = bytes();
  for (std::size_t cut = 0; cut <= 64; ++cut) {
    // The beginning is of one write, the rest of the other.
    const std::string lifting = open.substr(0, cut) + closed.substr(cut);
    write(lifting);
    EXPECT_EQ(latch.read().has_value(), lifting != open) << "open up to " << cut;
    if (cut > 0) {
      write(closed.substr(0, cut) + open.substr(cut));
      EXPECT_TRUE(latch.read()) << "closed up to " << cut;
    }
    write(open.substr(0, cut));
    EXPECT_TRUE(latch.read()) << "cut at " << cut;
  }
  for (const std::string& text :
       {std::string(), std::string("open"), std::string("open\n"), std::string("OPEN\n"),
        std::string(latch_file_bytes, '\0'), open + "\n", "open\nclosed\n" + open.substr(12)}) {
    write(text);
    EXPECT_TRUE(latch.read());
  }
}

TEST_F(Latch, ReasonsOfAnySizeAndContentFitAndCannotForgeAnOpenOne) {
  const LatchFile latch(file());
  ASSERT_TRUE(latch.prepare());
  ASSERT_TRUE(latch.close({"user:x\nopen\n", "offline", std::string(1'000'000, 'r')}));
  const auto read = latch.read();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->by, "user:x open ");
  EXPECT_EQ(bytes().size(), latch_file_bytes);
}

TEST_F(Latch, ALinkIsNotFollowedAndSaysSo) {
  std::ofstream(folder_ / "victim") << "precious";
  fs::create_symlink(folder_ / "victim", file());
  const LatchFile latch(file());
  EXPECT_FALSE(latch.close(halt_));
  EXPECT_TRUE(latch.read()) << "a link to something else is no open latch";
  EXPECT_EQ(fs::file_size(folder_ / "victim"), 8u);
}

TEST_F(Latch, AFolderThatCannotBeWrittenIsExplained) {
  const auto made = LatchFile(folder_ / "missing" / "latch").prepare();
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().find("nothing was started"), std::string::npos);
}

}  // namespace
}  // namespace overnight::shell
