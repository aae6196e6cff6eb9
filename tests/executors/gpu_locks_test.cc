#include "orchestrator/executors/gpu_locks.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/workers/keeper/kept_attempt.h"

namespace overnight::executors {
namespace {

namespace fs = std::filesystem;

class GpuLocksTest : public testing::Test {
 protected:
  std::vector<fs::path> both() const { return {folder_.path() / "a", folder_.path() / "b"}; }
  workers::Folder folder_;
};

TEST_F(GpuLocksTest, ExcludeEachOtherPerGpu) {
  GpuLocks first(both());
  GpuLocks second(both());
  EXPECT_TRUE(first.take("GPU-1"));
  EXPECT_TRUE(first.take("GPU-1")) << "what one has one has";
  EXPECT_FALSE(second.take("GPU-1"));
  EXPECT_TRUE(second.take("GPU-2"));
  first.release("GPU-1");
  EXPECT_TRUE(second.take("GPU-1"));
}

TEST_F(GpuLocksTest, ExcludeEachOtherThroughAnyPlaceThatBothCanUse) {
  GpuLocks first({folder_.path() / "a", folder_.path() / "b"});
  GpuLocks second({"/proc/no-such-place", folder_.path() / "b"});
  EXPECT_TRUE(first.take("GPU-1"));
  EXPECT_FALSE(second.take("GPU-1"));
  EXPECT_TRUE(second.take("GPU-2"));
  EXPECT_FALSE(first.take("GPU-2"));
  GpuLocks third({folder_.path() / "a"});
  EXPECT_TRUE(third.take("GPU-2")) << "a lock that was refused leaves nothing locked";
}

TEST_F(GpuLocksTest, NowhereToLockIsNoLock) {
  GpuLocks locks({"/proc/no-such-place"});
  EXPECT_FALSE(locks.take("GPU-1"));
}

TEST_F(GpuLocksTest, FallWithTheProcessThatHeldThem) {
  const pid_t child = ::fork();
  if (child == 0) {
    GpuLocks locks(both());
    ::_exit(locks.take("GPU-1") ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(GpuLocks(both()).take("GPU-1"));
}

TEST_F(GpuLocksTest, AreOpenToAllUsersAndStayInTheirPlace) {
  ::umask(077);
  GpuLocks locks(both());
  EXPECT_TRUE(locks.take("../../GPU/1"));
  ::umask(022);
  struct stat place {};
  struct stat file {};
  ASSERT_EQ(::stat((folder_.path() / "a").c_str(), &place), 0);
  ASSERT_EQ(::stat((folder_.path() / "a" / "______GPU_1.lock").c_str(), &file), 0);
  EXPECT_EQ(place.st_mode & 07777, 01777u);
  EXPECT_EQ(file.st_mode & 07777, 0444u);
}

TEST_F(GpuLocksTest, ALinkOrAPipeInItsPlaceIsNotUsed) {
  fs::create_directory(folder_.path() / "a");
  fs::create_symlink("/etc/passwd", folder_.path() / "a" / "GPU-1.lock");
  ASSERT_EQ(::mkfifo((folder_.path() / "a" / "GPU-2.lock").c_str(), 0600), 0);
  GpuLocks locks({folder_.path() / "a"});
  EXPECT_FALSE(locks.take("GPU-1"));
  EXPECT_FALSE(locks.take("GPU-2"));
}

TEST_F(GpuLocksTest, OfRootHoldForOtherUsersToo) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  fs::permissions(folder_.path(), fs::perms::owner_all | fs::perms::others_exec | fs::perms::others_read);
  GpuLocks ours(both());
  ASSERT_TRUE(ours.take("GPU-1"));
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(3);
    GpuLocks theirs(both());
    ::_exit(theirs.take("GPU-1") ? 1 : theirs.take("GPU-2") ? 0 : 2);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace overnight::executors
