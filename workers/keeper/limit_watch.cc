#include "workers/keeper/limit_watch.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "workers/keeper/descendants.h"

namespace overnight::workers {
namespace {

constexpr int all_entries_max = 1'000'000;

// Kills by the kernel's OOM killer on this machine since it booted.
std::int64_t oom_kills_of_system() {
  std::ifstream file("/proc/vmstat");
  std::string name;
  std::int64_t value = 0;
  while (file >> name >> value) {
    if (name == "oom_kill") return value;
  }
  return 0;
}

// Shared pages counted by their share; -1 if the kernel will not say.
std::int64_t proportional_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string word;
  std::int64_t kib = 0;
  while (file >> word) {
    if (word == "Pss:" && file >> kib) return kib * 1024;
  }
  return -1;
}

}  // namespace

std::string readable_bytes(std::int64_t bytes) {
  const char* unit = "B";
  for (const char* larger : {"KiB", "MiB", "GiB", "TiB"}) {
    if (bytes < 1024 || bytes % 1024 != 0) break;
    bytes /= 1024;
    unit = larger;
  }
  return std::to_string(bytes) + " " + unit;
}

LimitWatch::LimitWatch(const Limits& limits, const AttemptFolder& folder, const AttemptGroups& groups,
                       bool forks_are_braked)
    : limits_(limits),
      folder_(folder),
      groups_(groups),
      meter_(folder.fd()),
      forks_are_braked_(forks_are_braked),
      system_oom_kills_(oom_kills_of_system()) {}

std::int64_t LimitWatch::look_every_ms() const {
  const bool counts_processes =
      limits_.processes > 0 && !forks_are_braked_ && !(groups_hold_ && groups_.limits_tasks());
  return counts_processes ? 50 : 200;  // a fork bomb without a brake doubles in milliseconds
}

std::optional<EndReason> LimitWatch::look(pid_t below) {
  if (auto reason = check_groups()) return reason;
  if (auto reason = check_tree(below)) return reason;
  if (limits_.disk_bytes > 0 || limits_.inodes > 0) {
    if (auto reason = check_disk(meter_.look())) return reason;
  }
  return check_floor();
}

std::optional<EndReason> LimitWatch::check_floor() const {
  const std::int64_t free = limits_.free_floor_bytes > 0 ? folder_.free_bytes() : -1;
  if (free < 0 || free >= limits_.free_floor_bytes) return std::nullopt;
  return EndReason{Cause::out_of_disk, "the file system has less than " + readable_bytes(limits_.free_floor_bytes) +
                                           " free (the floor that is kept)"};
}

std::optional<EndReason> LimitWatch::check_groups() const {
  if (groups_.oom_kills() > 0) {
    return EndReason{Cause::out_of_memory, "attempt.memory " + readable_bytes(limits_.memory_bytes) + " reached"};
  }
  if (groups_.refused_forks() > 0) {
    return EndReason{Cause::process_limit, "attempt.processes " + std::to_string(limits_.processes) + " reached (" +
                                               std::to_string(limits_.processes * tasks_per_process) +
                                               " processes and threads)"};
  }
  return std::nullopt;
}

std::optional<EndReason> LimitWatch::check_tree(pid_t below) {
  const bool memory = limits_.memory_bytes > 0 && !(groups_hold_ && groups_.limits_memory());
  if (!memory && limits_.processes == 0) return std::nullopt;
  const auto tree = descendants_to_count(below);
  const auto living = std::count_if(tree.begin(), tree.end(), [](const Descendant& p) { return p.state != 'Z'; });
  if (limits_.processes > 0 && living > limits_.processes) {
    return EndReason{Cause::process_limit, "attempt.processes " + std::to_string(limits_.processes) + " reached (" +
                                               std::to_string(living) + " were running)"};
  }
  if (!memory) return std::nullopt;
  std::int64_t bytes = 0;
  for (const auto& process : tree) bytes += process.rss_pages * ::sysconf(_SC_PAGESIZE);
  if (bytes > limits_.memory_bytes && tree.size() > 1) {  // perhaps shared pages were counted more than once
    bytes = 0;
    for (const auto& process : tree) {
      const std::int64_t share = proportional_bytes(process.pid);
      bytes += share >= 0 ? share : process.rss_pages * ::sysconf(_SC_PAGESIZE);
    }
  }
  polled_peak_bytes_ = std::max(polled_peak_bytes_, bytes);
  if (bytes <= limits_.memory_bytes) return std::nullopt;
  return EndReason{Cause::out_of_memory, "attempt.memory " + readable_bytes(limits_.memory_bytes) + " reached"};
}

std::optional<EndReason> LimitWatch::check_disk(const DiskUse& use) const {
  if (limits_.disk_bytes > 0 && use.bytes > limits_.disk_bytes) {
    return EndReason{Cause::out_of_disk, "attempt.disk " + readable_bytes(limits_.disk_bytes) + " reached"};
  }
  if (limits_.inodes > 0 && use.inodes > limits_.inodes) {
    return EndReason{Cause::out_of_disk, "attempt.files " + std::to_string(limits_.inodes) + " reached"};
  }
  if (use.hidden) {
    return EndReason{Cause::out_of_disk, "its files cannot be counted: folders are nested deeper than " +
                                             std::to_string(DiskMeter::depth_max) + " or locked"};
  }
  return std::nullopt;
}

std::optional<EndReason> LimitWatch::look_back(bool killed) {
  if (auto reason = check_groups()) return reason;
  // Our own group tells of its own; without one a kill of a neighbour cannot be told from one of ours.
  const bool counted = groups_hold_ && groups_.limits_memory();
  if (killed && !counted && oom_kills_of_system() > system_oom_kills_) {
    return EndReason{Cause::out_of_memory, "the machine ran out of memory and the kernel killed a process"};
  }
  if (auto reason = check_floor()) return reason;
  const DiskUse use = measure_disk();
  if (auto reason = check_disk(use)) return reason;
  // RLIMIT_FSIZE stops a single file exactly at the limit: the folder is then full but for what else lies in it.
  if (limits_.disk_bytes > 0 && use.bytes >= limits_.disk_bytes - limits_.disk_bytes / 64) {
    return EndReason{Cause::out_of_disk, "attempt.disk " + readable_bytes(limits_.disk_bytes) + " reached"};
  }
  return std::nullopt;
}

std::int64_t LimitWatch::memory_peak_bytes() const { return std::max(groups_.memory_peak_bytes(), polled_peak_bytes_); }

DiskUse LimitWatch::measure_disk() { return meter_.look_at_all(all_entries_max); }

}  // namespace overnight::workers
