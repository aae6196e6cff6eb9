// Starting and ending the program overnight-worker, and what the kernel says of it. Small wrappers over Linux calls; no
// decisions.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>

#include "budgets/result.h"

namespace overnight::executors {

struct StartedKeeper {
  pid_t pid = -1;
  int pidfd = -1;        // readable when it has ended; owned by the caller
  int channel = -1;      // our end of the socket; owned by the caller
  std::string identity;  // identity_of(pid)
};

// What `keeper --probe` says of this machine, to be handed to each keeper; empty if it cannot be run. Blocks.
std::string probe_containment(const std::filesystem::path& keeper);

// Starts a keeper that waits for its order (workers/protocol/standby.h), in a session of its own, its channel at
// descriptor 3.
budgets::Result<StartedKeeper, std::string> start_keeper(const std::filesystem::path& keeper,
                                                         const std::string& containment);

// "pid starttime": names one process for ever, even when its pid is used again.
std::string identity_of(pid_t pid);
// A pidfd for the keeper that `identity` names, if it still lives and is one.
std::optional<int> reopen(const std::string& identity, pid_t& pid);

// Removes what a task left in an attempt's folder, with the keeper's own means (overnight-worker --tidy). Blocks.
void tidy_folder(const std::filesystem::path& keeper, const std::filesystem::path& folder);

// A new file with that text; its descriptor, or -1 with `error`. `make_durable` flushes it to the disk and closes it.
int write_new(const std::filesystem::path& path, const std::string& text, std::string& error);
bool make_durable(int fd);

// The first `most` bytes of a file; empty if it cannot be read.
std::string read_bounded(const std::filesystem::path& path, std::size_t most);

// A message that fits the socket's buffer, at once or not at all.
bool send_whole(int socket, const std::string& message);

}  // namespace overnight::executors
