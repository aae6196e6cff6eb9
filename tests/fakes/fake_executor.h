// An executor whose processes live on the fake clock: they start late, fail, take their time, ignore kills for a while,
// outlive the orchestrator, and what they report gets lost, doubled or delayed. It never lies about what is alive.
//
// Nothing is told from inside a call: what happens is queued, and `deliver` tells what is due.
#pragma once

#include <map>
#include <random>

#include "orchestrator/ports/executor.h"
#include "tests/fakes/fake_clock.h"

namespace overnight::fakes {

using Random = std::mt19937_64;

// True in `percent` of all calls.
inline bool chance(Random& random, int percent) { return static_cast<int>(random() % 100) < percent; }
inline std::int64_t up_to(Random& random, std::int64_t most) {
  return most <= 0 ? 0 : static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most + 1));
}

struct ExecutorFaults {
  int fail = 0;                  // percent of attempts that end with another cause than completed
  int lose = 0;                  // of messages
  int duplicate = 0;             // of messages
  int vanish = 0;                // of attempts: end without a receipt
  int deaf = 0;                  // of stops: not heard
  int stubborn = 0;              // of kills: survived for a while
  int disturbed = 0;             // of attempts
  int orphan = 0;                // of processes: go on for a while after the orchestrator died
  std::int64_t late_ms = 0;      // messages come up to so late
  std::int64_t stubborn_ms = 0;  // how long a kill is survived
  std::int64_t orphan_ms = 0;
};

class FakeExecutor final : public ports::Executor {
 public:
  FakeExecutor(const FakeClock& clock, Random& random) : clock_(clock), random_(random) {}

  // A new life of the orchestrator listens; what was on its way to the last one is lost.
  void listen(ports::Sink sink);
  // The orchestrator died: keepers see the end of their channel and end their trees; orphans take their time.
  void orchestrator_died();
  void machine_died();

  std::vector<core::SlotFound> capacity(const core::Study& study) override;
  void launch(const core::Launch& launch, const core::Study& study) override;
  void stop(core::AttemptId attempt, core::StopLevel level, const std::string& reason) override;
  void drop_artifacts(core::AttemptId attempt, const core::RunId& run) override;
  void observe(const std::vector<core::AttemptId>& expected) override;

  // When something will happen next, in world time; none: nothing will.
  std::optional<std::int64_t> next_ms() const;
  // Lets happen and tells what is due now, one thing; false if nothing is.
  bool deliver();

  struct Process {
    core::Launch launch;
    std::int64_t gpus = 0;
    std::int64_t started_ms = 0;
    std::int64_t ends_ms = 0;
    std::int64_t deaf_until_ms = 0;  // kills before this are survived
    bool alive = true;
    bool leaves_receipt = true;
    core::AttemptGone receipt;
  };
  const std::map<core::AttemptId, Process>& processes() const { return processes_; }
  bool is_alive(const core::RunId& run) const;

  ExecutorFaults faults;
  std::int64_t slots = 1;
  std::int64_t longest_ms = 5000;                          // of an attempt that ends by itself
  std::function<double(const core::Launch&)> score;        // of one that completes
  std::function<void(const core::Launch&)> before_launch;  // looks at each launch that is new; may throw
  std::function<void()> before_action;                     // may throw: the orchestrator died in mid-action

 private:
  void tell(core::Event event, bool may_be_lost);
  void end(Process& process, std::int64_t at_ms);
  core::Cause fate();

  const FakeClock& clock_;
  Random& random_;
  ports::Sink sink_;
  std::map<core::AttemptId, Process> processes_;
  std::multimap<std::int64_t, core::Event> messages_;  // on their way, by the time of their arrival
  std::multimap<std::int64_t, core::AttemptId> ends_;  // of processes
};

}  // namespace overnight::fakes
