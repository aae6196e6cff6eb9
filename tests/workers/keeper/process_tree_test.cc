// Trees that were prepared before anybody knew what they will run.
#include "workers/keeper/process_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "workers/keeper/descendants.h"

namespace overnight::workers {
namespace {

class Trees : public testing::TestWithParam<const char*> {
 protected:
  const Containment containment_ = probe_capabilities(GetParam());

  // What `command` printed to its end.
  std::string said(ProcessTree& tree, const std::string& command) const {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    LeaderSpec spec;
    spec.program = "/bin/sh";
    spec.command = {"sh", "-c", command};
    spec.work_path = "/";
    EXPECT_TRUE(tree.start(spec, {ends[1], ends[1], {}}, nullptr));
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
  auto tree = ProcessTree::prepare(containment_);
  ASSERT_TRUE(tree);
  EXPECT_EQ(tree->next_event(), std::nullopt);
  EXPECT_EQ(said(*tree, "echo it runs"), "it runs\n");
  EXPECT_EQ(tree->kill().survivors, 0);
}

TEST_P(Trees, ThatAreNeverStartedLeaveNothingBehind) {
  const std::size_t before = descendants_of(::getpid()).size();
  {
    auto tree = ProcessTree::prepare(containment_);
    ASSERT_TRUE(tree);
    EXPECT_GT(descendants_of(::getpid()).size(), before);
  }
  EXPECT_EQ(descendants_of(::getpid()).size(), before);
}

TEST_P(Trees, SayWhenWhatWasPreparedIsNotThereAnyMore) {
  auto tree = ProcessTree::prepare(containment_);
  ASSERT_TRUE(tree);
  ::kill(tree->warden(), SIGKILL);
  pollfd end{tree->end_fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&end, 1, -1), 1);
  LeaderSpec spec;
  spec.program = "/bin/true";
  EXPECT_FALSE(tree->start(spec, {2, 2, {}}, nullptr));
}

INSTANTIATE_TEST_SUITE_P(Held, Trees, testing::Values("", "cgroup", "subreaper"),
                         [](const auto& held) { return std::string(*held.param ? held.param : "strongest"); });

}  // namespace
}  // namespace overnight::workers
