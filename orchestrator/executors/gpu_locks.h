// One orchestrator per GPU on a machine, whoever's it is: a lock for each GPU's UUID on a file in a place that all
// users share. A resource: owns the locks; they fall with the process, however it ends.
//
// There are several places because not every user sees the same (/run/lock may be closed, /tmp may be private): the
// lock is held in each that can be used, so two processes that share any of them exclude each other.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace overnight::executors {

// /run/lock/overnight and /tmp/overnight-locks
std::vector<std::filesystem::path> shared_lock_places();

class GpuLocks {
 public:
  explicit GpuLocks(std::vector<std::filesystem::path> places = shared_lock_places()) : places_(std::move(places)) {}
  GpuLocks(const GpuLocks&) = delete;
  GpuLocks& operator=(const GpuLocks&) = delete;
  ~GpuLocks();

  // True if this process holds the lock now (taken before or just now). Does not block.
  bool take(const std::string& uuid);
  void release(const std::string& uuid);
  void release_all();
  bool holds(const std::string& uuid) const { return held_.contains(uuid); }

 private:
  std::vector<std::filesystem::path> places_;
  std::map<std::string, std::vector<int>> held_;  // descriptors with the lock on them
};

}  // namespace overnight::executors
