// One phase from exec to "tree seen to be gone": output, reports, limits, the clock, stops. Owns the tree, the pipes
// and the logs of the phase; refers to what belongs to the attempt.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "workers/keeper/assent.h"
#include "workers/keeper/attempt_folder.h"
#include "workers/keeper/environment.h"
#include "workers/keeper/gpu_meter.h"
#include "workers/keeper/limit_watch.h"
#include "workers/keeper/log_file.h"
#include "workers/keeper/metric_book.h"
#include "workers/keeper/metrics_file.h"
#include "workers/keeper/process_tree.h"
#include "workers/protocol/receipt.h"

namespace overnight::workers {

// What belongs to the attempt and outlives the phase.
struct AttemptParts {
  const Order& order;
  const AttemptFolder& folder;
  const Containment& containment;
  const AttemptGroups& groups;
  Channel& channel;
  Assent& assent;
  LimitWatch& limits;
  MetricBook& metrics;
  MetricsFile& metrics_file;
  std::int64_t wall_deadline_ms;  // monotonic; 0: none
  const InheritedEnvironment& inherited;
  std::string program_folder;
  std::optional<ProcessTree> prepared;  // for the first phase, made ahead
};

struct PhaseEnd {
  std::optional<EndReason> failure;  // none: it ended as planned
  PhaseReceipt receipt;
  std::string log_tail;
  std::int64_t killed_in_ms = -1;
  std::int64_t survivors = 0;
};

class PhaseRun {
 public:
  PhaseRun(AttemptParts& attempt, const PhaseOrder& phase, const PhasePlace& place, const std::string& work_relative);
  // The phase's time counts from started_ms, a moment of the monotonic clock that lies at most a little back.
  PhaseEnd run(std::int64_t started_ms);

 private:
  struct Stream {
    Descriptor pipe;
    LogFile log;
    LineCutter lines;
  };

  std::optional<EndReason> start();
  std::optional<EndReason> start_tree(const LeaderSpec&, const LeaderDescriptors&);
  bool needs_enclosure(const std::string& program) const;
  PrivateView view(const std::string& program) const;
  bool open_pipe(Stream&, Descriptor& write_end);
  void wait();
  void handle_tree();
  void handle_assent();
  void handle_clock();
  void read(Stream&, bool to_the_end);
  void take(const Report&);
  void begin_stop(std::int64_t now);
  void fail(Cause cause, std::string detail);
  void kill_tree();
  std::optional<EndReason> judge_end();
  std::string explain_status() const;
  std::int64_t next_deadline() const;
  PhaseEnd finish();

  AttemptParts& attempt_;
  const PhaseOrder& phase_;
  PhasePlace place_;
  std::string work_relative_;
  Stream out_, err_;
  StdoutMetrics patterns_;
  std::optional<ProcessTree> tree_;
  std::optional<GpuMeter> gpus_;  // from when the tree was started
  std::int64_t started_ms_ = 0;
  std::int64_t started_unix_ms_ = 0;
  std::int64_t next_look_ms_ = 0;
  std::int64_t grace_ends_ms_ = 0;  // 0: no stop signal was sent
  bool budget_reached_ = false;
  bool over_ = false;
  bool kill_decided_ = false;
  std::optional<int> leader_status_;
  std::optional<EndReason> failure_;
  KillOutcome killed_;
  struct Sent {
    std::int64_t second = 0;
    std::int64_t count = 0;
  };
  std::map<std::string, Sent> sent_;
};

}  // namespace overnight::workers
