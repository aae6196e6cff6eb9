// The process between keeper and leader, one per phase: init of the phase's PID namespace where there is one, child
// subreaper elsewhere. It starts the leader, passes signals on to it (and, if it dies of one at once as a shell does,
// to what it leaves behind in its process group), reaps orphans, and takes the tree with it when the keeper dies: as
// init by PR_SET_PDEATHSIG, else by a stop-and-kill loop when the keeper's end of the socket closes.
//
// It is forked from the keeper and executes no other program; the leader does. They speak in `WardenNote`s over a
// SOCK_SEQPACKET pair that no task ever holds.
#pragma once

#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

#include "workers/keeper/containment.h"
#include "workers/keeper/private_view.h"

namespace overnight::workers {

// Signals that a keeper ignores: a terminal's are the orchestrator's to interpret, the others are told as errors. All
// others it resets when it starts, where no task waits for that; a task's first process resets these.
inline constexpr int ignored_by_keepers[] = {SIGINT, SIGHUP, SIGPIPE, SIGXFSZ};

// What the leader is and what it may use. The descriptors stay the keeper's.
struct LeaderSpec {
  std::string program;               // path to execute
  std::vector<std::string> command;  // its argv
  std::vector<std::string> env;      // NAME=value
  std::string work_path;             // its working folder
  PrivateView view;                  // holds where the containment has mounts of its own
  int out = -1;
  int err = -1;
  std::vector<int> cpus;            // affinity; empty: as the keeper
  std::vector<int> groups;          // cgroup.procs to enter
  std::int64_t file_bytes_max = 0;  // RLIMIT_FSIZE; 0: none
  std::int64_t tasks_max = 0;       // RLIMIT_NPROC, only inside a user namespace of our own; 0: none
};

struct WardenNote {
  enum class Kind : std::int32_t {
    go = 1,         // to the warden: start the leader
    signal,         // to the warden: send `value` to the leader
    leader_starts,  // from the leader, just before exec; the kernel adds its pid as the keeper sees it
    group_refused,  // from the leader: it could not enter a cgroup (errno in `value`)
    view_refused,   // from the warden: private data cannot be hidden (errno in `value`); no leader was started
    exec_failed,    // from the leader: errno in `value`
    leader_ended,   // from the warden: wait status in `value`
    all_ended,      // from the warden: nothing of the tree is left but itself
  };
  Kind kind = Kind::go;
  std::int32_t value = 0;
};

// Never returns.
[[noreturn]] void run_warden(const LeaderSpec&, const Containment&, int channel, unsigned uid, unsigned gid);

}  // namespace overnight::workers
