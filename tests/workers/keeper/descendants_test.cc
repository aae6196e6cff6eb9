#include "workers/keeper/descendants.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "workers/keeper/clock.h"

namespace overnight::workers {
namespace {

bool contains(const std::vector<Descendant>& list, pid_t pid) {
  return std::any_of(list.begin(), list.end(), [&](const Descendant& one) { return one.pid == pid; });
}

// A child that forks `grandchildren` and says when all are there.
pid_t start_family(int grandchildren) {
  int ready[2];
  EXPECT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    for (int i = 0; i < grandchildren; ++i) {
      if (::fork() == 0) {
        ::setsid();
        for (int signal : {SIGTERM, SIGINT, SIGHUP}) std::signal(signal, SIG_IGN);
        (void)!::write(ready[1], "x", 1);
        while (true) ::pause();
      }
    }
    while (true) ::pause();
  }
  char byte = 0;
  for (int i = 0; i < grandchildren; ++i) EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  ::close(ready[1]);
  return child;
}

TEST(Descendants, AreFoundWithTheirOwnDescendantsParentsFirst) {
  const pid_t child = start_family(3);
  const auto found = descendants_of(::getpid());
  EXPECT_EQ(found.size(), 4u);
  EXPECT_EQ(found.front().pid, child);
  EXPECT_TRUE(contains(descendants_to_count(::getpid()), child));
  EXPECT_EQ(descendants_to_count(::getpid()).size(), 4u);
  EXPECT_EQ(descendants_of(child).size(), 3u);
  kill_descendants(::getpid(), monotonic_ms() + 10'000);
  EXPECT_TRUE(descendants_of(::getpid()).empty()) << "killed and reaped";
}

TEST(Descendants, AreKilledAsOrphansTooWhenTheRootAdoptsThem) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t child = start_family(3);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(descendants_of(::getpid()).size(), 3u);
  EXPECT_EQ(kill_descendants(::getpid(), monotonic_ms() + 10'000).survivors, 0);
  EXPECT_TRUE(descendants_of(::getpid()).empty());
}

TEST(Descendants, TheOneThatIsSparedIsNeitherStoppedNorKilled) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t spared = ::fork();
  if (spared == 0) {
    ::setsid();
    (void)!::write(ready[1], "x", 1);
    while (true) ::pause();
  }
  char byte = 0;
  EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  start_family(3);
  EXPECT_EQ(kill_descendants(::getpid(), monotonic_ms() + 10'000, spared).survivors, 0);
  const auto left = descendants_of(::getpid());
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left.front().pid, spared);
  EXPECT_NE(left.front().state, 'T') << "it goes on";
  kill_descendants(::getpid(), monotonic_ms() + 10'000);
  EXPECT_TRUE(descendants_of(::getpid()).empty());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(Descendants, ThatBearTheNameOfAnythingAreReadRight) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NAME, ") Z 1 (x) S 2");
    ::raise(SIGSTOP);
    while (true) ::pause();
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
  const auto found = descendants_of(::getpid());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].state, 'T');
  kill_descendants(::getpid(), monotonic_ms() + 10'000);
}

}  // namespace
}  // namespace overnight::workers
