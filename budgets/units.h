// The units in which budgets are granted and spent. Values. Raw numbers that leave (JSON, SQL) carry the unit in their
// name: `slot_ms`, `money_microusd`.
#pragma once

#include "budgets/quantity.h"

namespace overnight::budgets {

using SlotMillis = Quantity<struct SlotMillisUnit>;    // one slot held for one millisecond
using GpuMillis = Quantity<struct GpuMillisUnit>;      // one GPU held for one millisecond
using MicroUsd = Quantity<struct MicroUsdUnit>;        // a millionth of a US dollar
using Tokens = Quantity<struct TokensUnit>;            // LLM tokens, in and out
using Actions = Quantity<struct ActionsUnit>;          // governed effects: an LLM call, a dispatch, ...
using Experiments = Quantity<struct ExperimentsUnit>;  // admitted proposals
using Bytes = Quantity<struct BytesUnit>;              // disk or memory

}  // namespace overnight::budgets
