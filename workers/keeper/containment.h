// What this machine lets us do to hold and kill a process tree: probed, never assumed. Printed by `overnight doctor`
// and by `overnight-worker --probe`.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "workers/keeper/cgroups.h"

namespace overnight::workers {

// From strong to weak. All three leave no survivor; they differ in what holds when somebody hostile attacks the keeper.
enum class KillMechanism {
  pid_namespace,  // the tree has its own init; the kernel kills all with it, and it with the keeper
  cgroup,         // cgroup.kill, then a look through /proc
  subreaper,      // stop and kill everything below us, in a loop over /proc
};
std::string_view name_of(KillMechanism);  // "pid namespace", "cgroup.kill", "subreaper loop"

struct Containment {
  bool pid_namespace = false;
  bool needs_user_namespace = false;  // to get a PID namespace we also need one (we are not root)
  bool private_proc = false;          // a fresh /proc can be mounted in it: it has its own mounts (private_view.h)
  CgroupPlaces cgroups;
  KillMechanism mechanism = KillMechanism::subreaper;
};

// Tries everything in short-lived children; takes a few milliseconds. `forced` (the environment variable
// OVERNIGHT_KILL_MECHANISM: namespace, cgroup or subreaper) leaves out the stronger mechanisms; one that is not there
// is not pretended.
Containment probe_capabilities(std::string_view forced = {});

std::string to_json(const Containment&);
// What `to_json` wrote; nothing if it is anything else. An orchestrator probes once and tells its keepers: probing
// takes longer than starting a task.
std::optional<Containment> containment_from_json(const std::string& text);

// In a child that was just cloned with the flags of `clone_flags_for`: maps its user to itself and mounts /proc.
int clone_flags_for(const Containment&);
void settle_in_namespaces(const Containment&, unsigned uid, unsigned gid);

// fork() with flags (CLONE_NEW...), one thread only. Returns as fork does; `pidfd` is set in the parent.
int fork_with(int flags, int* pidfd);

}  // namespace overnight::workers
