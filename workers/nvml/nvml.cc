// NVML's functions are called here as NVIDIA publishes them. Each returns a status; what it tells is written where its
// last argument points. Names without a version are those that every driver since 450 has.
#include "workers/nvml/nvml.h"

#include <dlfcn.h>

#include <array>

namespace overnight::workers {
namespace {

using budgets::unexpected;

constexpr int success = 0;
constexpr int no_permission = 4;
constexpr int not_supported = 3;
constexpr int not_found = 6;
constexpr int insufficient_size = 7;
constexpr int timeout = 10;
constexpr int function_not_found = 13;
constexpr int gpu_is_lost = 15;
constexpr int reset_required = 16;

constexpr unsigned text_max = 96;
constexpr int uncorrected = 1;
constexpr int volatile_counter = 0;
constexpr int aggregate_counter = 1;
constexpr int sensor_of_gpu = 0;

struct ProcessInfo {  // nvmlProcessInfo_v2_t
  unsigned pid;
  unsigned long long used_memory;
  unsigned gpu_instance;
  unsigned compute_instance;
};

struct MemoryInfo {  // nvmlMemory_t
  unsigned long long total, free, used;
};

struct Temperature {  // nvmlTemperature_v1_t
  unsigned version;   // its size, and its own version in the highest byte
  int sensor;
  int celsius;
};

int close_library(void* library) { return library != nullptr ? dlclose(library) : 0; }

NvmlError error_of(int status) {
  switch (status) {
    case not_supported:
      return {true, "not supported"};
    case function_not_found:
      return {true, "not supported by this driver"};
    case no_permission:
      return {false, "not permitted"};
    case not_found:
      return {false, "the driver does not know this GPU"};
    case timeout:
      return {false, "the driver did not answer in time"};
    case gpu_is_lost:
      return {false, "the GPU is lost"};
    case reset_required:
      return {false, "the GPU needs a reset"};
    default:
      return {false, "the driver refuses (NVML status " + std::to_string(status) + ")"};
  }
}

int number_of(GpuClock clock) { return clock == GpuClock::sm ? 1 : 2; }

}  // namespace

template <typename... Arguments>
int Nvml::call(const char* function, Arguments... arguments) const {
  if (!library_) return function_not_found;
  const auto found = reinterpret_cast<int (*)(Arguments...)>(dlsym(library_.get(), function));
  return found != nullptr ? found(arguments...) : function_not_found;
}

Nvml::Nvml(const std::string& library) : library_(dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL), close_library) {
  answers_ = call("nvmlInit_v2") == success;
}

Nvml::~Nvml() {
  if (answers_) call("nvmlShutdown");
}

std::string Nvml::complaint() const {
  if (!library_) return "no NVIDIA driver (libnvidia-ml.so.1 is not here)";
  return answers_ ? "" : "the NVIDIA driver does not answer";
}

NvmlAnswer<std::int64_t> Nvml::number(const char* function, Device device) const {
  unsigned value = 0;
  const int status = call(function, device, &value);
  if (status != success) return unexpected(error_of(status));
  return std::int64_t{value};
}

NvmlAnswer<std::string> Nvml::text(const char* function, Device device) const {
  std::array<char, text_max> value{};
  const int status = call(function, device, value.data(), text_max);
  if (status != success) return unexpected(error_of(status));
  return std::string(value.data());
}

NvmlAnswer<std::string> Nvml::driver_version() const {
  std::array<char, text_max> value{};
  const int status = call("nvmlSystemGetDriverVersion", value.data(), text_max);
  if (status != success) return unexpected(error_of(status));
  return std::string(value.data());
}

