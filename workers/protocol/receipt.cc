#include "workers/protocol/receipt.h"

#include "workers/protocol/describe_gpu_use.h"
#include "workers/protocol/fields.h"

namespace overnight::workers {

template <typename Visitor>
void describe(Visitor& field, PhaseReceipt& p) {
  field("phase", p.phase);
  field("started_unix_ms", p.started_unix_ms);
  field("took_ms", p.took_ms);
  field("exit_status", p.exit_status);
  field("signal", p.signal);
  field("budget_reached", p.budget_reached);
  field("cpu_ms", p.cpu_ms);
  field("memory_peak_bytes", p.memory_peak_bytes);
  field("log_dropped_bytes", p.log_dropped_bytes);
  field("log_kept_bytes", p.log_kept_bytes);
  field.unless_empty("gpus", p.gpus);
}

template <typename Visitor>
void describe(Visitor& field, MetricReceipt& m) {
  field("value", m.value);
  field("step", m.step);
  field("phase", m.phase);
  field("self_reported", m.self_reported);
}

template <typename Visitor>
void describe(Visitor& field, Receipt& r) {
  field("run", r.run);
  field("attempt", r.attempt);
  field("nonce", r.nonce);
  field("epoch", r.epoch);
  field("cause", r.cause);
  field("phase", r.phase);
  field("detail", r.detail);
  field("log_tail", r.log_tail);
  field("started_unix_ms", r.started_unix_ms);
  field("took_ms", r.took_ms);
  field("killed_in_ms", r.killed_in_ms);
  field("survivors", r.survivors);
  field("kill_mechanism", r.kill_mechanism);
  field("disk_bytes", r.disk_bytes);
  field("artifact_bytes", r.artifact_bytes);
  field("disturbed", r.disturbed);
  field("phases", r.phases);
  field("metrics", r.metrics);
}

std::string to_json(const Receipt& receipt) { return dumped(receipt); }

budgets::Result<Receipt, ProtocolError> receipt_from_json(std::string_view text) {
  return parsed<Receipt>([&]() -> Receipt {
    const auto json = parse_strictly(text, receipt_bytes_max);
    Receipt receipt;
    Reader::read(json, receipt, "");
    if (receipt.log_tail.size() > log_tail_bytes_max) throw Refused("log_tail", "is longer than 4096 bytes");
    if (receipt.metrics.size() > metrics_per_attempt_max) throw Refused("metrics", "has more than 64 names");
    if (receipt.phases.size() > 3) throw Refused("phases", "has more than three phases");
    if (receipt.took_ms < 0) throw Refused("took_ms", "must not be negative");
    if (receipt.survivors < 0) throw Refused("survivors", "must not be negative");
    if (receipt.disk_bytes < 0) throw Refused("disk_bytes", "must not be negative");
    if (receipt.artifact_bytes < 0) throw Refused("artifact_bytes", "must not be negative");
    for (const PhaseReceipt& phase : receipt.phases) {
      if (phase.log_kept_bytes < 0) throw Refused("phases.log_kept_bytes", "must not be negative");
      check_uses(phase.gpus);
    }
    return receipt;
  });
}

}  // namespace overnight::workers
