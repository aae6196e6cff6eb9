// The process between keeper and leader, one per phase: init of the phase's PID namespace where there is one, child
// subreaper elsewhere. It forks the leader, which waits; when told what to run it lays out what the phase may see and
// lets it go, passes signals on to it (and, if it dies of one at once as a shell does, to what it leaves behind in its
// process group), reaps orphans, and takes the tree with it when the keeper dies: as init by PR_SET_PDEATHSIG, else by
// a stop-and-kill loop when the keeper's end of the socket closes.
//
// It is forked from the keeper and executes no other program; the leader does. Both are forked before there is an
// order, so that no slot waits for the making of processes and namespaces.
#pragma once

#include <csignal>
#include <vector>

#include "workers/keeper/containment.h"
#include "workers/keeper/leader_spec.h"
#include "workers/keeper/warden_note.h"

namespace overnight::workers {

// Signals that a keeper ignores: a terminal's are the orchestrator's to interpret, the others are told as errors. All
// others it resets when it starts, where no task waits for that; a task's first process resets these.
inline constexpr int ignored_by_keepers[] = {SIGINT, SIGHUP, SIGPIPE, SIGXFSZ};

// Never returns. `channel` is the only descriptor that it keeps; the leader enters `groups` (their cgroup.procs).
[[noreturn]] void run_warden(const Containment&, const SharedText&, int channel, const std::vector<int>& groups,
                             unsigned uid, unsigned gid);

}  // namespace overnight::workers
