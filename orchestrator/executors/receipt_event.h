// From a keeper's receipt to what `step` is told.
#pragma once

#include <string>

#include "orchestrator/core/events.h"
#include "orchestrator/executors/attempt_folder.h"
#include "workers/protocol/receipt.h"

namespace overnight::executors {

core::AttemptGone gone_from(const workers::Receipt& receipt, const std::string& objective);

// An attempt whose keeper left no receipt: nobody can tell what it took.
core::AttemptGone gone_without_receipt(core::AttemptId attempt, core::Cause cause, std::string detail);

// What is told of an attempt whose keeper has ended: by the receipt in its folder, if that belongs to this launch
// (`nonce`; empty: any).
core::AttemptGone gone_from_folder(core::AttemptId attempt, const AttemptFolder& folder, const std::string& objective,
                                   const std::string& nonce);

}  // namespace overnight::executors
