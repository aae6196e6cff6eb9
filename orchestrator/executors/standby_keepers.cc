#include "orchestrator/executors/standby_keepers.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace overnight::executors {
namespace {

constexpr int farewell_ms = 2000;

bool has_ended(const StartedKeeper& keeper) {
  pollfd end{keeper.pidfd, POLLIN, 0};
  return poll(&end, 1, 0) > 0;
}

// Without a channel it goes by itself, and takes along what it has made; one that hangs is killed.
void end(const StartedKeeper& keeper) {
  pollfd over{keeper.pidfd, POLLIN, 0};
  if (poll(&over, 1, farewell_ms) <= 0) syscall(SYS_pidfd_send_signal, keeper.pidfd, SIGKILL, nullptr, 0);
  waitpid(keeper.pid, nullptr, 0);
  close(keeper.pidfd);
}

}  // namespace

StandbyKeepers::~StandbyKeepers() {
  for (const StartedKeeper& keeper : waiting_) close(keeper.channel);
  for (const StartedKeeper& keeper : waiting_) end(keeper);
}

budgets::Result<StartedKeeper, std::string> StandbyKeepers::take(const std::string& containment) {
  while (!waiting_.empty()) {
    const StartedKeeper keeper = waiting_.front();
    waiting_.pop_front();
    if (!has_ended(keeper)) return keeper;
    close(keeper.channel);
    end(keeper);
  }
  return start_keeper(keeper_, containment);
}

void StandbyKeepers::refill(std::size_t wanted, const std::string& containment) {
  for (wanted = std::min(wanted, standby_keepers_max); waiting_.size() < wanted;) {
    auto started = start_keeper(keeper_, containment);
    if (!started) return;
    waiting_.push_back(std::move(*started));
  }
}

std::set<pid_t> StandbyKeepers::pids() const {
  std::set<pid_t> pids;
  for (const StartedKeeper& keeper : waiting_) pids.insert(keeper.pid);
  return pids;
}

}  // namespace overnight::executors
