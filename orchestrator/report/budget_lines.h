// The ledger of a run as lines for people: one per budget, with its unit. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "orchestrator/core/state.h"

namespace overnight::report {

struct BudgetLine {
  std::string name;  // as in the study: "slot_time"
  std::string unit;  // of the numbers: "ms", "count", "micro_usd", "tokens", "bytes"
  std::int64_t granted = 0;
  std::int64_t settled = 0;   // overruns not counted
  std::int64_t overrun = 0;   // more used than was reserved, counted apart
  std::int64_t reserved = 0;  // promised to what runs
  bool limited = true;

  std::int64_t used() const { return settled + overrun; }
  std::int64_t left() const { return granted - used() - reserved; }
};

// Limited budgets first, each in the order of the study; of the others those that were used.
std::vector<BudgetLine> budget_lines(const core::Run& run);

std::string amount_words(std::int64_t amount, const std::string& unit);

}  // namespace overnight::report
