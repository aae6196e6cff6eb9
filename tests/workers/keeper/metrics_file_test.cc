#include "workers/keeper/metrics_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/workers/keeper/kept_attempt.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;

class MetricsFileTest : public testing::Test {
 protected:
  MetricsFileTest() { file_.begin(); }
  void write(const std::string& text) const { std::ofstream(place_.path() / "m", std::ios::app) << text; }
  std::vector<std::string> look() {
    std::vector<std::string> lines;
    file_.look([&](std::string_view line) { lines.emplace_back(line); });
    return lines;
  }
  std::vector<std::string> finish() {
    std::vector<std::string> lines;
    file_.finish([&](std::string_view line) { lines.emplace_back(line); });
    return lines;
  }

  Folder place_;
  Descriptor opened_{::open(place_.path().c_str(), O_RDONLY | O_DIRECTORY)};
  MetricsFile file_{opened_.get(), "m"};
};

using Lines = std::vector<std::string>;

TEST_F(MetricsFileTest, IsReadAsItGrows) {
  EXPECT_EQ(look(), Lines{});
  write("one\ntw");
  EXPECT_EQ(look(), Lines{"one"});
  write("o\nthree");
  EXPECT_EQ(look(), Lines{"two"});
  EXPECT_EQ(finish(), Lines{"three"});
}

TEST_F(MetricsFileTest, IsReadToItsEndAfterItWasReplaced) {
  write("one\n");
  EXPECT_EQ(look(), Lines{"one"});
  fs::remove(place_.path() / "m");
  write("two\n");
  EXPECT_EQ(finish(), Lines{"two"});
}

TEST_F(MetricsFileTest, BeginsAnewWithEachPhase) {
  write("one\n");
  EXPECT_EQ(finish(), Lines{"one"});
  file_.begin();
  EXPECT_EQ(finish(), Lines{});
  write("two\n");
  EXPECT_EQ(finish(), Lines{"two"});
  EXPECT_EQ(place_.read("last-m"), "one\n");
}

TEST_F(MetricsFileTest, ThatIsAPipeAFolderOrALinkIsNotRead) {
  fs::remove(place_.path() / "m");
  ASSERT_EQ(::mkfifo((place_.path() / "m").c_str(), 0600), 0);
  EXPECT_EQ(finish(), Lines{}) << "and does not block";
  file_.begin();
  fs::remove(place_.path() / "m");
  fs::create_symlink("/etc/passwd", place_.path() / "m");
  EXPECT_EQ(finish(), Lines{});
  file_.begin();
  write("good\n");
  EXPECT_EQ(finish(), Lines{"good"});
}

TEST_F(MetricsFileTest, ThatWasTruncatedGoesOnFromItsNewEnd) {
  write("one\ntwo\n");
  EXPECT_EQ(look(), (Lines{"one", "two"}));
  fs::resize_file(place_.path() / "m", 0);
  EXPECT_EQ(finish(), Lines{});
}

}  // namespace
}  // namespace overnight::workers
