// One phase's process tree, seen from the keeper: prepared, started, signalled, killed, and seen to be gone. Owns the
// warden (and by it everything below); the destructor kills what is left.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "budgets/result.h"
#include "workers/keeper/containment.h"
#include "workers/keeper/descriptor.h"
#include "workers/keeper/warden.h"

namespace overnight::workers {

inline constexpr std::int64_t kill_wait_ms = 10'000;  // what is alive after this sits in an uninterruptible call

struct TreeEvent {
  enum class Kind { leader_started, group_refused, view_refused, exec_failed, leader_ended, all_ended, warden_ended };
  Kind kind = Kind::warden_ended;
  int value = 0;  // pid, errno or wait status
};

struct KillOutcome {
  std::int64_t took_ms = 0;
  std::int64_t survivors = 0;
};

class ProcessTree {
 public:
  // Forks the warden and, by it, the process that will become the leader and enters the groups, which outlive the tree.
  // Both wait; nothing of a task runs.
  static budgets::Result<ProcessTree, std::string> prepare(const Containment&, const AttemptGroups&);
  // Lets it go, once. False: the warden is not there any more (prepare another), or the spec is longer than SharedText.
  bool start(const LeaderSpec&, const LeaderDescriptors&);
  ProcessTree(ProcessTree&&) = default;
  ProcessTree& operator=(ProcessTree&&) = delete;
  ~ProcessTree();

  int note_fd() const { return channel_.get(); }
  int end_fd() const { return end_.get(); }
  std::optional<TreeEvent> next_event();  // does not block
  void signal_leader(int signal);
  // The whole tree; idempotent. `spared` is a child of ours that is no part of it (descendants.h).
  KillOutcome kill(pid_t spared = 0);
  pid_t warden() const { return warden_; }

  std::int64_t cpu_ms() const { return cpu_ms_; }                        // complete after kill()
  std::int64_t largest_rss_bytes() const { return largest_rss_bytes_; }  // of one process

 private:
  ProcessTree(pid_t warden, Descriptor end, Descriptor channel, KillMechanism mechanism, SharedText text,
              const AttemptGroups& groups)
      : warden_(warden),
        end_(std::move(end)),
        channel_(std::move(channel)),
        mechanism_(mechanism),
        text_(std::move(text)),
        groups_(&groups) {}

  pid_t warden_;
  Descriptor end_;  // pidfd of the warden
  Descriptor channel_;
  KillMechanism mechanism_;
  SharedText text_;  // what the leader is to be
  const AttemptGroups* groups_;
  bool gone_ = false;
  bool end_told_ = false;
  std::int64_t cpu_ms_ = 0;
  std::int64_t largest_rss_bytes_ = 0;
};

}  // namespace overnight::workers
