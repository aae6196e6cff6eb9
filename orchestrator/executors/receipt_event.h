// From a keeper's receipt to what `step` is told. Pure.
#pragma once

#include <string>

#include "orchestrator/core/events.h"
#include "workers/protocol/receipt.h"

namespace overnight::executors {

core::AttemptGone gone_from(const workers::Receipt& receipt, const std::string& objective);

// An attempt whose keeper left no receipt: nobody can tell what it took.
core::AttemptGone gone_without_receipt(core::AttemptId attempt, core::Cause cause, std::string detail);

}  // namespace overnight::executors
