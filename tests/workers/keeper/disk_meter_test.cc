#include "workers/keeper/disk_meter.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/workers/keeper/kept_attempt.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;

class DiskMeterTest : public testing::Test {
 protected:
  Folder place_;
  Descriptor opened_{::open(place_.path().c_str(), O_RDONLY | O_DIRECTORY)};
  DiskMeter meter_{opened_.get()};
};

TEST_F(DiskMeterTest, CountsBlocksAndEntriesBelow) {
  fs::create_directory(place_.path() / "sub");
  place_.write("sub/file", std::string(100'000, 'x'));
  const DiskUse use = meter_.look_at_all(1000);
  EXPECT_EQ(use.inodes, 2);
  EXPECT_GE(use.bytes, 100'000);
  EXPECT_LT(use.bytes, 200'000);
  EXPECT_FALSE(use.hidden);
}

TEST_F(DiskMeterTest, CountsWhatASparseFileTakesNotWhatItClaims) {
  place_.write("sparse", "");
  fs::resize_file(place_.path() / "sparse", std::uintmax_t{1} << 40);
  EXPECT_LT(meter_.look_at_all(1000).bytes, 1 << 20);
}

TEST_F(DiskMeterTest, WalksOnWhereItStoppedAndNeverSaysLessThanItKnows) {
  for (int i = 0; i < 50; ++i) std::ofstream(place_.path() / std::to_string(i)) << "x";
  std::int64_t seen = 0;
  for (int look = 0; look < 20; ++look) {
    const auto use = meter_.look(10);
    EXPECT_GE(use.inodes, seen);
    seen = use.inodes;
  }
  EXPECT_EQ(seen, 50);
}

TEST_F(DiskMeterTest, DoesNotFollowLinks) {
  fs::create_symlink("/usr", place_.path() / "usr");
  fs::create_symlink(".", place_.path() / "self");
  EXPECT_EQ(meter_.look_at_all(1000).inodes, 2);
}

TEST_F(DiskMeterTest, SaysWhenSomethingLiesTooDeepToBeCounted) {
  fs::path deep = place_.path();
  for (int i = 0; i < DiskMeter::depth_max + 5; ++i) deep /= "d";
  fs::create_directories(deep);
  EXPECT_TRUE(meter_.look_at_all(100'000).hidden);
}

TEST_F(DiskMeterTest, GivesLockedFoldersBack) {
  fs::create_directory(place_.path() / "locked");
  place_.write("locked/in", "x");
  fs::permissions(place_.path() / "locked", fs::perms::none);
  const auto use = meter_.look_at_all(1000);
  EXPECT_EQ(use.inodes, 2);
  EXPECT_FALSE(use.hidden);
}

}  // namespace
}  // namespace overnight::workers
