// Whether the GPUs of slots still belong to us alone. Decides only; who asks the driver and who is told is the
// executor's affair. Values.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "orchestrator/core/events.h"
#include "orchestrator/executors/gpus.h"

namespace overnight::executors {

struct SlotVerdict {
  core::SlotChecked checked;
  bool changed = false;
  bool disturbed = false;  // a foreign process is there now: what runs in the slot is no fair measurement
};

// What changed since the verdicts before, and every slot that is disturbed; `reasons` (per slot, empty: usable) is
// brought up to date.
std::vector<SlotVerdict> judge_slots(const std::map<core::SlotId, core::SlotFound>& slots, const GpusFound& gpus,
                                     std::map<core::SlotId, std::string>& reasons);

}  // namespace overnight::executors
