// Port: where attempts run. A resource, driven from the loop's thread; never blocks. What happens comes back as events
// through the sink (AttemptStarted, AttemptInPhase, AttemptGone, Observed, SlotChecked, ArtifactsDropped).
//
// launch, stop and drop are idempotent by attempt: doing one twice is doing it once, in this life of the orchestrator
// or the next. A slot is free only when AttemptGone was sent, and that is sent only when the process tree was seen to
// be gone.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "orchestrator/core/changes.h"
#include "orchestrator/core/events.h"

namespace overnight::ports {

using Sink = std::function<void(core::Event)>;

class Executor {
 public:
  Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  virtual ~Executor() = default;

  // The slots that `study` can use here, in the order in which they should be filled.
  virtual std::vector<core::SlotFound> capacity(const core::Study& study) = 0;

  virtual void launch(const core::Launch& launch, const core::Study& study) = 0;
  virtual void stop(core::AttemptId attempt, core::StopLevel level, const std::string& reason) = 0;
  virtual void drop_artifacts(core::AttemptId attempt, const core::RunId& run) = 0;

  // Sends Observed with everything of this home that is alive here, kills what the home does not know, and settles what
  // an earlier life left behind: a receipt found for an attempt in `expected` is sent as AttemptGone.
  virtual void observe(const std::vector<core::AttemptId>& expected) = 0;
};

}  // namespace overnight::ports
