#include "workers/keeper/artifacts.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <limits>

#include "tests/workers/keeper/kept_attempt.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;

ArtifactSweep sweep(const Folder& folder) {
  const Descriptor opened(::open(folder.path().c_str(), O_RDONLY | O_DIRECTORY));
  return sweep_artifacts(opened.get());
}

TEST(Artifacts, OfAnEmptyFolderAreNothing) {
  const Folder folder;
  const auto swept = sweep(folder);
  EXPECT_EQ(swept.bytes, 0);
  EXPECT_EQ(swept.removed_count, 0);
  EXPECT_TRUE(swept.complete);
}

TEST(Artifacts, AreCountedByTheirApparentSizeThroughAllFolders) {
  const Folder folder;
  fs::create_directories(folder.path() / "a/b");
  folder.write("one", "12345");
  folder.write("a/b/two", "123");
  EXPECT_EQ(sweep(folder).bytes, 8);
}

TEST(Artifacts, KeepLinksThatStayInsideAndLoseAllOthers) {
  const Folder folder;
  folder.write("good", "x");
  fs::create_directory(folder.path() / "sub");
  fs::create_symlink("good", folder.path() / "inside");
  fs::create_symlink("../good", folder.path() / "sub/inside");
  fs::create_symlink("/etc/passwd", folder.path() / "absolute");
  fs::create_symlink("../../etc", folder.path() / "sub/outside");
  fs::create_symlink("nowhere", folder.path() / "dangling");
  fs::create_symlink("loop", folder.path() / "loop");
  const auto swept = sweep(folder);
  EXPECT_EQ(swept.removed_count, 4);
  EXPECT_TRUE(fs::is_symlink(folder.path() / "inside"));
  EXPECT_TRUE(fs::is_symlink(folder.path() / "sub/inside"));
  for (const char* gone : {"absolute", "sub/outside", "dangling", "loop"})
    EXPECT_FALSE(fs::is_symlink(folder.path() / gone)) << gone;
}

TEST(Artifacts, NameOnlyTheFirstThingsThatWereRemoved) {
  const Folder folder;
  for (int i = 0; i < 20; ++i) ASSERT_EQ(::mkfifo((folder.path() / std::to_string(i)).c_str(), 0600), 0);
  const auto swept = sweep(folder);
  EXPECT_EQ(swept.removed_count, 20);
  EXPECT_EQ(swept.removed.size(), 5u);
}

TEST(Artifacts, ThatClaimMoreThanSixtyFourBitsAreCountedAsTheMost) {
  const fs::path place = "/dev/shm";  // where files may claim that much
  if (::access(place.c_str(), W_OK) != 0) GTEST_SKIP() << place << " cannot be written here";
  const Folder folder(place);
  for (const char* name : {"a", "b", "c"}) {
    folder.write(name, "");
    if (::truncate((folder.path() / name).c_str(), std::int64_t{7} << 60) != 0) GTEST_SKIP() << "no such files here";
  }
  EXPECT_EQ(sweep(folder).bytes, std::numeric_limits<std::int64_t>::max());
}

TEST(Artifacts, DeeperThanSixtyFourFoldersAreRemoved) {
  const Folder folder;
  fs::path deep = folder.path();
  for (int i = 0; i < 70; ++i) deep /= "d";
  fs::create_directories(deep);
  const auto swept = sweep(folder);
  EXPECT_EQ(swept.removed_count, 1);
  EXPECT_FALSE(fs::exists(deep));
}

}  // namespace
}  // namespace overnight::workers
