// The slots of this machine for one study: a GPU (or a group of them) each where there are GPUs, else shares of the
// CPUs.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/core/events.h"
#include "orchestrator/core/limits.h"

namespace overnight::executors {

struct GpuFound {
  std::string uuid;
  std::string name;
  std::string used_by;     // why it cannot be had, in words; empty: it can
  std::vector<int> users;  // pids of processes that compute on it, ours among them
  bool operator==(const GpuFound&) const = default;
};

// Pure: which slots `cpus` and `gpus` make for a study that wants so many of each per attempt. `wanted` 0: as many as
// fit.
std::vector<core::SlotFound> slots_of(const std::vector<int>& cpus, const std::vector<GpuFound>& gpus,
                                      std::int64_t cpus_each, std::int64_t gpus_each, std::int64_t wanted);

// The CPUs that this process may use.
std::vector<int> usable_cpus();

}  // namespace overnight::executors
