#include "workers/keeper/cgroups.h"

#include <gtest/gtest.h>

namespace overnight::workers {
namespace {

using Groups = std::map<std::string, std::string>;

TEST(Cgroups, OfAUnifiedHostLieUnderItsOneMount) {
  EXPECT_EQ(groups_of("30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
                      "0::/user.slice/user-1000.slice/session-2.scope\n"),
            (Groups{{"", "/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope"}}));
}

TEST(Cgroups, OfAHybridHostLieUnderEachController) {
  EXPECT_EQ(
      groups_of("34 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                "38 30 0:35 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
                "39 30 0:36 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
                "40 30 0:37 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n",
                "8:pids:/\n4:memory:/a/b\n1:name=systemd:/\n0::/\n"),
      (Groups{
          {"", "/sys/fs/cgroup/unified"}, {"memory", "/sys/fs/cgroup/memory/a/b"}, {"pids", "/sys/fs/cgroup/pids"}}));
}

TEST(Cgroups, OfAContainerAreNamedFromTheRootOfItsMount) {
  EXPECT_EQ(groups_of("1 2 0:3 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "0::/docker/abc/inner\n"),
            (Groups{{"", "/sys/fs/cgroup/inner"}}));
}

TEST(Cgroups, OfControllersThatShareAMountAreFoundByEachName) {
  EXPECT_EQ(groups_of("1 2 0:3 / /sys/fs/cgroup/both rw - cgroup cgroup rw,pids,memory\n", "3:pids,memory:/x\n"),
            (Groups{{"memory", "/sys/fs/cgroup/both/x"}, {"pids", "/sys/fs/cgroup/both/x"}}));
}

TEST(Cgroups, ThatAreNotThereOrNotReadableAreNone) {
  EXPECT_TRUE(groups_of("", "").empty());
  EXPECT_TRUE(groups_of("nonsense\n\n1 2 3", "0\n:\n::\n9:memory\n").empty());
  EXPECT_TRUE(groups_of("1 2 0:3 / /mnt rw - ext4 /dev/sda rw\n", "0::/\n").empty());
}

TEST(Cgroups, ThatCannotBeMadeLimitNothingAndSaySo) {
  AttemptGroups groups({"/proc/no-such-place", "/proc/no-such-place", "/proc/no-such-place", true, true}, "x", true);
  groups.limit(1 << 20, 10);
  EXPECT_FALSE(groups.limits_memory());
  EXPECT_FALSE(groups.limits_tasks());
  EXPECT_TRUE(groups.entries().empty());
  EXPECT_EQ(groups.oom_kills(), 0);
}

}  // namespace
}  // namespace overnight::workers
