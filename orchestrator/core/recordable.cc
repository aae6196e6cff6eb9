#include <algorithm>
#include <cmath>

#include "orchestrator/core/events.h"
#include "orchestrator/core/limits.h"

namespace overnight::core {
namespace {

bool is_finite(const Proposal& proposal) {
  return std::all_of(proposal.params.begin(), proposal.params.end(), [](const auto& entry) {
    const auto* real = std::get_if<double>(&entry.second);
    return real == nullptr || std::isfinite(*real);
  });
}

// Returns how many were taken out.
std::int64_t drop_not_finite(std::vector<Proposal>& proposals) {
  return static_cast<std::int64_t>(std::erase_if(proposals, [](const Proposal& one) { return !is_finite(one); }));
}

void clean(AttemptGone& gone) {
  if (gone.score && !(std::abs(*gone.score) <= score_max)) {  // not a number neither
    if (gone.cause == Cause::completed) {
      gone.cause = Cause::bad_metric;
      gone.detail += (gone.detail.empty() ? "" : "; ") + std::string("the score is no number, or beyond 1e100");
    }
    gone.score.reset();
  }
  std::erase_if(gone.metrics, [](const auto& entry) { return !std::isfinite(entry.second); });
  // Longer than any attempt may be; a product of it with slots, GPUs and attempts still fits 64 bits.
  constexpr Millis took_max = seconds(std::int64_t{366} * 24 * 3600);
  if (gone.took) gone.took = std::clamp(*gone.took, Millis{}, took_max);
  gone.artifacts = std::clamp(gone.artifacts, budgets::Bytes{}, budgets::Bytes::of(std::int64_t{1} << 50));
  gone.survivors = std::max<std::int64_t>(gone.survivors, 0);
}

}  // namespace

void make_recordable(Event& event) {
  if (auto* gone = std::get_if<AttemptGone>(&event)) clean(*gone);
  if (auto* offers = std::get_if<OffersArrived>(&event)) offers->refused += drop_not_finite(offers->proposals);
  if (auto* enqueued = std::get_if<Enqueued>(&event)) drop_not_finite(enqueued->proposals);
}

}  // namespace overnight::core
