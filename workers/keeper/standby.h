// A keeper that was started ahead of need (workers/protocol/standby.h), until it gets its order.
#pragma once

#include <optional>
#include <string>

namespace overnight::workers {

// Waits for the path on the control socket and takes it, leaving what follows. None: the orchestrator is gone, or
// it does not speak our protocol.
std::optional<std::string> await_order_path(int control);

// Shows `ORDER` as the only argument in /proc/PID/cmdline: argv[1] and argv[2] give the room, what does not fit is left
// as it was.
void show_as_argument(char** argv, const std::string& order_path);

}  // namespace overnight::workers
