// The NVIDIA GPUs of this machine, by NVML, which is loaded when it is there and never required.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/executors/slots.h"

namespace overnight::executors {

struct GpusFound {
  std::vector<GpuFound> found;
  std::string note;  // why there are none, or what could not be asked
};

GpusFound find_gpus();

}  // namespace overnight::executors
