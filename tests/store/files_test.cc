// Small durable files, and the content store.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "orchestrator/store/anchor.h"
#include "orchestrator/store/blobs.h"
#include "orchestrator/store/durable_file.h"
#include "tests/store/diary.h"

namespace overnight::store {
namespace {

namespace fs = std::filesystem;

TEST(DurableFile, IsWholeOrWhatItWasBefore) {
  const TemporaryHome home;
  const std::string path = (home.folder() / "small").string();
  EXPECT_EQ(*read_whole(path, 100), std::nullopt);
  ASSERT_TRUE(write_whole(path, "first"));
  EXPECT_EQ(*read_whole(path, 100), "first");
  ASSERT_TRUE(write_whole(path, std::string(100'000, 'x')));
  EXPECT_EQ(read_whole(path, 100).error().kind, StoreError::Kind::corrupt) << "longer than it may be";
  ASSERT_TRUE(write_whole(path, ""));
  EXPECT_EQ(*read_whole(path, 100), "");
  struct stat found {};
  ASSERT_EQ(stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
}

TEST(DurableFile, ALeftoverOfACrashIsReplacedAndALinkIsNotFollowed) {
  const TemporaryHome home;
  const std::string path = (home.folder() / "small").string(), victim = (home.folder() / "victim").string();
  std::ofstream(path + ".new") << "half of someth";
  ASSERT_TRUE(write_whole(path, "whole"));
  EXPECT_EQ(*read_whole(path, 100), "whole");
  std::ofstream(victim) << "precious";
  fs::create_symlink(victim, path + ".new");
  EXPECT_FALSE(write_whole(path, "again"));
  EXPECT_EQ(bytes_of(victim), "precious");
}

TEST(Anchor, ComesBackAsItWasWrittenOrIsRefused) {
  const TemporaryHome home;
  const HomePaths paths(home.folder().string());
  EXPECT_EQ(*read_anchor(paths), std::nullopt);
  const Anchor anchor{17, std::string(64, 'a')};
  ASSERT_TRUE(write_anchor(paths, anchor));
  EXPECT_EQ(**read_anchor(paths), anchor);
  const std::string good = bytes_of(paths.anchor);
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    std::ofstream(paths.anchor) << good.substr(0, cut);
    EXPECT_FALSE(read_anchor(paths)) << "cut at " << cut;
  }
  for (const std::string& bad :
       {good + "x", "overnight.head.v1\n-1\n" + anchor.hash + "\n", std::string("overnight.head.v2\n1\n")}) {
    std::ofstream(paths.anchor) << bad;
    EXPECT_FALSE(read_anchor(paths)) << bad;
  }
}

TEST(Blobs, KeepTheSameBytesOnceAndGiveThemBack) {
  const TemporaryHome home;
  const HomePaths paths(home.path());
  ASSERT_TRUE(make_layout(paths));
  const Blobs blobs(paths);
  const std::string bytes("\0a blob\n", 8);
  const auto name = blobs.put(bytes);
  ASSERT_TRUE(name) << name.error().explain;
  EXPECT_EQ(name->size(), 64u);
  EXPECT_EQ(*blobs.put(bytes), *name);
  EXPECT_EQ(*blobs.get(*name), bytes);
  EXPECT_EQ(*blobs.get(*blobs.put("")), "");
  ASSERT_TRUE(blobs.remove(*name));
  ASSERT_TRUE(blobs.remove(*name));
  EXPECT_EQ(blobs.get(*name).error().kind, StoreError::Kind::missing);
}

TEST(Blobs, ADamagedOneIsToldAndMendedByPuttingItAgain) {
  const TemporaryHome home;
  const HomePaths paths(home.path());
  ASSERT_TRUE(make_layout(paths));
  const Blobs blobs(paths);
  const std::string name = *blobs.put("what was kept");
  std::ofstream(paths.blobs + "/" + name.substr(0, 2) + "/" + name) << "what was kepT";
  EXPECT_EQ(blobs.get(name).error().kind, StoreError::Kind::corrupt);
  EXPECT_EQ(*blobs.put("what was kept"), name);
  EXPECT_EQ(*blobs.get(name), "what was kept");
}

TEST(Blobs, OnlyHashesAreNames) {
  const TemporaryHome home;
  const Blobs blobs{HomePaths(home.path())};
  for (const std::string& bad : {std::string(), std::string("../../etc/passwd"), std::string(64, 'g'),
                                 std::string(64, 'A'), std::string(63, 'a') + "/"}) {
    EXPECT_EQ(blobs.get(bad).error().kind, StoreError::Kind::missing) << bad;
    EXPECT_FALSE(blobs.remove(bad)) << bad;
  }
}

}  // namespace
}  // namespace overnight::store
