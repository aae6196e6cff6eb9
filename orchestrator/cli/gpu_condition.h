// How a GPU is now, as `overnight doctor` shows it: asked at once, and put into words. What could not be asked says
// why.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "workers/nvml/nvml.h"

namespace overnight::cli {

struct GpuCondition {
  workers::NvmlAnswer<workers::ComputeCapability> capability;
  workers::NvmlAnswer<workers::GpuMemory> memory;
  workers::NvmlAnswer<bool> ecc;
  workers::NvmlAnswer<workers::EccErrors> uncorrected;
  workers::NvmlAnswer<std::int64_t> sm_clock_mhz, sm_clock_max_mhz;
  workers::NvmlAnswer<std::int64_t> memory_clock_mhz, memory_clock_max_mhz;
  workers::NvmlAnswer<std::int64_t> temperature_celsius;
  workers::NvmlAnswer<std::int64_t> power_mw, power_limit_mw, power_limit_default_mw;
  bool full_power = false;  // whether the limit is known to be no lower than the default
  workers::NvmlAnswer<workers::ClockReasons> reasons;
};

GpuCondition condition_of(const workers::Nvml& nvml, workers::Nvml::Device gpu);

// A line each: "power        120 W of 700 W".
std::vector<std::string> condition_lines(const GpuCondition& condition);
// Null where it could not be asked; "not_known" says why, by the name of the field.
nlohmann::json condition_json(const GpuCondition& condition);

}  // namespace overnight::cli
