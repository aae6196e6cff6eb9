// What a dead keeper left behind. Its wardens and tasks become children of this process, which is their subreaper; all
// of them bear a mark that a task cannot take off, whatever it does to its name, environment, session or parents: the
// keeper lowers a hard limit by one (workers/protocol/mark.h), which is inherited and never rises again.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <set>

namespace overnight::executors {

struct OrphanTally {
  int killed = 0;
  int left = 0;  // still there when the time was over (uninterruptible); 0 is what is promised
};

// Stops, kills and reaps every marked process below this one, but for `keepers` (which live) and what is below them.
OrphanTally kill_orphans(const std::set<pid_t>& keepers);

// The same for an attempt of an earlier life, whose processes have other parents now: by the folder that their
// environment names. Finds only what did not hide; what hid was killed by its keeper or its namespace.
OrphanTally kill_leftovers(const std::filesystem::path& folder);

}  // namespace overnight::executors
