#include "orchestrator/executors/gpu_watch.h"

#include <algorithm>

namespace overnight::executors {
namespace {

struct Finding {
  std::string reason;  // empty: the slot is ours alone
  bool foreign = false;
};

Finding look_at(const core::SlotFound& slot, const GpusFound& gpus) {
  for (const std::string& uuid : slot.gpus) {
    const auto found =
        std::find_if(gpus.found.begin(), gpus.found.end(), [&](const GpuFound& gpu) { return gpu.uuid == uuid; });
    if (found == gpus.found.end()) return {"the driver does not name " + uuid + " any more", false};
    const std::string user = foreign_user(*found, false);
    if (!user.empty()) return {user + " uses " + uuid, true};
  }
  return {};
}

}  // namespace

std::vector<SlotVerdict> judge_slots(const std::map<core::SlotId, core::SlotFound>& slots, const GpusFound& gpus,
                                     std::map<core::SlotId, std::string>& reasons) {
  std::vector<SlotVerdict> verdicts;
  for (const auto& [id, slot] : slots) {
    if (slot.gpus.empty()) continue;
    const Finding finding = look_at(slot, gpus);
    std::string& reason = reasons[id];
    const bool changed = finding.reason != reason;
    if (!changed && !finding.foreign) continue;
    reason = finding.reason;
    verdicts.push_back({{id, reason.empty(), reason}, changed, finding.foreign});
  }
  return verdicts;
}

}  // namespace overnight::executors
