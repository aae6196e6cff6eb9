#include "budgets/ledger.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>

namespace overnight::budgets {
namespace {

template <typename Unit>
std::optional<LedgerRefusal> refuse_if_short(std::string_view dimension, Quantity<Unit> wanted, Quantity<Unit> left) {
  if (wanted.count() <= 0 || wanted <= left) return std::nullopt;
  return LedgerRefusal{dimension, wanted.count(), left.count()};
}

// For people, exact: what is refused may lack one unit.
std::string amount(std::string_view dimension, std::int64_t count) {
  if (dimension == "slot_time" || dimension == "gpu_time") return std::to_string(count) + " ms";
  if (dimension == "disk") return std::to_string(count) + " bytes";
  if (dimension != "llm_cost") return std::to_string(count);
  char text[32];
  std::snprintf(text, sizeof text, "$%.6f", static_cast<double>(count) / 1e6);
  return text;
}

}  // namespace

std::string LedgerRefusal::explain() const {
  return std::string(dimension) + ": " + amount(dimension, wanted) + " wanted, " + amount(dimension, left) + " left";
}

Ledger::Ledger(const Cost& grant) { book_.grant = grant; }

Ledger Ledger::from(Book book) {
  Ledger ledger;
  ledger.book_ = std::move(book);
  for (const auto& [_, worst_case] : ledger.book_.open) ledger.reserved_ = ledger.reserved_ + worst_case;
  return ledger;
}

Result<void, LedgerRefusal> Ledger::affords(const Cost& worst_case) const {
  const Cost free = left();
  if (auto no = refuse_if_short("slot_time", worst_case.slot_time, free.slot_time)) return unexpected(*no);
  if (auto no = refuse_if_short("gpu_time", worst_case.gpu_time, free.gpu_time)) return unexpected(*no);
  if (auto no = refuse_if_short("experiments", worst_case.experiments, free.experiments)) return unexpected(*no);
  if (auto no = refuse_if_short("actions", worst_case.actions, free.actions)) return unexpected(*no);
  if (auto no = refuse_if_short("llm_cost", worst_case.money, free.money)) return unexpected(*no);
  if (auto no = refuse_if_short("llm_tokens", worst_case.tokens, free.tokens)) return unexpected(*no);
  if (auto no = refuse_if_short("disk", worst_case.disk, free.disk)) return unexpected(*no);
  return {};
}

Result<ReservationId, LedgerRefusal> Ledger::reserve(const Cost& worst_case) {
  if (auto can = affords(worst_case); !can) return unexpected(can.error());
  const ReservationId id{book_.next_id++};
  book_.open.emplace(id, worst_case);
  reserved_ = reserved_ + worst_case;
  return id;
}

void Ledger::settle(ReservationId id, const Cost& used) {
  const Cost worst_case = close(id);
  const Cost within = Cost::each(used, worst_case, [](auto u, auto r) { return std::min(u, r); });
  book_.settled = book_.settled + within;
  book_.overrun = book_.overrun + (used - within);
}

void Ledger::release(ReservationId id) { close(id); }

void Ledger::settle_unknown(ReservationId id) { book_.settled = book_.settled + close(id); }

void Ledger::give_back(Bytes disk) {
  Bytes overrun_part = std::min(disk, book_.overrun.disk);
  book_.overrun.disk -= overrun_part;
  disk -= overrun_part;
  INVARIANT(disk <= book_.settled.disk, "no more disk is given back than was settled");
  book_.settled.disk -= disk;
}

Cost Ledger::close(ReservationId id) {
  const auto found = book_.open.find(id);
  INVARIANT(found != book_.open.end(), "a reservation is closed exactly once");
  const Cost worst_case = found->second;
  book_.open.erase(found);
  reserved_ = reserved_ - worst_case;
  return worst_case;
}

}  // namespace overnight::budgets
