// NVML's functions are declared here by hand, after NVIDIA's published API: the header is not everywhere, the library
// comes with the driver. Nothing of this has been run on a GPU yet.
#include "orchestrator/executors/gpus.h"

#include <dlfcn.h>

#include <array>
#include <memory>

namespace overnight::executors {
namespace {

using Device = void*;
constexpr int nvml_success = 0;
constexpr int nvml_insufficient_size = 7;
constexpr std::size_t text_max = 96;
constexpr unsigned processes_max = 64;

struct ProcessInfo {  // nvmlProcessInfo_v2_t
  unsigned pid;
  unsigned long long used_memory;
  unsigned gpu_instance;
  unsigned compute_instance;
};

struct Nvml {
  std::unique_ptr<void, int (*)(void*)> library{dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL),
                                                [](void* l) { return l != nullptr ? dlclose(l) : 0; }};

  template <typename Function>
  Function get(const char* name) const {
    return reinterpret_cast<Function>(dlsym(library.get(), name));
  }
};

std::string text_of(int (*get)(Device, char*, unsigned), Device device) {
  std::array<char, text_max> text{};
  return get != nullptr && get(device, text.data(), text_max) == nvml_success ? std::string(text.data()) : "";
}

std::string users_of(const Nvml& nvml, Device device) {
  const auto processes = nvml.get<int (*)(Device, unsigned*, ProcessInfo*)>("nvmlDeviceGetComputeRunningProcesses_v2");
  if (processes == nullptr) return "its users cannot be asked for";
  std::array<ProcessInfo, processes_max> found{};
  unsigned count = processes_max;
  const int status = processes(device, &count, found.data());
  if (status == nvml_insufficient_size) return "more than " + std::to_string(processes_max) + " processes";
  if (status != nvml_success) return "its users cannot be asked for";
  return count == 0 ? "" : "process " + std::to_string(found[0].pid);
}

}  // namespace

GpusFound find_gpus() {
  Nvml nvml;
  if (!nvml.library) return {{}, "no NVIDIA driver (libnvidia-ml.so.1 is not here)"};
  const auto init = nvml.get<int (*)()>("nvmlInit_v2");
  const auto shutdown = nvml.get<int (*)()>("nvmlShutdown");
  const auto count_of = nvml.get<int (*)(unsigned*)>("nvmlDeviceGetCount_v2");
  const auto handle = nvml.get<int (*)(unsigned, Device*)>("nvmlDeviceGetHandleByIndex_v2");
  const auto uuid = nvml.get<int (*)(Device, char*, unsigned)>("nvmlDeviceGetUUID");
  const auto name = nvml.get<int (*)(Device, char*, unsigned)>("nvmlDeviceGetName");
  if (init == nullptr || count_of == nullptr || handle == nullptr || init() != nvml_success)
    return {{}, "the NVIDIA driver does not answer"};
  GpusFound gpus;
  unsigned count = 0;
  if (count_of(&count) != nvml_success) gpus.note = "the NVIDIA driver counts no GPUs";
  for (unsigned i = 0; i < count; ++i) {
    Device device = nullptr;
    if (handle(i, &device) != nvml_success) continue;
    gpus.found.push_back({text_of(uuid, device), text_of(name, device), users_of(nvml, device)});
  }
  if (shutdown != nullptr) shutdown();
  return gpus;
}

}  // namespace overnight::executors
