#include "workers/keeper/attempt_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/workers/keeper/kept_attempt.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;

class AttemptFolderTest : public testing::Test {
 protected:
  AttemptFolderTest() { fs::create_directory(workspace()); }
  fs::path workspace() const { return place_.path() / "workspace"; }
  AttemptFolder::Done copy(const std::vector<std::string>& but = {}) {
    fs::create_directories(place_.path() / "attempt");
    folder_.emplace(*AttemptFolder::open((place_.path() / "attempt").string()));
    EXPECT_TRUE(folder_->make_folder("work"));
    return folder_->copy_into(workspace().string(), "work", but, [] { return true; });
  }
  std::string copied(const std::string& name) const { return place_.read("attempt/work/" + name); }

  Folder place_;
  std::optional<AttemptFolder> folder_;
};

TEST_F(AttemptFolderTest, CopiesFilesFoldersAndLinksWithTheirModes) {
  fs::create_directory(workspace() / "sub");
  place_.write("workspace/sub/run.sh", "#!/bin/sh\n");
  place_.write("workspace/plain", "x");
  fs::permissions(workspace() / "plain", fs::perms::owner_read);
  fs::create_symlink("plain", workspace() / "link");
  ASSERT_EQ(::mkfifo((workspace() / "pipe").c_str(), 0600), 0);
  ASSERT_TRUE(copy());
  EXPECT_EQ(copied("sub/run.sh"), "#!/bin/sh\n");
  EXPECT_EQ(copied("link"), "x");
  struct stat status {};
  ASSERT_EQ(::stat((place_.path() / "attempt/work/sub/run.sh").c_str(), &status), 0);
  EXPECT_NE(status.st_mode & S_IXUSR, 0u);
  EXPECT_FALSE(fs::exists(place_.path() / "attempt/work/pipe"));
}

TEST_F(AttemptFolderTest, WhatVanishesWhileItIsCopiedIsLeftOut) {
  fs::create_directory(workspace() / "sub");
  place_.write("workspace/plain", "x");
  fs::create_directories(place_.path() / "attempt");
  const auto folder = AttemptFolder::open((place_.path() / "attempt").string());
  ASSERT_TRUE(folder->make_folder("work"));
  const auto done = folder->copy_into(workspace().string(), "work", {}, [&] {
    fs::remove_all(workspace() / "sub");
    fs::remove(workspace() / "plain");
    return true;
  });
  EXPECT_TRUE(done) << done.error();
  EXPECT_TRUE(fs::is_empty(place_.path() / "attempt/work"));
}

TEST_F(AttemptFolderTest, LeavesOutGitPrivateDataAndTheHomeThatLiesInTheWorkspace) {
  fs::create_directories(workspace() / ".git");
  fs::create_directories(workspace() / ".overnight/runs");
  place_.write("workspace/.overnight/runs/large", "x");
  place_.write("workspace/train.py", "x");
  fs::create_directory(workspace() / "data");
  place_.write("workspace/data/private", "labels");
  place_.write("workspace/data/public", "x");
  ASSERT_TRUE(copy({(workspace() / ".overnight").string(), (workspace() / "data/private").string(), "/no/such", ""}));
  EXPECT_EQ(copied("train.py"), "x");
  EXPECT_EQ(copied("data/public"), "x");
  EXPECT_FALSE(fs::exists(place_.path() / "attempt/work/data/private"));
  EXPECT_FALSE(fs::exists(place_.path() / "attempt/work/.git"));
  EXPECT_FALSE(fs::exists(place_.path() / "attempt/work/.overnight"));
}

TEST_F(AttemptFolderTest, SaysWhatIsWrongWithAWorkspace) {
  fs::remove(workspace());
  EXPECT_NE(copy().error().find("cannot open the workspace"), std::string::npos);
}

TEST_F(AttemptFolderTest, PutsTheSeedWhereThePatternSays) {
  place_.write("workspace/train.py", "lr = 1\nseed = 42  # fixed\n");
  ASSERT_TRUE(copy());
  ASSERT_TRUE(folder_->replace_seed("work", {"train.py", "^seed = (\\d+)"}, -7));
  EXPECT_EQ(copied("train.py"), "lr = 1\nseed = -7  # fixed\n");
  EXPECT_EQ(place_.read("workspace/train.py"), "lr = 1\nseed = 42  # fixed\n") << "the workspace itself is untouched";
}

TEST_F(AttemptFolderTest, RefusesASeedPatternThatIsMissingTwiceOrOutside) {
  place_.write("workspace/train.py", "seed = 1\nseed = 2\n");
  place_.write("outside", "seed = 1\n");
  fs::create_symlink("../../outside", workspace() / "link.py");
  ASSERT_TRUE(copy());
  const auto refusal = [&](const std::string& file, const std::string& pattern) {
    const auto done = folder_->replace_seed("work", {file, pattern}, 1);
    return done ? std::string() : done.error();
  };
  EXPECT_NE(refusal("train.py", "seed = (\\d+)").find("more than once"), std::string::npos);
  EXPECT_NE(refusal("train.py", "sead = (\\d+)").find("nothing matches"), std::string::npos);
  EXPECT_NE(refusal("missing.py", "seed").find("cannot open"), std::string::npos);
  EXPECT_NE(refusal("link.py", "seed = (\\d+)").find("cannot open"), std::string::npos);
  EXPECT_NE(refusal("../outside", "seed = (\\d+)").find("cannot open"), std::string::npos);
}

TEST_F(AttemptFolderTest, WritesItsReceiptOverWhateverStandsThere) {
  ASSERT_TRUE(copy());
  ASSERT_TRUE(folder_->reserve_receipt());
  EXPECT_GE(fs::file_size(place_.path() / "attempt/.receipt.reserve"), 65536u);
  fs::create_directories(place_.path() / "attempt/receipt.json/x");
  ASSERT_TRUE(folder_->write_receipt("{}"));
  EXPECT_EQ(place_.read("attempt/receipt.json"), "{}");
  EXPECT_FALSE(fs::exists(place_.path() / "attempt/.receipt.reserve"));
}

TEST_F(AttemptFolderTest, KnowsWhetherItIsStillWhereItWas) {
  ASSERT_TRUE(copy());
  const fs::path at = place_.path() / "attempt";
  EXPECT_TRUE(folder_->is_at(at));
  fs::rename(at, place_.path() / "moved");
  EXPECT_FALSE(folder_->is_at(at));
  fs::create_directory(at);
  EXPECT_FALSE(folder_->is_at(at));
}

}  // namespace
}  // namespace overnight::workers
