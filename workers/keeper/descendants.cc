#include "workers/keeper/descendants.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "workers/keeper/clock.h"
#include "workers/keeper/descriptor.h"

namespace overnight::workers {
namespace {

constexpr int stop_rounds_max = 200;  // a fork bomb under a process limit took at most 16 in the field's measurements
constexpr std::size_t waited_max = 4096;  // pidfds held at once while waiting; the next round takes the rest

struct ProcessRow {
  pid_t parent = 0;
  Descendant process;
};

// "pid (name, which may hold anything) S ppid ..."; field 24 is the resident size in pages.
bool read_row(int proc, const char* pid_text, ProcessRow& row) {
  char path[64];
  std::snprintf(path, sizeof path, "%.40s/stat", pid_text);
  const Descriptor file(::openat(proc, path, O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t size = file ? ::read(file.get(), text, sizeof text - 1) : -1;
  if (size <= 0) return false;
  text[size] = '\0';
  const char* after_name = std::strrchr(text, ')');
  if (!after_name) return false;
  long parent = 0;
  long rss = 0;
  const int found = std::sscanf(
      after_name + 1, " %c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %*u %ld",
      &row.process.state, &parent, &rss);
  row.parent = static_cast<pid_t>(parent);
  row.process.rss_pages = rss;
  return found == 3;
}

std::vector<ProcessRow> all_processes() {
  std::vector<ProcessRow> rows;
  DIR* proc = ::opendir("/proc");
  if (!proc) return rows;
  while (const dirent* entry = ::readdir(proc)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    ProcessRow row;
    std::from_chars(entry->d_name, entry->d_name + std::strlen(entry->d_name), row.process.pid);
    if (read_row(::dirfd(proc), entry->d_name, row)) rows.push_back(row);
  }
  ::closedir(proc);
  return rows;
}

std::string children_file(pid_t pid, const char* thread) {
  return "/proc/" + std::to_string(pid) + "/task/" + thread + "/children";
}

bool kernel_lists_children() {
  static const bool lists = ::access(children_file(::getpid(), std::to_string(::getpid()).c_str()).c_str(), R_OK) == 0;
  return lists;
}

// The numbers in a file of /proc, which has no length before it is read.
void read_numbers(const std::string& path, std::vector<pid_t>& numbers) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[4096];
  pid_t number = 0;
  for (ssize_t size = 0; file && (size = ::read(file.get(), text, sizeof text)) > 0;) {
    for (const char c : std::string_view(text, static_cast<std::size_t>(size))) {
      if (c >= '0' && c <= '9') {
        number = number * 10 + (c - '0');
      } else if (number > 0) {
        numbers.push_back(std::exchange(number, 0));
      }
    }
  }
}

// Children belong to threads.
std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  const std::unique_ptr<DIR, int (*)(DIR*)> threads(::opendir(tasks.c_str()), ::closedir);
  while (const dirent* thread = threads ? ::readdir(threads.get()) : nullptr) {
    if (thread->d_name[0] != '.') read_numbers(children_file(pid, thread->d_name), children);
  }
  return children;
}

Descriptor pidfd_of(pid_t pid) { return Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

bool is_dead(char state) { return state == 'Z' || state == 'X'; }

std::vector<pid_t> living_below(pid_t root, pid_t spared) {
  std::vector<pid_t> living;
  for (const auto& process : descendants_of(root)) {
    if (!is_dead(process.state) && process.pid != spared) living.push_back(process.pid);
  }
  return living;
}

// Whom a round of stopping has met. A process that was stopped forks no more: the kernel gives up a fork that a signal
// interrupts.
class Frozen {
 public:
  explicit Frozen(pid_t spared) : processes_{spared} {}
  // False: it was met before. Takes its whole process group along, at once: what forks faster than we can look at /proc
  // mostly stays in its group. Whoever is in the group of a descendant, in a session that is not ours, is one.
  bool stop(pid_t pid) {
    if (!processes_.insert(pid).second) return false;
    const pid_t group = ::getpgid(pid);
    if (group > 0 && ::getsid(pid) != own_session_ && groups_.insert(group).second) ::kill(-group, SIGSTOP);
    ::kill(pid, SIGSTOP);
    return true;
  }

 private:
  const pid_t own_session_ = ::getsid(0);
  std::set<pid_t> processes_, groups_;
};

// Each process is looked at once, after it was stopped: so its children are all that it will ever have. What a scan of
// /proc costs grows with all that is there, and a fork bomb would grow as fast.
bool stop_by_children(pid_t root, Frozen& frozen) {
  bool anyone_new = false;
  std::vector<pid_t> open{root};
  while (!open.empty()) {
    const pid_t parent = open.back();
    open.pop_back();
    for (const pid_t child : children_of(parent)) {
      if (!frozen.stop(child)) continue;
      anyone_new = true;
      open.push_back(child);
    }
  }
  return anyone_new;
}

bool stop_by_scan(pid_t root, Frozen& frozen) {
  bool anyone_new = false;
  for (const pid_t pid : living_below(root, 0)) anyone_new = frozen.stop(pid) || anyone_new;
  return anyone_new;
}

// Freezes the tree: after a round that finds nobody new, nobody is left who could fork. (Somebody hostile may wake the
// frozen; then the next of kill_descendants' rounds meets what they did.)
void stop_all_below(pid_t root, pid_t spared) {
  Frozen frozen(spared);
  for (int round = 0; round < stop_rounds_max; ++round) {
    const bool anyone_new = kernel_lists_children() ? stop_by_children(root, frozen) : stop_by_scan(root, frozen);
    if (!anyone_new) return;
  }
}

// Before those that multiply, while it is in scope and where that is allowed.
class Haste {
 public:
  Haste() : before_(::getpriority(PRIO_PROCESS, 0)) { (void)::setpriority(PRIO_PROCESS, 0, -20); }
  ~Haste() { (void)::setpriority(PRIO_PROCESS, 0, before_); }
  Haste(const Haste&) = delete;
  Haste& operator=(const Haste&) = delete;

 private:
  int before_;
};

void wait_for_ends(const std::vector<Descriptor>& ends, std::int64_t deadline_ms) {
  std::vector<pollfd> waiting;
  for (const auto& end : ends) waiting.push_back({end.get(), POLLIN, 0});
  while (!waiting.empty()) {
    const std::int64_t left = deadline_ms - monotonic_ms();
    if (left <= 0 || ::poll(waiting.data(), waiting.size(), static_cast<int>(std::min<std::int64_t>(left, 1000))) < 0) {
      return;
    }
    std::erase_if(waiting, [](const pollfd& p) { return p.revents != 0; });
    std::int64_t cpu_ms = 0;
    std::int64_t rss = 0;
    reap_children(cpu_ms, rss);
  }
}

}  // namespace

std::vector<Descendant> descendants_of(pid_t root) {
  std::multimap<pid_t, Descendant> children;
  for (const auto& row : all_processes()) children.emplace(row.parent, row.process);
  std::vector<Descendant> found;
  std::vector<pid_t> open{root};
  std::set<pid_t> seen{root};  // a pid that was reused during the walk could make a circle
  while (!open.empty()) {
    const pid_t parent = open.back();
    open.pop_back();
    const auto [from, to] = children.equal_range(parent);
    for (auto child = from; child != to; ++child) {
      if (!seen.insert(child->second.pid).second) continue;
      found.push_back(child->second);
      open.push_back(child->second.pid);
    }
  }
  return found;
}

std::vector<Descendant> descendants_to_count(pid_t root) {
  if (!kernel_lists_children()) return descendants_of(root);
  std::vector<Descendant> found;
  std::vector<pid_t> open{root};
  std::set<pid_t> seen{root};
  while (!open.empty()) {
    const pid_t parent = open.back();
    open.pop_back();
    for (const pid_t child : children_of(parent)) {
      ProcessRow row;
      row.process.pid = child;
      if (!seen.insert(child).second || !read_row(AT_FDCWD, ("/proc/" + std::to_string(child)).c_str(), row)) continue;
      found.push_back(row.process);
      open.push_back(child);
    }
  }
  return found;
}

KillTally kill_descendants(pid_t root, std::int64_t deadline_ms, pid_t spared) {
  const Haste haste;
  while (true) {
    stop_all_below(root, spared);
    const auto victims = living_below(root, spared);
    if (victims.empty()) return {};
    std::vector<Descriptor> ends;
    for (const pid_t pid : victims) {
      ::kill(pid, SIGKILL);
      if (ends.size() >= waited_max) continue;
      if (Descriptor end = pidfd_of(pid)) ends.push_back(std::move(end));
    }
    wait_for_ends(ends, deadline_ms);
    if (monotonic_ms() >= deadline_ms) return {static_cast<std::int64_t>(living_below(root, spared).size())};
  }
}

void reap_children(std::int64_t& cpu_ms, std::int64_t& largest_rss_bytes) {
  rusage used{};
  while (::wait4(-1, nullptr, WNOHANG, &used) > 0) {
    cpu_ms +=
        (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000;
    largest_rss_bytes = std::max(largest_rss_bytes, std::int64_t{used.ru_maxrss} * 1024);
  }
}

}  // namespace overnight::workers
