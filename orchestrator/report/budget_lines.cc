#include "orchestrator/report/budget_lines.h"

#include <algorithm>

#include "orchestrator/report/words.h"

namespace overnight::report {

std::vector<BudgetLine> budget_lines(const core::Run& run) {
  const budgets::Cost grant = run.ledger.grant(), settled = run.ledger.settled(), overrun = run.ledger.overrun(),
                      reserved = run.ledger.reserved();
  std::vector<BudgetLine> lines;
  const auto add = [&](const char* name, const char* unit, auto granted, auto spent, auto over, auto promised) {
    const bool limited = !granted.is_unlimited();
    if (!limited && spent.count() + over.count() == 0) return;
    lines.push_back(
        {name, unit, limited ? granted.count() : 0, spent.count(), over.count(), promised.count(), limited});
  };
  add("wall", "ms", run.wall_grant, run.wall_used, core::Millis{}, core::Millis{});
  add("experiments", "count", grant.experiments, settled.experiments, overrun.experiments, reserved.experiments);
  add("slot_time", "ms", grant.slot_time, settled.slot_time, overrun.slot_time, reserved.slot_time);
  add("gpu_time", "ms", grant.gpu_time, settled.gpu_time, overrun.gpu_time, reserved.gpu_time);
  add("llm_cost", "micro_usd", grant.money, settled.money, overrun.money, reserved.money);
  add("llm_tokens", "tokens", grant.tokens, settled.tokens, overrun.tokens, reserved.tokens);
  add("actions", "count", grant.actions, settled.actions, overrun.actions, reserved.actions);
  add("disk", "bytes", grant.disk, settled.disk, overrun.disk, reserved.disk);
  std::stable_partition(lines.begin(), lines.end(), [](const BudgetLine& line) { return line.limited; });
  return lines;
}

std::string amount_words(std::int64_t amount, const std::string& unit) {
  if (unit == "ms") return duration_words(amount);
  if (unit == "bytes") return bytes_words(amount);
  if (unit == "micro_usd") return money_words(amount);
  return count_words(amount);
}

}  // namespace overnight::report
