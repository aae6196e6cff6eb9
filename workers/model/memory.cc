#include "workers/model/memory.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>

namespace overnight::workers {
namespace {

constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

std::uint64_t machine_available() {
  std::ifstream in("/proc/meminfo");
  for (std::string word; in >> word;) {
    std::uint64_t kilobytes = 0;
    if (word == "MemAvailable:" && in >> kilobytes) return kilobytes * 1024;
  }
  return no_limit;
}

// The smallest memory.max from this process's control group up to the root.
std::uint64_t groups_allow() {
  std::ifstream in("/proc/self/cgroup");
  std::uint64_t least = no_limit;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("0::/")) continue;
    for (std::filesystem::path group = line.substr(3); group.has_relative_path(); group = group.parent_path()) {
      std::ifstream limit("/sys/fs/cgroup" + group.string() + "/memory.max");
      std::uint64_t bytes = 0;
      if (limit >> bytes) least = std::min(least, bytes);
    }
  }
  return least;
}

std::string readable(std::uint64_t bytes) {
  char text[40];
  const double mebibytes = static_cast<double>(bytes) / 1048576;
  std::snprintf(text, sizeof text, mebibytes < 1024 ? "%.1f MiB" : "%.1f GiB",
                mebibytes < 1024 ? mebibytes : mebibytes / 1024);
  return text;
}

}  // namespace

std::uint64_t memory_available() {
  std::uint64_t least = std::min(machine_available(), groups_allow());
  rlimit space{};
  if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
    least = std::min<std::uint64_t>(least, space.rlim_cur);
  return least;
}

std::uint64_t memory_held() {
  std::uint64_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t memory_peak() {
  rusage used{};
  return ::getrusage(RUSAGE_SELF, &used) == 0 ? static_cast<std::uint64_t>(used.ru_maxrss) * 1024 : 0;
}

void give_memory_back() { ::malloc_trim(0); }

std::string why_too_large(std::uint64_t bytes, std::uint64_t limit, std::uint64_t held) {
  const std::uint64_t available = memory_available() + held;
  if (limit > 0 && bytes > limit)
    return "it needs " + readable(bytes) + " of memory, and the experiment may have " + readable(limit);
  if (bytes > available)
    return "it needs " + readable(bytes) + " of memory, and " + readable(available) + " are available";
  return "";
}

}  // namespace overnight::workers
