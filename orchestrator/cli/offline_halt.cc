#include "orchestrator/cli/offline_halt.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>

#include "orchestrator/cli/halts_on_disk.h"
#include "orchestrator/cli/people.h"
#include "orchestrator/executors/keeper_process.h"

namespace overnight::cli {
namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

constexpr int keeper_grace_ms = 2'000;  // for keepers to end their trees and write their receipts, then they are killed
constexpr int kill_wait_ms = 5'000;     // for what was killed to be seen gone
constexpr int look_again_ms = 10;       // while waiting for processes that have no descriptor of ours

std::int64_t since_ms(Steady::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - start).count();
}

// What can be read of a file of /proc. A process that ends between open and read is an exception of the stream's
// buffer, which would end this program; a stream that takes the buffer as a whole keeps it to itself.
std::string whole(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<fs::path> run_folders(const fs::path& home, const std::optional<core::RunId>& run) {
  if (run) return {home / "runs" / run->text};
  std::vector<fs::path> folders;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(home / "runs", ignored)) folders.push_back(entry.path());
  return folders;
}

// Every keeper that is alive, by pidfd; the caller closes them.
std::vector<std::pair<pid_t, int>> live_keepers(const fs::path& home, const std::optional<core::RunId>& run) {
  std::vector<std::pair<pid_t, int>> found;
  std::error_code ignored;
  for (const fs::path& folder : run_folders(home, run)) {
    for (const auto& attempt : fs::directory_iterator(folder / "attempts", ignored)) {
      pid_t pid = -1;
      if (const auto pidfd = executors::reopen(whole(attempt.path() / "keeper.pid"), pid))
        found.emplace_back(pid, *pidfd);
    }
  }
  return found;
}

bool ended_within(int pidfd, std::int64_t ms) {
  pollfd wait{pidfd, POLLIN, 0};
  return poll(&wait, 1, static_cast<int>(std::max<std::int64_t>(0, ms))) > 0;
}

// Asks all keepers at once to end their trees, and kills those that do not in time. How many there were.
std::int64_t end_keepers(const fs::path& home, const std::optional<core::RunId>& run) {
  const auto start = Steady::now();
  const auto keepers = live_keepers(home, run);
  for (const auto& [_, pidfd] : keepers) {
    syscall(SYS_pidfd_send_signal, pidfd, SIGQUIT, nullptr, 0);
    syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, nullptr, 0);
  }
  for (const auto& [pid, pidfd] : keepers) {
    if (!ended_within(pidfd, keeper_grace_ms - since_ms(start))) {
      syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
      (void)ended_within(pidfd, kill_wait_ms);
    }
    ::close(pidfd);
  }
  return static_cast<std::int64_t>(keepers.size());
}

// A keeper's order lies in one of the folders, or a task was told of one. A shell that only stands in such a folder is
// not ours to kill.
bool is_ours(const fs::path& process, const std::vector<std::string>& folders) {
  const std::string stat = whole(process / "stat");
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos || stat.substr(name_end).starts_with(") Z")) return false;
  const std::string command = whole(process / "cmdline"), environment = whole(process / "environ");
  const bool keeper = command.find("overnight-worker") != std::string::npos;
  return std::any_of(folders.begin(), folders.end(), [&](const std::string& folder) {
    return (keeper && command.find(folder) != std::string::npos) ||
           environment.find("OVERNIGHT_EXPERIMENT=" + folder) != std::string::npos;
  });
}

// By descriptor, and looked at once more behind it: a pid may have been given to another process.
void kill_if_ours(pid_t pid, const std::vector<std::string>& folders) {
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) return;
  if (is_ours("/proc/" + std::to_string(pid), folders)) syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
  ::close(pidfd);
}

// "/home/me/.overnight/runs/RUN/attempts/": stands in a keeper's command line and in the environment of its tasks.
std::vector<std::string> marks(const fs::path& home, const std::optional<core::RunId>& run) {
  std::error_code ignored;
  std::vector<std::string> found;
  for (const fs::path& base : {fs::absolute(home, ignored), fs::weakly_canonical(home, ignored)}) {
    for (const fs::path& folder : run_folders(base.lexically_normal(), run))
      found.push_back((folder / "attempts").string() + "/");
  }
  return found;
}

}  // namespace

std::vector<pid_t> live_processes(const fs::path& home, const std::optional<core::RunId>& run) {
  const auto folders = marks(home, run);
  std::vector<pid_t> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos || name == std::to_string(getpid())) continue;
    if (is_ours(entry.path(), folders)) found.push_back(static_cast<pid_t>(std::stol(name)));
  }
  return found;
}

HaltOutcome halt_offline(const fs::path& home, const std::optional<core::RunId>& run, const std::string& reason,
                         Steady::time_point asked) {
  const auto start = Steady::now();
  HaltOutcome outcome;
  outcome.home = home;
  outcome.path = "offline";
  const shell::LatchFile latch = run ? latch_of(home, *run) : latch_of(home);
  shell::WrittenLatch written{user_words(getuid()), "offline", reason};
  const auto before = latch.read();
  const bool was_closed = before && before->by != "latch file";  // the first halt names its author
  outcome.latched = was_closed || latch.close(written);
  std::ofstream(run ? halt_file(home, *run) : halt_file(home)) << reason << "\n";  // for an orchestrator that is slow

  outcome.gone = end_keepers(home, run);
  // A hung orchestrator may have launched in between, and a task may have left its keeper's tree.
  const auto folders = marks(home, run);
  std::vector<pid_t> left = live_processes(home, run);
  while (!left.empty() && since_ms(start) < keeper_grace_ms + kill_wait_ms) {
    outcome.gone += end_keepers(home, run);
    for (const pid_t pid : left) kill_if_ours(pid, folders);
    poll(nullptr, 0, look_again_ms);
    left = live_processes(home, run);
  }
  for (const pid_t pid : left) outcome.alive.push_back("process " + std::to_string(pid));
  outcome.confirmed = left.empty();
  outcome.took_ms = since_ms(asked);
  if (!was_closed && outcome.latched) {  // the journal gets this with the latch, when it is next opened
    written.reason += " (" + std::to_string(outcome.gone) + (outcome.gone == 1 ? " keeper was " : " keepers were ") +
                      (outcome.confirmed ? "seen to be gone after " : "not all gone after ") +
                      std::to_string(outcome.took_ms) + " ms)";
    (void)latch.close(written);
  }
  return outcome;
}

}  // namespace overnight::cli
