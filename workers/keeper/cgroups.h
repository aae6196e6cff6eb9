// The attempt's control groups, where the system lets us make some: a cgroup2 group to kill by, and a memory and a pids
// controller (version 1 or 2) to limit by. Found by reading /proc/self/mountinfo and /proc/self/cgroup; nothing is
// assumed about /sys/fs/cgroup. AttemptGroups owns the groups it made and removes them at its end.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "workers/keeper/descriptor.h"

namespace overnight::workers {

// Folders in which this process may make groups; empty where it may not.
struct CgroupPlaces {
  std::string kill;  // cgroup2, with cgroup.kill
  std::string memory;
  std::string pids;
  bool memory_is_v2 = false;
  bool pids_is_v2 = false;
};

CgroupPlaces find_cgroup_places();

// Where a process stands in each hierarchy, as folders by controller ("" is cgroup2), from the texts of its
// /proc/PID/mountinfo and /proc/PID/cgroup. Pure.
std::map<std::string, std::string> groups_of(const std::string& mountinfo, const std::string& cgroup);

class AttemptGroups {
 public:
  struct Wanted {
    bool kill = false;
    std::int64_t memory_bytes = 0;  // 0: no memory group
    std::int64_t tasks = 0;         // 0: no pids group
  };
  AttemptGroups() = default;
  AttemptGroups(const CgroupPlaces&, const std::string& name, const Wanted&);
  AttemptGroups(const AttemptGroups&) = delete;
  AttemptGroups& operator=(const AttemptGroups&) = delete;
  ~AttemptGroups();

  // To be written "0" by the process that enters (descriptors stay ours).
  std::vector<int> entries() const;
  bool limits_memory() const { return !memory_.empty(); }
  bool limits_tasks() const { return !pids_.empty(); }

  void kill_all() const;                   // cgroup.kill; does nothing without it
  std::int64_t oom_kills() const;          // of the kernel in our memory group; 0 without it
  std::int64_t refused_forks() const;      // by our pids group
  std::int64_t memory_peak_bytes() const;  // 0 where the kernel does not tell

 private:
  std::string make(const std::string& place, const std::string& name);

  std::string kill_, memory_, pids_;
  bool memory_is_v2_ = false;
  std::vector<std::string> made_;
  std::vector<Descriptor> entries_;
};

}  // namespace overnight::workers
