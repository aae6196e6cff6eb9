#include "orchestrator/executors/orphans.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "workers/keeper/descendants.h"
#include "workers/keeper/take_mark.h"

namespace overnight::executors {
namespace {

// A family below a "keeper" that took the mark: daemons in sessions of their own. Returns when all are there.
pid_t start_keeper_with(int daemons, bool marked) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  int ready[2];
  EXPECT_EQ(::pipe(ready), 0);
  const pid_t keeper = ::fork();
  if (keeper == 0) {
    if (marked) workers::take_mark();
    for (int i = 0; i < daemons; ++i) {
      if (::fork() != 0) continue;
      ::setsid();
      ::clearenv();
      for (const int signal : {SIGTERM, SIGINT, SIGHUP}) std::signal(signal, SIG_IGN);
      if (::fork() != 0) {
        while (true) ::pause();
      }
      (void)!::write(ready[1], "x", 1);
      while (true) ::pause();
    }
    while (true) ::pause();
  }
  char byte = 0;
  for (int i = 0; i < daemons; ++i) EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  ::close(ready[1]);
  return keeper;
}

void end(pid_t pid) {
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

TEST(Orphans, OfADeadKeeperAreFoundByTheirMarkAndKilled) {
  end(start_keeper_with(3, true));
  const auto tally = kill_orphans({});
  EXPECT_EQ(tally.killed, 6);
  EXPECT_EQ(tally.left, 0);
  EXPECT_TRUE(workers::descendants_of(::getpid()).empty()) << "and reaped";
}

TEST(Orphans, AreNotWhatALivingKeeperHolds) {
  const pid_t keeper = start_keeper_with(1, true);
  EXPECT_EQ(kill_orphans({keeper}).killed, 0);
  EXPECT_EQ(workers::descendants_of(::getpid()).size(), 3u);
  end(keeper);
  kill_orphans({});
}

TEST(Orphans, AreNotOurOwnOtherChildren) {
  const pid_t other = start_keeper_with(1, false);
  EXPECT_EQ(kill_orphans({}).killed, 0);
  end(other);
  EXPECT_EQ(kill_orphans({}).killed, 0) << "nor theirs";
  workers::kill_descendants(::getpid(), INT64_MAX);
}

TEST(Leftovers, AreFoundByTheFolderInTheirEnvironment) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::execle("/bin/sleep", "sleep", "1000", nullptr,
             std::vector<const char*>{"OVERNIGHT_EXPERIMENT=/h/attempts/1/experiment.json", nullptr}.data());
    ::_exit(127);
  }
  // Until it has executed, its environment is ours.
  for (std::string name; name != "sleep\n";) {
    FILE* file = ::fopen(("/proc/" + std::to_string(child) + "/comm").c_str(), "r");
    char text[32] = {};
    if (file && ::fgets(text, sizeof text, file)) name = text;
    if (file) ::fclose(file);
  }
  EXPECT_EQ(kill_leftovers("/h/attempts/11").killed, 0);
  EXPECT_EQ(kill_leftovers("/h/attempts").killed, 0);
  EXPECT_EQ(kill_leftovers("/h/attempts/1").killed, 1);
}

}  // namespace
}  // namespace overnight::executors
