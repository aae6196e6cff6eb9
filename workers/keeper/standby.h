// A keeper that was started ahead of need (workers/protocol/standby.h), until it gets its order.
#pragma once

#include <optional>
#include <string>

namespace overnight::workers {

// Waits for the path on the control socket and takes it, leaving what follows. None: the orchestrator is gone, or
// it does not speak our protocol.
std::optional<std::string> await_order_path(int control);

// Where /proc/PID/cmdline reads argv[1] and argv[2], kept for this process and what it forks.
void remember_arguments(char** argv);

// Shows `text` there as the only argument; what does not fit, or is said where nothing was remembered, is left out.
void show_as_argument(const std::string& text);

}  // namespace overnight::workers
