// Trees that were prepared before anybody knew what they will run.
#include "workers/keeper/process_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "workers/keeper/descendants.h"

namespace overnight::workers {
namespace {

class Trees : public testing::TestWithParam<const char*> {
 protected:
  const Containment containment_ = probe_capabilities(GetParam());
  AttemptGroups groups_{containment_.cgroups, "overnight-test-" + std::to_string(::getpid()),
                        containment_.mechanism == KillMechanism::cgroup};

  // What `command` printed to its end.
  std::string said(ProcessTree& tree, const std::string& command) const {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    LeaderSpec spec;
    spec.program = "/bin/sh";
    spec.command = {"sh", "-c", command};
    spec.work_path = "/";
    EXPECT_TRUE(tree.start(spec, {ends[1], ends[1]}));
    ::close(ends[1]);
    std::string text;
    char bytes[256];
    for (ssize_t size = 0; (size = ::read(ends[0], bytes, sizeof bytes)) > 0;)
      text.append(bytes, static_cast<std::size_t>(size));
    ::close(ends[0]);
    return text;
  }
};

TEST_P(Trees, RunNothingUntilTheyAreToldWhat) {
  auto tree = ProcessTree::prepare(containment_, groups_);
  ASSERT_TRUE(tree);
  EXPECT_EQ(tree->next_event(), std::nullopt);
  EXPECT_EQ(said(*tree, "echo it runs"), "it runs\n");
  EXPECT_EQ(tree->kill().survivors, 0);
}

TEST_P(Trees, ThatAreNeverStartedLeaveNothingBehind) {
  const std::size_t before = descendants_of(::getpid()).size();
  {
    auto tree = ProcessTree::prepare(containment_, groups_);
    ASSERT_TRUE(tree);
    EXPECT_GT(descendants_of(::getpid()).size(), before);
  }
  EXPECT_EQ(descendants_of(::getpid()).size(), before);
}

TEST_P(Trees, SayWhenWhatWasPreparedIsNotThereAnyMore) {
  auto tree = ProcessTree::prepare(containment_, groups_);
  ASSERT_TRUE(tree);
  ::kill(tree->warden(), SIGKILL);
  pollfd end{tree->end_fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&end, 1, -1), 1);
  LeaderSpec spec;
  spec.program = "/bin/true";
  EXPECT_FALSE(tree->start(spec, {2, 2}));
}

TEST_P(Trees, AreHeldByTheirGroupsFromTheirFirstInstruction) {
  if (containment_.cgroups.pids.empty()) GTEST_SKIP() << "no group with a pids controller can be made here";
  auto tree = ProcessTree::prepare(containment_, groups_);
  ASSERT_TRUE(tree);
  EXPECT_FALSE(groups_.limits_tasks());
  groups_.limit(0, 5);
  ASSERT_TRUE(groups_.limits_tasks());
  const std::string text =
      said(*tree, "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 >/dev/null 2>&1 & done; echo all forked");
  EXPECT_EQ(text.find("all forked"), std::string::npos) << text;
  EXPECT_GT(groups_.refused_forks(), 0);
  EXPECT_EQ(tree->kill().survivors, 0);
}

TEST_P(Trees, TakeTheGroupThatAKilledKeeperOfTheSameNumberLeft) {
  const std::string& pids = containment_.cgroups.pids;
  if (pids.empty()) GTEST_SKIP() << "no group with a pids controller can be made here";
  const std::string left = "overnight-test-left-" + std::to_string(::getpid());
  ASSERT_EQ(::mkdir((pids + "/" + left).c_str(), 0755), 0);
  {
    AttemptGroups groups(containment_.cgroups, left, false);
    groups.limit(0, 5);
    EXPECT_TRUE(groups.limits_tasks());
  }
  EXPECT_NE(::access((pids + "/" + left).c_str(), F_OK), 0);
}

TEST_P(Trees, OfKilledKeepersLeaveGroupsThatTheNextOnesRemove) {
  const std::string& pids = containment_.cgroups.pids;
  if (pids.empty()) GTEST_SKIP() << "no group with a pids controller can be made here";
  const pid_t killed = ::fork();
  if (killed == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(killed, nullptr, 0), killed);
  const AttemptGroups living(containment_.cgroups, group_name(::getpid()), false);
  const std::string left = pids + "/" + group_name(killed);
  ASSERT_EQ(::mkdir(left.c_str(), 0755), 0);
  remove_left_groups(containment_.cgroups);
  EXPECT_NE(::access(left.c_str(), F_OK), 0);
  EXPECT_EQ(::access((pids + "/" + group_name(::getpid())).c_str(), F_OK), 0);
}

INSTANTIATE_TEST_SUITE_P(Held, Trees, testing::Values("", "cgroup", "subreaper"),
                         [](const auto& held) { return std::string(*held.param ? held.param : "strongest"); });

}  // namespace
}  // namespace overnight::workers