NvmlAnswer<std::string> Nvml::cuda_version() const {
  int version = 0;
  const int status = call("nvmlSystemGetCudaDriverVersion", &version);
  if (status != success) return unexpected(error_of(status));
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

NvmlAnswer<unsigned> Nvml::count() const {
  unsigned count = 0;
  const int status = call("nvmlDeviceGetCount_v2", &count);
  if (status != success) return unexpected(error_of(status));
  return count;
}

NvmlAnswer<Nvml::Device> Nvml::device(unsigned index) const {
  Device device = nullptr;
  const int status = call("nvmlDeviceGetHandleByIndex_v2", index, &device);
  if (status != success) return unexpected(error_of(status));
  return device;
}

NvmlAnswer<Nvml::Device> Nvml::device(const std::string& uuid) const {
  Device device = nullptr;
  const int status = call("nvmlDeviceGetHandleByUUID", uuid.c_str(), &device);
  if (status != success) return unexpected(error_of(status));
  return device;
}

NvmlAnswer<std::string> Nvml::uuid(Device device) const { return text("nvmlDeviceGetUUID", device); }

NvmlAnswer<std::string> Nvml::name(Device device) const { return text("nvmlDeviceGetName", device); }

NvmlAnswer<std::vector<int>> Nvml::compute_processes(Device device) const {
  std::array<ProcessInfo, processes_max> found{};
  int status = function_not_found;
  unsigned count = 0;
  for (const char* function : {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"}) {
    count = processes_max;
    status = call(function, device, &count, found.data());
    if (status != function_not_found) break;
  }
  if (status == insufficient_size)
    return unexpected(NvmlError{false, "more than " + std::to_string(processes_max) + " processes"});
  if (status != success) return unexpected(error_of(status));
  std::vector<int> pids;
  for (unsigned i = 0; i < count; ++i) pids.push_back(static_cast<int>(found[i].pid));
  return pids;
}

NvmlAnswer<ComputeCapability> Nvml::compute_capability(Device device) const {
  ComputeCapability capability;
  const int status = call("nvmlDeviceGetCudaComputeCapability", device, &capability.major, &capability.minor);
  if (status != success) return unexpected(error_of(status));
  return capability;
}

NvmlAnswer<GpuMemory> Nvml::memory(Device device) const {
  MemoryInfo memory{};
  const int status = call("nvmlDeviceGetMemoryInfo", device, &memory);
  if (status != success) return unexpected(error_of(status));
  return GpuMemory{static_cast<std::int64_t>(memory.total), static_cast<std::int64_t>(memory.free),
                   static_cast<std::int64_t>(memory.used)};
}

NvmlAnswer<bool> Nvml::ecc_mode(Device device) const {
  int current = 0, pending = 0;
  const int status = call("nvmlDeviceGetEccMode", device, &current, &pending);
  if (status != success) return unexpected(error_of(status));
  return current != 0;
}

NvmlAnswer<EccErrors> Nvml::uncorrected_errors(Device device) const {
  unsigned long long recent = 0, all = 0;
  int status = call("nvmlDeviceGetTotalEccErrors", device, uncorrected, volatile_counter, &recent);
  if (status == success) status = call("nvmlDeviceGetTotalEccErrors", device, uncorrected, aggregate_counter, &all);
  if (status != success) return unexpected(error_of(status));
  return EccErrors{static_cast<std::int64_t>(recent), static_cast<std::int64_t>(all)};
}

NvmlAnswer<std::int64_t> Nvml::clock_mhz(Device device, GpuClock clock) const {
  unsigned value = 0;
  const int status = call("nvmlDeviceGetClockInfo", device, number_of(clock), &value);
  if (status != success) return unexpected(error_of(status));
  return std::int64_t{value};
}

NvmlAnswer<std::int64_t> Nvml::clock_max_mhz(Device device, GpuClock clock) const {
  unsigned value = 0;
  const int status = call("nvmlDeviceGetMaxClockInfo", device, number_of(clock), &value);
  if (status != success) return unexpected(error_of(status));
  return std::int64_t{value};
}

NvmlAnswer<std::int64_t> Nvml::temperature_celsius(Device device) const {
  unsigned value = 0;
  int status = call("nvmlDeviceGetTemperature", device, sensor_of_gpu, &value);
  if (status == function_not_found) {  // since CUDA 13 it has a successor
    Temperature told{sizeof(Temperature) | 1U << 24, sensor_of_gpu, 0};
    status = call("nvmlDeviceGetTemperatureV", device, &told);
    if (status == success) return std::int64_t{told.celsius};
  }
  if (status != success) return unexpected(error_of(status));
  return std::int64_t{value};
}

NvmlAnswer<std::int64_t> Nvml::power_mw(Device device) const { return number("nvmlDeviceGetPowerUsage", device); }

NvmlAnswer<std::int64_t> Nvml::power_limit_mw(Device device) const {
  return number("nvmlDeviceGetEnforcedPowerLimit", device);
}

NvmlAnswer<std::int64_t> Nvml::power_limit_default_mw(Device device) const {
  return number("nvmlDeviceGetPowerManagementDefaultLimit", device);
}

bool Nvml::full_power(Device device) const {
  const auto limit = power_limit_mw(device), usual = power_limit_default_mw(device);
  return limit && usual && *usual > 0 && *limit >= *usual;
}

NvmlAnswer<std::int64_t> Nvml::energy_mj(Device device) const {
  unsigned long long value = 0;
  const int status = call("nvmlDeviceGetTotalEnergyConsumption", device, &value);
  if (status != success) return unexpected(error_of(status));
  return static_cast<std::int64_t>(value);
}

// The first name is in every driver; should one drop it, the second is its successor.
NvmlAnswer<ClockReasons> Nvml::clock_reasons(Device device) const {
  unsigned long long value = 0;
  int status = function_not_found;
  for (const char* function : {"nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetCurrentClocksEventReasons"}) {
    status = call(function, device, &value);
    if (status != function_not_found) break;
  }
  if (status != success) return unexpected(error_of(status));
  return ClockReasons{value};
}

}  // namespace overnight::workers
