// Executor for this machine: one keeper (`overnight-worker`) per attempt, spoken to over a socket pair. A resource;
// lives on the loop's thread, owns its keepers, blocks only to write an attempt's order.
//
// Attempts die with the orchestrator: a keeper that sees the end of its channel, or whose lease runs out, kills its
// tree. This process is the subreaper of all keepers, so even what a killed keeper would leave behind is found and
// killed here. A receipt counts only if its keeper ended well.
//
// GPUs are taken under a lock that holds for the whole machine, from `capacity` to the end of this object; a GPU that
// somebody else computes on is left out, and one that somebody takes later makes its slot unusable and marks the
// attempt that runs there as disturbed.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "orchestrator/executors/attempt_folder.h"
#include "orchestrator/executors/gpu_locks.h"
#include "orchestrator/executors/gpus.h"
#include "orchestrator/executors/slots.h"
#include "orchestrator/ports/clock.h"
#include "orchestrator/ports/executor.h"

namespace boost::asio {
class io_context;
}

namespace overnight::executors {

struct LocalSettings {
  std::filesystem::path home;
  std::string home_uuid;
  std::int64_t epoch = 0;
  std::filesystem::path keeper;     // the program overnight-worker
  std::function<GpusFound()> gpus;  // empty function: none; asked from a thread of the executor's own
  std::vector<std::filesystem::path> gpu_lock_places = shared_lock_places();
  std::chrono::milliseconds gpu_look_every{5000};  // for foreign processes on our GPUs
  std::int64_t lease_ms = 30'000;  // renewed every quarter; a hung orchestrator's attempts die within it
};

// A metric as it comes; it bypasses `step` and is shown live.
struct LiveMetric {
  core::AttemptId attempt{};
  std::string name;
  double value = 0;
  std::int64_t step = -1;
};

class LocalExecutor final : public ports::Executor {
 public:
  LocalExecutor(boost::asio::io_context& io, const ports::Clock& clock, LocalSettings settings, ports::Sink sink,
                std::function<void(const LiveMetric&)> metrics);
  ~LocalExecutor() override;  // kills what still runs, and waits until it is gone

  std::vector<core::SlotFound> capacity(const core::Study& study) override;
  void launch(const core::Launch& launch, const core::Study& study) override;
  void stop(core::AttemptId attempt, core::StopLevel level, const std::string& reason) override;
  void drop_artifacts(core::AttemptId attempt, const core::RunId& run) override;
  void observe(const std::vector<core::AttemptId>& expected) override;

  // Where attempts of earlier lives lie: the run of each expected attempt must be known to find its folder.
  void expect(core::AttemptId attempt, const core::RunId& run);

 private:
  struct Keeper;
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with the handlers that are still queued on the loop
};

}  // namespace overnight::executors
