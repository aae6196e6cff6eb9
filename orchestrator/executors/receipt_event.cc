#include "orchestrator/executors/receipt_event.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "orchestrator/executors/keeper_process.h"

namespace overnight::executors {

core::AttemptGone gone_from(const workers::Receipt& receipt, const std::string& objective) {
  core::AttemptGone gone{core::AttemptId{receipt.attempt}};
  gone.cause = receipt.cause;
  gone.phase = receipt.phase;
  gone.detail = receipt.detail;
  gone.log_tail = receipt.log_tail;
  for (const auto& [name, metric] : receipt.metrics) gone.metrics[name] = metric.value;
  const auto score = receipt.metrics.find(objective);
  if (receipt.cause == core::Cause::completed && score != receipt.metrics.end() && std::isfinite(score->second.value)) {
    gone.score = score->second.value;
    gone.self_reported = score->second.self_reported;
  }
  gone.took = budgets::Millis::of(std::max<std::int64_t>(0, receipt.took_ms));
  gone.started_unix_ms = receipt.started_unix_ms;
  for (const auto& phase : receipt.phases) {
    gone.phase_ms[std::string(workers::name_of(phase.phase))] += phase.took_ms;
    gone.logs = gone.logs + budgets::Bytes::of(std::max<std::int64_t>(0, phase.log_kept_bytes));
    gone.memory_peak_bytes = std::max(gone.memory_peak_bytes, phase.memory_peak_bytes);
    workers::add_uses(gone.gpus, phase.gpus);
  }
  gone.artifacts = budgets::Bytes::of(std::max<std::int64_t>(0, receipt.artifact_bytes));
  gone.killed_in = budgets::Millis::of(std::max<std::int64_t>(0, receipt.killed_in_ms));
  gone.survivors = receipt.survivors;
  gone.disturbed = receipt.disturbed;
  return gone;
}

core::AttemptGone gone_without_receipt(core::AttemptId attempt, core::Cause cause, std::string detail) {
  core::AttemptGone gone{attempt};
  gone.cause = cause;
  gone.detail = std::move(detail);
  return gone;
}

core::AttemptGone gone_from_folder(core::AttemptId attempt, const AttemptFolder& folder, const std::string& objective,
                                   const std::string& nonce) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder.receipt(), ignored)) {
    return gone_without_receipt(attempt, core::Cause::infrastructure, "its keeper ended without a receipt");
  }
  const auto receipt = workers::receipt_from_json(read_bounded(folder.receipt(), workers::receipt_bytes_max));
  if (!receipt) {
    return gone_without_receipt(attempt, core::Cause::infrastructure,
                                "its receipt cannot be read: " + receipt.error().explain);
  }
  if (receipt->attempt != core::number(attempt) || (!nonce.empty() && receipt->nonce != nonce)) {
    return gone_without_receipt(attempt, core::Cause::infrastructure, "its receipt belongs to another launch");
  }
  return gone_from(*receipt, objective);
}

}  // namespace overnight::executors
