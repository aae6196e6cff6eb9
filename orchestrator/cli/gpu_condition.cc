#include "orchestrator/cli/gpu_condition.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "orchestrator/cli/terminal.h"

namespace overnight::cli {
namespace {

using nlohmann::json;
using workers::GpuClock;
using workers::NvmlAnswer;

// The answer in words, else why there is none.
template <typename T, typename Words>
std::string words_or_why(const NvmlAnswer<T>& answer, Words words) {
  return answer ? std::string(words(*answer)) : answer.error().explain;
}

std::string of_words(const NvmlAnswer<std::int64_t>& now, const NvmlAnswer<std::int64_t>& most, const char* unit,
                     std::int64_t per_unit = 1) {
  const auto number = [&](std::int64_t value) { return std::to_string((value + per_unit / 2) / per_unit); };
  if (now && most) return number(*now) + " of " + number(*most) + " " + unit;
  if (now) return number(*now) + " " + unit + "; the most: " + most.error().explain;
  return now.error().explain + (most ? ", of " + number(*most) + " " + unit : "");
}

std::string ecc_words(const GpuCondition& c) {
  if (!c.ecc) return c.ecc.error().explain;
  if (!*c.ecc) return "off";
  return "on; uncorrected errors: " + words_or_why(c.uncorrected, [](const workers::EccErrors& errors) {
           return fmt::format("{} since the driver was loaded, {} in its lifetime", errors.since_boot,
                              errors.in_lifetime);
         });
}

std::string reasons_words(workers::ClockReasons reasons, bool full_power) {
  if (reasons == 0) return "by nothing";
  std::string words = "by ";
  const workers::ClockReasons slow = workers::slowing(reasons, full_power);
  for (const std::string& one : workers::words_of(slow)) words += (words == "by " ? "" : ", ") + one + " (slowing)";
  for (const std::string& one : workers::words_of(reasons & ~slow))
    words += (words == "by " ? "" : ", ") + one + " (harmless)";
  return words;
}

// Of a power limit that somebody lowered.
std::string built_for_words(const GpuCondition& c) {
  if (c.full_power || !c.power_limit_mw || !c.power_limit_default_mw) return "";
  return ", built for " + std::to_string((*c.power_limit_default_mw + 500) / 1000) + " W";
}

std::string capability_words(const workers::ComputeCapability& capability) {
  return fmt::format("{}.{}", capability.major, capability.minor);
}

// Fields by name: null with the reason apart, where there is no answer.
class Fields {
 public:
  template <typename T, typename Value>
  void add(const char* name, const NvmlAnswer<T>& answer, Value value) {
    out_[name] = answer ? json(value(*answer)) : json(nullptr);
    if (!answer) not_known_[name] = answer.error().explain;
  }
  void add(const char* name, const NvmlAnswer<std::int64_t>& answer) {
    add(name, answer, [](std::int64_t number) { return number; });
  }
  json take() {
    out_["not_known"] = not_known_;
    return std::move(out_);
  }

 private:
  json out_ = json::object(), not_known_ = json::object();
};

}  // namespace

GpuCondition condition_of(const workers::Nvml& nvml, workers::Nvml::Device gpu) {
  return {nvml.compute_capability(gpu),
          nvml.memory(gpu),
          nvml.ecc_mode(gpu),
          nvml.uncorrected_errors(gpu),
          nvml.clock_mhz(gpu, GpuClock::sm),
          nvml.clock_max_mhz(gpu, GpuClock::sm),
          nvml.clock_mhz(gpu, GpuClock::memory),
          nvml.clock_max_mhz(gpu, GpuClock::memory),
          nvml.temperature_celsius(gpu),
          nvml.power_mw(gpu),
          nvml.power_limit_mw(gpu),
          nvml.power_limit_default_mw(gpu),
          nvml.full_power(gpu),
          nvml.clock_reasons(gpu)};
}

std::vector<std::string> condition_lines(const GpuCondition& c) {
  return {"capability   " + words_or_why(c.capability, capability_words),
          "memory       " + words_or_why(c.memory,
                                         [](const workers::GpuMemory& memory) {
                                           return bytes_words(memory.free_bytes) + " free of " +
                                                  bytes_words(memory.total_bytes);
                                         }),
          "ecc          " + ecc_words(c),
          "clocks       SM " + of_words(c.sm_clock_mhz, c.sm_clock_max_mhz, "MHz") + ", memory " +
              of_words(c.memory_clock_mhz, c.memory_clock_max_mhz, "MHz"),
          "held down    " +
              words_or_why(c.reasons, [&](workers::ClockReasons all) { return reasons_words(all, c.full_power); }),
          "temperature  " +
              words_or_why(c.temperature_celsius, [](std::int64_t celsius) { return std::to_string(celsius) + " C"; }),
          "power        " + of_words(c.power_mw, c.power_limit_mw, "W", 1000) + built_for_words(c)};
}

json condition_json(const GpuCondition& c) {
  Fields fields;
  fields.add("compute_capability", c.capability, capability_words);
  fields.add("memory_total_bytes", c.memory, [](const auto& memory) { return memory.total_bytes; });
  fields.add("memory_free_bytes", c.memory, [](const auto& memory) { return memory.free_bytes; });
  fields.add("ecc", c.ecc, [](bool on) { return on; });
  fields.add("uncorrected_errors_since_boot", c.uncorrected, [](const auto& errors) { return errors.since_boot; });
  fields.add("uncorrected_errors_in_lifetime", c.uncorrected, [](const auto& errors) { return errors.in_lifetime; });
  fields.add("sm_clock_mhz", c.sm_clock_mhz);
  fields.add("sm_clock_max_mhz", c.sm_clock_max_mhz);
  fields.add("memory_clock_mhz", c.memory_clock_mhz);
  fields.add("memory_clock_max_mhz", c.memory_clock_max_mhz);
  fields.add("temperature_celsius", c.temperature_celsius);
  fields.add("power_mw", c.power_mw);
  fields.add("power_limit_mw", c.power_limit_mw);
  fields.add("power_limit_default_mw", c.power_limit_default_mw);
  fields.add("slowed_by", c.reasons,
             [&](workers::ClockReasons all) { return workers::words_of(workers::slowing(all, c.full_power)); });
  fields.add("held_harmlessly_by", c.reasons,
             [&](workers::ClockReasons all) { return workers::words_of(all & ~workers::slowing(all, c.full_power)); });
  return fields.take();
}

}  // namespace overnight::cli
