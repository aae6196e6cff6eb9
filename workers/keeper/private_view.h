// What a phase sees of the file system, where it has a mount namespace of its own: not the private data of other
// phases, nothing of the home but its own folder, read-only mounts read-only, shared memory and System V objects of its
// own. Where there is no mount namespace nothing of this holds, and `overnight doctor` says so. Values.
//
// What it does not do: a task that is root can read the disk below the file system; a path that leads to hidden data
// another way (a hard link, another mount of the same disk) stays open.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace overnight::workers {

struct PrivateView {
  std::vector<std::string> hidden;       // files and folders that look empty
  std::vector<std::string> read_only;    // with all that is mounted below
  std::string enclosure;                 // looks empty but for `folder`, which lies in it; empty: none
  std::string folder;                    // the attempt's
  std::int64_t shared_memory_bytes = 0;  // of /dev/shm; 0: the kernel's default
  bool operator==(const PrivateView&) const = default;
};

// In a child with a mount namespace of its own from which no mount leaks out. Returns 0, or errno of what was refused:
// then the phase must not start. Paths that do not exist are left out.
int narrow_view(const PrivateView&);

// Gives up, for this process and all that it starts, what even root does not need to train: looking into other
// processes, mounting, devices, the kernel. A task that is root could undo its own view and limits otherwise.
void drop_capabilities();

}  // namespace overnight::workers
