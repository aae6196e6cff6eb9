// NVIDIA's management library (NVML), loaded when it is there and never required. A resource: initialised once, shut
// down at its end. Each question is answered by the driver at once or refused with a reason; a question that a driver
// is too old for is refused as not supported. A driver in trouble may take long to answer: ask where nobody waits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "budgets/result.h"
#include "workers/nvml/clock_reasons.h"

namespace overnight::workers {

inline constexpr const char* nvml_library = "libnvidia-ml.so.1";

struct NvmlError {
  bool not_supported = false;  // by this GPU or this driver: asking again gives the same
  std::string explain;         // "not supported", "the GPU is lost", ...
  bool operator==(const NvmlError&) const = default;
};

template <typename T>
using NvmlAnswer = budgets::Result<T, NvmlError>;

struct ComputeCapability {
  int major = 0, minor = 0;
};

struct GpuMemory {
  std::int64_t total_bytes = 0, free_bytes = 0, used_bytes = 0;
};

struct EccErrors {
  std::int64_t since_boot = 0;   // NVML's volatile counter: since the driver was loaded
  std::int64_t in_lifetime = 0;  // its aggregate counter
};

enum class GpuClock { sm, memory };

class Nvml {
 public:
  using Device = void*;
  static constexpr unsigned processes_max = 64;

  explicit Nvml(const std::string& library = nvml_library);
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;
  ~Nvml();

  std::string complaint() const;  // why it cannot be asked anything; empty: it can

  NvmlAnswer<std::string> driver_version() const;
  NvmlAnswer<std::string> cuda_version() const;  // the newest that the driver supports: "12.4"
  NvmlAnswer<unsigned> count() const;
  NvmlAnswer<Device> device(unsigned index) const;
  NvmlAnswer<Device> device(const std::string& uuid) const;

  NvmlAnswer<std::string> uuid(Device) const;
  NvmlAnswer<std::string> name(Device) const;
  NvmlAnswer<std::vector<int>> compute_processes(Device) const;  // pids; more than processes_max are an error
  NvmlAnswer<ComputeCapability> compute_capability(Device) const;
  NvmlAnswer<GpuMemory> memory(Device) const;
  NvmlAnswer<bool> ecc_mode(Device) const;  // as it is now, not what is pending
  NvmlAnswer<EccErrors> uncorrected_errors(Device) const;
  NvmlAnswer<std::int64_t> clock_mhz(Device, GpuClock) const;
  NvmlAnswer<std::int64_t> clock_max_mhz(Device, GpuClock) const;
  NvmlAnswer<std::int64_t> temperature_celsius(Device) const;
  NvmlAnswer<std::int64_t> power_mw(Device) const;
  NvmlAnswer<std::int64_t> power_limit_mw(Device) const;  // that is enforced
  NvmlAnswer<std::int64_t> power_limit_default_mw(Device) const;
  bool full_power(Device) const;                     // whether the first is known to be no lower than the second
  NvmlAnswer<std::int64_t> energy_mj(Device) const;  // since the driver was loaded
  NvmlAnswer<ClockReasons> clock_reasons(Device) const;

 private:
  template <typename... Arguments>
  int call(const char* function, Arguments... arguments) const;
  NvmlAnswer<std::int64_t> number(const char* function, Device device) const;
  NvmlAnswer<std::string> text(const char* function, Device device) const;

  std::unique_ptr<void, int (*)(void*)> library_;
  bool answers_ = false;
};

}  // namespace overnight::workers
