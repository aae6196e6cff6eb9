// What a keeper leaves behind (`receipt.json`, fsynced, renamed into place before it exits): what happened to one
// attempt, seen from outside the experiment. The one source for settling the ledger and for scoring. Pure data, JSON
// both ways, strict.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "budgets/result.h"
#include "workers/protocol/gpu_use.h"
#include "workers/protocol/names.h"
#include "workers/protocol/order.h"

namespace overnight::workers {

struct PhaseReceipt {
  Phase phase = Phase::train;
  std::int64_t started_unix_ms = 0;
  std::int64_t took_ms = 0;     // keeper's monotonic clock, from exec to tree gone
  int exit_status = -1;         // -1 if it did not exit by itself
  int signal = 0;               // that ended the leader; 0 if none
  bool budget_reached = false;  // the planned end
  std::int64_t cpu_ms = 0;      // user and system time of the tree
  std::int64_t memory_peak_bytes = 0;
  std::int64_t log_dropped_bytes = 0;
  std::int64_t log_kept_bytes = 0;  // in the attempt's folder, of both streams
  std::vector<GpuUse> gpus;         // one for each of the order; empty too in receipts of 0.1
  bool operator==(const PhaseReceipt&) const = default;
};

// A metric as it was last reported in a phase. `self_reported`: by the training process itself, not by evaluate.
struct MetricReceipt {
  double value = 0;  // finite; what was not finite is told by cause bad_metric and `detail`
  std::int64_t step = -1;
  Phase phase = Phase::evaluate;
  bool self_reported = false;
  bool operator==(const MetricReceipt&) const = default;
};

struct Receipt {
  std::string run;
  std::int64_t attempt = 0;
  std::string nonce;
  std::int64_t epoch = 0;
  Cause cause = Cause::infrastructure;
  Phase phase = Phase::train;  // in which it ended
  std::string detail;          // a sentence for people: "exit status 3 in train", "attempt.memory 2 GiB reached"
  std::string log_tail;        // last lines of the phase that ended it, at most log_tail_bytes_max, valid UTF-8
  std::int64_t started_unix_ms = 0;
  std::int64_t took_ms = 0;  // slot time: from the keeper's start to everything gone
  std::int64_t killed_in_ms =
      -1;                      // from the decision to kill until the tree was seen to be gone; -1 if nothing was killed
  std::int64_t survivors = 0;  // processes that would not die (uninterruptible); 0 is what is promised
  std::string kill_mechanism;  // "pid namespace", "cgroup.kill" or "subreaper loop"
  std::int64_t disk_bytes = 0;  // left in the attempt's folder
  std::int64_t artifact_bytes = 0;
  bool disturbed = false;  // a foreign process used the attempt's GPU
  std::vector<PhaseReceipt> phases;
  std::map<std::string, MetricReceipt> metrics;
  bool operator==(const Receipt&) const = default;
};

inline constexpr std::size_t log_tail_bytes_max = 4096;     // enough for a Python traceback
inline constexpr std::size_t metrics_per_attempt_max = 64;  // distinct names kept; the rest is counted and dropped
inline constexpr std::size_t receipt_bytes_max = 256 * 1024;

std::string to_json(const Receipt&);
budgets::Result<Receipt, ProtocolError> receipt_from_json(std::string_view text);

}  // namespace overnight::workers
