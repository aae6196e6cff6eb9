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
  int pidfd = -1;    // readable when it has ended; owned by the caller
  int channel = -1;  // our end of the socket; owned by the caller
};

// Starts `keeper ORDER` in a session of its own, its channel at descriptor 3, its output in `log`.
budgets::Result<StartedKeeper, std::string> start_keeper(const std::filesystem::path& keeper,
                                                         const std::filesystem::path& order,
                                                         const std::filesystem::path& log);

// "pid starttime": names one process for ever, even when its pid is used again.
std::string identity_of(pid_t pid);
// A pidfd for the process that `identity` names, if it still lives.
std::optional<int> reopen(const std::string& identity, pid_t& pid);

// Kills every descendant that this process adopted and whose environment names `folder`; returns how many there were.
int kill_orphans(const std::filesystem::path& folder);

bool write_durably(const std::filesystem::path& path, const std::string& text, std::string& error);

}  // namespace overnight::executors
