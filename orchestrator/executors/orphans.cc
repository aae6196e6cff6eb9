#include "orchestrator/executors/orphans.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "workers/protocol/mark.h"

namespace overnight::executors {
namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

constexpr auto kill_within = std::chrono::seconds(5);
constexpr int stop_rounds_max = 200;

struct Process {
  pid_t parent = -1;
  bool dead = false;  // a zombie: only to be reaped
};

// What can be read of a file of /proc. A process that ends between open and read is an exception of the stream's
// buffer, which would end this program; a stream that takes the buffer as a whole keeps it to itself.
std::string whole(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::map<pid_t, Process> all_processes() {
  std::map<pid_t, Process> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string text = whole(entry.path() / "stat");
    const std::size_t close = text.rfind(')');  // the name before it may hold anything
    if (close == std::string::npos) continue;
    std::istringstream fields(text.substr(close + 1));
    std::string state;
    Process process;
    if (fields >> state >> process.parent) {
      process.dead = state == "Z" || state == "X";
      found.emplace(static_cast<pid_t>(std::stol(name)), process);
    }
  }
  return found;
}

// With all that is below them.
std::set<pid_t> with_descendants(std::set<pid_t> roots, const std::map<pid_t, Process>& all) {
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& [pid, process] : all) {
      if (roots.contains(process.parent) && roots.insert(pid).second) grew = true;
    }
  }
  return roots;
}

bool is_marked(pid_t pid) {
  rlimit theirs{};
  rlimit ours{};
  constexpr auto marked = static_cast<__rlimit_resource>(workers::mark_resource);
  if (prlimit(pid, marked, nullptr, &theirs) != 0) return false;
  getrlimit(marked, &ours);
  return theirs.rlim_max < ours.rlim_max;
}

void wait_a_little(const std::set<pid_t>& pids) {
  std::vector<pollfd> ends;
  for (const pid_t pid : pids) {
    const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (fd >= 0) ends.push_back({fd, POLLIN, 0});
    if (ends.size() == 256) break;
  }
  if (!ends.empty()) poll(ends.data(), ends.size(), 20);
  for (const pollfd& end : ends) close(end.fd);
}

// Stops them until nobody new appears, then kills all: a fork bomb has no time to fork in between. `find` gives the
// roots that are there now.
template <typename Find>
OrphanTally kill_all(Find find) {
  const auto until = Steady::now() + kill_within;
  std::set<pid_t> killed;
  while (true) {
    std::set<pid_t> stopped;
    for (int round = 0; round < stop_rounds_max; ++round) {
      bool anyone_new = false;
      for (const pid_t pid : find()) {
        if (!stopped.insert(pid).second) continue;
        anyone_new = true;
        kill(pid, SIGSTOP);
      }
      if (!anyone_new) break;
    }
    for (const pid_t pid : stopped) kill(pid, SIGKILL);
    killed.insert(stopped.begin(), stopped.end());
    if (stopped.empty()) return {static_cast<int>(killed.size()), 0};
    wait_a_little(stopped);
    for (const pid_t pid : stopped) waitpid(pid, nullptr, WNOHANG);
    if (Steady::now() > until) return {static_cast<int>(killed.size()), static_cast<int>(find().size())};
  }
}

}  // namespace

OrphanTally kill_orphans(const std::set<pid_t>& keepers) {
  return kill_all([&] {
    const auto all = all_processes();
    std::set<pid_t> roots;
    for (const auto& [pid, process] : all) {
      if (process.parent != getpid() || keepers.contains(pid) || !is_marked(pid)) continue;
      if (process.dead) {
        waitpid(pid, nullptr, WNOHANG);
      } else {
        roots.insert(pid);
      }
    }
    std::set<pid_t> tree = with_descendants(std::move(roots), all);
    std::erase_if(tree, [&](pid_t pid) { return all.at(pid).dead; });
    return tree;
  });
}

OrphanTally kill_leftovers(const fs::path& folder) {
  const std::string mark = std::string("\0OVERNIGHT_EXPERIMENT=", 22) + (folder / "experiment.json").string() + '\0';
  return kill_all([&] {
    std::set<pid_t> found;
    for (const auto& [pid, process] : all_processes()) {
      if (process.dead || pid == getpid()) continue;
      const std::string environment = '\0' + whole("/proc/" + std::to_string(pid) + "/environ");
      if (environment.find(mark) != std::string::npos) found.insert(pid);
    }
    return found;
  });
}

}  // namespace overnight::executors
