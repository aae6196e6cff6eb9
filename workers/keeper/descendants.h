// All processes below one, found by their parent in /proc: the tier that works wherever /proc does. For it to be
// complete the root must be a child subreaper (orphans come to it) or the init of a PID namespace.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace overnight::workers {

struct Descendant {
  pid_t pid = 0;
  char state = '?';  // as in /proc/PID/stat; 'Z' is already dead
  std::int64_t rss_pages = 0;
};

// Zombies included. Order: parents before children.
std::vector<Descendant> descendants_of(pid_t root);

// The same for counting: where the kernel lists children (CONFIG_PROC_CHILDREN) it costs only as much as the tree is
// large, not as the machine is busy. It may miss what is born or orphaned during the walk; killing uses the other.
std::vector<Descendant> descendants_to_count(pid_t root);

struct KillTally {
  std::int64_t survivors = 0;  // alive when the time was over (uninterruptible)
};

// Stops all descendants (so that they cannot fork), kills them, waits for their ends, and repeats until none is left or
// `deadline_ms` (monotonic) has passed. Reaps what becomes a child of the caller. `spared`, a process in a session of
// its own and without children, is none of them; 0: nobody is.
KillTally kill_descendants(pid_t root, std::int64_t deadline_ms, pid_t spared = 0);

// Reaps all children that have ended; adds their CPU time (with that of the children they reaped) to `cpu_ms` and the
// largest resident size of any single process to `largest_rss_bytes`.
void reap_children(std::int64_t& cpu_ms, std::int64_t& largest_rss_bytes);

}  // namespace overnight::workers
