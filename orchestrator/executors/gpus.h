// The NVIDIA GPUs of this machine and who uses them, by NVML, which is loaded when it is there and never required.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "orchestrator/executors/slots.h"
#include "workers/nvml/nvml.h"

namespace overnight::executors {

struct GpusFound {
  std::vector<GpuFound> found;
  std::string note;  // why there are none, or what could not be asked
};

GpusFound find_gpus(const workers::Nvml& nvml);
GpusFound find_gpus(const std::string& library = workers::nvml_library);

// The same, to be asked again and again: the library is loaded and initialised once (on real machines that takes long).
// May be called from any thread.
std::function<GpusFound()> gpu_source(const std::string& library = workers::nvml_library);

// The first user of the GPU that is not below this process; empty: none. A process that cannot be seen from here (it
// has just ended, or lives in another container) is foreign only if `strict`.
std::string foreign_user(const GpuFound& gpu, bool strict);

}  // namespace overnight::executors
