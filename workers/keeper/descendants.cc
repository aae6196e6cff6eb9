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
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>

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

// Children belong to threads.
std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  const std::unique_ptr<DIR, int (*)(DIR*)> threads(::opendir(tasks.c_str()), ::closedir);
  while (const dirent* thread = threads ? ::readdir(threads.get()) : nullptr) {
    std::ifstream file(children_file(pid, thread->d_name));
    for (pid_t child = 0; file >> child;) children.push_back(child);
  }
  return children;
}

Descriptor pidfd_of(pid_t pid) { return Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

bool is_dead(char state) { return state == 'Z' || state == 'X'; }

std::vector<pid_t> living_below(pid_t root) {
  std::vector<pid_t> living;
  for (const auto& process : descendants_of(root)) {
    if (!is_dead(process.state)) living.push_back(process.pid);
  }
  return living;
}

// Freezes the tree: after a round that finds nobody new, nobody is left who could fork.
void stop_all_below(pid_t root) {
  std::set<pid_t> stopped;
  for (int round = 0; round < stop_rounds_max; ++round) {
    bool anyone_new = false;
    for (const pid_t pid : living_below(root)) {
      if (!stopped.insert(pid).second) continue;
      anyone_new = true;
      ::kill(pid, SIGSTOP);
    }
    if (!anyone_new) return;
  }
}

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

KillTally kill_descendants(pid_t root, std::int64_t deadline_ms) {
  while (true) {
    stop_all_below(root);
    const auto victims = living_below(root);
    if (victims.empty()) return {};
    std::vector<Descriptor> ends;
    for (const pid_t pid : victims) {
      ::kill(pid, SIGKILL);
      if (ends.size() >= waited_max) continue;
      if (Descriptor end = pidfd_of(pid)) ends.push_back(std::move(end));
    }
    wait_for_ends(ends, deadline_ms);
    if (monotonic_ms() >= deadline_ms) return {static_cast<std::int64_t>(living_below(root).size())};
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
