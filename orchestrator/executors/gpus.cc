// NVML's functions are declared here by hand, after NVIDIA's published API: the header is not everywhere, the library
// comes with the driver. Tested against a library of our own that answers like it; never yet run on a real GPU.
#include "orchestrator/executors/gpus.h"

#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <memory>
#include <mutex>
#include <sstream>

namespace overnight::executors {
namespace {

using Device = void*;
constexpr int nvml_success = 0;
constexpr int nvml_insufficient_size = 7;
constexpr std::size_t text_max = 96;
constexpr unsigned processes_max = 64;
constexpr int ancestors_max = 1024;  // of a process; a chain that is longer is broken

struct ProcessInfo {  // nvmlProcessInfo_v2_t
  unsigned pid;
  unsigned long long used_memory;
  unsigned gpu_instance;
  unsigned compute_instance;
};

// The library, initialised; shut down and closed at the end.
class Nvml {
 public:
  explicit Nvml(const std::string& name) : library_(dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL), close) {
    if (!library_) return;
    const auto init = get<int (*)()>("nvmlInit_v2");
    answers_ = init != nullptr && init() == nvml_success;
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;
  ~Nvml() {
    const auto shutdown = answers_ ? get<int (*)()>("nvmlShutdown") : nullptr;
    if (shutdown != nullptr) shutdown();
  }

  GpusFound look() const {
    if (!library_) return {{}, "no NVIDIA driver (libnvidia-ml.so.1 is not here)"};
    const auto count_of = get<int (*)(unsigned*)>("nvmlDeviceGetCount_v2");
    const auto handle = get<int (*)(unsigned, Device*)>("nvmlDeviceGetHandleByIndex_v2");
    if (!answers_ || count_of == nullptr || handle == nullptr) return {{}, "the NVIDIA driver does not answer"};
    GpusFound gpus;
    unsigned count = 0;
    if (count_of(&count) != nvml_success) gpus.note = "the NVIDIA driver counts no GPUs";
    for (unsigned i = 0; i < count; ++i) {
      Device device = nullptr;
      if (handle(i, &device) == nvml_success) gpus.found.push_back(gpu_of(device));
    }
    return gpus;
  }

 private:
  static int close(void* library) { return library != nullptr ? dlclose(library) : 0; }

  template <typename Function>
  Function get(const char* name) const {
    return reinterpret_cast<Function>(dlsym(library_.get(), name));
  }

  std::string text_of(const char* function, Device device) const {
    const auto ask = get<int (*)(Device, char*, unsigned)>(function);
    std::array<char, text_max> text{};
    return ask != nullptr && ask(device, text.data(), text_max) == nvml_success ? std::string(text.data()) : "";
  }

  GpuFound gpu_of(Device device) const {
    GpuFound gpu{text_of("nvmlDeviceGetUUID", device), text_of("nvmlDeviceGetName", device), "", {}};
    if (gpu.uuid.empty()) gpu.used_by = "its UUID cannot be asked for";
    using Ask = int (*)(Device, unsigned*, ProcessInfo*);
    Ask processes = get<Ask>("nvmlDeviceGetComputeRunningProcesses_v3");
    if (processes == nullptr) processes = get<Ask>("nvmlDeviceGetComputeRunningProcesses_v2");
    std::array<ProcessInfo, processes_max> found{};
    unsigned count = processes_max;
    const int status = processes == nullptr ? -1 : processes(device, &count, found.data());
    if (status == nvml_insufficient_size) {
      gpu.used_by = "more than " + std::to_string(processes_max) + " processes";
    } else if (status != nvml_success) {
      gpu.used_by = "its users cannot be asked for";  // unknown is not free
    } else {
      for (unsigned i = 0; i < count; ++i) gpu.users.push_back(static_cast<int>(found[i].pid));
    }
    return gpu;
  }

  std::unique_ptr<void, int (*)(void*)> library_;
  bool answers_ = false;
};

// -1: the process cannot be seen.
int parent_of(int pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::ostringstream read;  // not by the buffer's iterators: a process that ends meanwhile would be an exception
  read << in.rdbuf();
  const std::string text = read.str();
  const std::size_t close = text.rfind(')');
  if (close == std::string::npos) return -1;
  std::istringstream fields(text.substr(close + 1));
  std::string state;
  int parent = -1;
  fields >> state >> parent;
  return parent;
}

enum class Kinship { ours, foreign, unseen };

Kinship kinship_of(int pid) {
  if (parent_of(pid) < 0) return Kinship::unseen;
  for (int i = 0; i < ancestors_max && pid > 0; ++i) {
    if (pid == getpid()) return Kinship::ours;
    pid = parent_of(pid);
  }
  return Kinship::foreign;
}

}  // namespace

GpusFound find_gpus(const std::string& library) {
  GpusFound gpus = Nvml(library).look();
  for (GpuFound& gpu : gpus.found) gpu.used_by = foreign_user(gpu, true);
  return gpus;
}

std::function<GpusFound()> gpu_source(const std::string& library) {
  struct Source {
    std::mutex one_at_a_time;
    std::unique_ptr<Nvml> nvml;
  };
  return [library, source = std::make_shared<Source>()] {
    const std::lock_guard<std::mutex> turn(source->one_at_a_time);
    if (!source->nvml) source->nvml = std::make_unique<Nvml>(library);
    return source->nvml->look();
  };
}

std::string foreign_user(const GpuFound& gpu, bool strict) {
  if (!gpu.used_by.empty()) return gpu.used_by;
  for (const int pid : gpu.users) {
    const Kinship kinship = kinship_of(pid);
    if (kinship == Kinship::foreign) return "process " + std::to_string(pid);
    if (kinship == Kinship::unseen && strict) return "process " + std::to_string(pid) + " (not visible from here)";
  }
  return "";
}

}  // namespace overnight::executors
