#include "orchestrator/executors/slots.h"

#include <sched.h>

#include <algorithm>

namespace overnight::executors {
namespace {

// The i-th of n equal shares of the CPUs, at least one each; shares overlap only where there are more slots than CPUs.
std::vector<int> share_of(const std::vector<int>& cpus, std::size_t i, std::size_t n, std::size_t each) {
  std::vector<int> share;
  if (cpus.empty()) return share;
  const std::size_t from = n * each <= cpus.size() ? i * each : i * cpus.size() / n;
  for (std::size_t k = 0; k < std::min(each, cpus.size()); ++k) share.push_back(cpus[(from + k) % cpus.size()]);
  std::sort(share.begin(), share.end());
  return share;
}

}  // namespace

std::vector<core::SlotFound> slots_of(const std::vector<int>& cpus, const std::vector<GpuFound>& gpus,
                                      std::int64_t cpus_each, std::int64_t gpus_each, std::int64_t wanted) {
  const auto cpus_per_slot = static_cast<std::size_t>(std::max<std::int64_t>(1, cpus_each));
  const auto gpus_per_slot = static_cast<std::size_t>(std::max<std::int64_t>(0, gpus_each));
  std::vector<GpuFound> free;
  for (const GpuFound& gpu : gpus) {
    if (gpu.used_by.empty()) free.push_back(gpu);
  }
  std::size_t count =
      gpus_per_slot > 0 ? free.size() / gpus_per_slot : std::max<std::size_t>(1, cpus.size() / cpus_per_slot);
  if (wanted > 0)
    count = gpus_per_slot > 0 ? std::min(count, static_cast<std::size_t>(wanted)) : static_cast<std::size_t>(wanted);
  count = std::min<std::size_t>(count, core::slots_max);

  std::vector<core::SlotFound> slots;
  for (std::size_t i = 0; i < count; ++i) {
    core::SlotFound slot;
    slot.slot = core::SlotId{static_cast<std::int64_t>(i) + 1};
    slot.slot_class = "cpu";
    slot.cpus = share_of(cpus, i, count, cpus_per_slot);
    for (std::size_t g = 0; g < gpus_per_slot; ++g) {
      slot.gpus.push_back(free[i * gpus_per_slot + g].uuid);
      slot.slot_class = free[i * gpus_per_slot + g].name;
    }
    slots.push_back(std::move(slot));
  }
  return slots;
}

std::vector<int> usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace overnight::executors
