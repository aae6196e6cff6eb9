// The attempt's control groups, where the system lets us make some: a cgroup2 group to kill by, and a memory and a pids
// controller (version 1 or 2) to limit by. Found by reading /proc/self/mountinfo and /proc/self/cgroup; nothing is
// assumed about /sys/fs/cgroup. AttemptGroups owns the groups it made and removes them at its end.
//
// Groups are made and entered before there is an order, and limited when there is one: to move a process from one group
// to another the kernel waits until all its cores have passed a quiet point, on an idle machine about 10 ms.
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

// The name of the groups that keeper `pid` makes.
std::string group_name(std::int64_t pid);

// Removes the empty groups of keepers that were killed and so could not do it. One that a keeper beyond our sight is
// about to use may go too: then its leader is refused entry, and counted by hand.
void remove_left_groups(const CgroupPlaces&);

class AttemptGroups {
 public:
  // One group named `name` in each place; with `to_kill` also where nothing but a kill is wanted of it.
  AttemptGroups(const CgroupPlaces&, const std::string& name, bool to_kill);
  AttemptGroups(const AttemptGroups&) = delete;
  AttemptGroups& operator=(const AttemptGroups&) = delete;
  ~AttemptGroups();

  // 0: no limit.
  void limit(std::int64_t memory_bytes, std::int64_t tasks);

  // To be written "0" by the process that enters (descriptors stay ours).
  std::vector<int> entries() const;
  bool limits_memory() const { return memory_limited_; }
  bool limits_tasks() const { return tasks_limited_; }

  void kill_all() const;                   // cgroup.kill; does nothing without it
  std::int64_t oom_kills() const;          // of the kernel in our memory group; 0 without it
  std::int64_t refused_forks() const;      // by our pids group
  std::int64_t memory_peak_bytes() const;  // 0 where the kernel does not tell

 private:
  std::string make(const std::string& place, const std::string& name);

  std::string kill_, memory_, pids_;
  bool memory_is_v2_ = false;
  bool memory_limited_ = false;
  bool tasks_limited_ = false;
  std::vector<std::string> made_;
  std::vector<Descriptor> entries_;
};

}  // namespace overnight::workers
