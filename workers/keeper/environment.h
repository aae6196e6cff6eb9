// The environment of a phase: nothing is inherited but what the order names.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "workers/keeper/inherited.h"
#include "workers/protocol/order.h"

namespace overnight::workers {

// Where a phase works; folders of the attempt. Train and build share one place, evaluate has its own (README.md).
struct PhasePlace {
  std::string work;
  std::string home;
  std::string temporary;
};

// Later wins: defaults, private folders, env_pass, order.env, phase.env, the phase's secrets, then what belongs to the
// keeper (OVERNIGHT_..., CUDA_VISIBLE_DEVICES). `inherited` is the orchestrator's environment, of which only USER,
// LOGNAME, env_pass and the phase's secrets are used.
std::map<std::string, std::string> environment_of(const Order&, const PhaseOrder&, const PhasePlace&,
                                                  const InheritedEnvironment& inherited, std::int64_t deadline_unix_ms,
                                                  const std::string& program_folder);

// The file that `name` means: itself if it holds a '/', else the first executable in PATH; empty if there is none.
// Relative folders are taken from `work`.
std::string find_program(const std::string& name, const std::string& path, const std::string& work);

}  // namespace overnight::workers
