#include "orchestrator/core/retry.h"

#include <algorithm>

namespace overnight::core {
namespace {

std::int64_t allowed(const RetryPolicy& policy, Cause cause) {
  switch (cause) {
    case Cause::crash:
      return policy.crash;
    case Cause::timeout:
      return policy.timeout;
    case Cause::out_of_memory:
      return policy.out_of_memory;
    case Cause::infrastructure:
    case Cause::lease_lost:
      return policy.infrastructure;
    case Cause::completed:
    case Cause::out_of_disk:
    case Cause::process_limit:
    case Cause::no_metric:
    case Cause::bad_metric:
    case Cause::stopped:
    case Cause::launch_failed:
      return 0;
  }
  return 0;
}

constexpr std::int64_t doublings_max = 10;  // of the back-off: the thousandfold wait is the longest

}  // namespace

std::optional<Retry> retry_after(const Study& study, const Trial& trial, const AttemptGone& gone) {
  if (gone.cause == Cause::stopped) return std::nullopt;
  if (gone.disturbed && trial.disturbed < disturbed_retries_max)
    return Retry{study.task.retries.backoff, "another process used its GPU"};
  if (gone.cause == Cause::completed) return std::nullopt;
  const auto granted = trial.retries.find(gone.cause);
  const std::int64_t so_far = granted == trial.retries.end() ? 0 : granted->second;
  if (so_far >= allowed(study.task.retries, gone.cause)) return std::nullopt;
  std::int64_t all = 0;
  for (const auto& [_, count] : trial.retries) all += count;
  return Retry{study.task.retries.backoff * (std::int64_t{1} << std::min(all, doublings_max)),
               std::string(workers::name_of(gone.cause))};
}

}  // namespace overnight::core
