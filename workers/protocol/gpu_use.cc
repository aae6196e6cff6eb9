#include "workers/protocol/gpu_use.h"

#include <algorithm>

#include "workers/protocol/describe_gpu_use.h"

namespace overnight::workers {
namespace {

std::int64_t lower_known(std::int64_t a, std::int64_t b) { return a < 0 ? b : b < 0 ? a : std::min(a, b); }

void add_words(std::vector<std::string>& words, const std::vector<std::string>& more) {
  for (const std::string& word : more) {
    if (std::ranges::find(words, word) == words.end()) words.push_back(word);
  }
}

void add(GpuUse& sum, const GpuUse& more) {
  sum.judged_ms += more.judged_ms;
  sum.slowed_ms += more.slowed_ms;
  add_words(sum.slowed_by, more.slowed_by);
  if (more.energy_mj >= 0) sum.energy_mj = std::max<std::int64_t>(0, sum.energy_mj) + more.energy_mj;
  sum.energy_ms += more.energy_ms;
  sum.energy_from_power = sum.energy_from_power || more.energy_from_power;
  const std::int64_t samples = sum.clock_samples + more.clock_samples;
  if (samples > 0)
    sum.clock_mean_mhz = (sum.clock_mean_mhz * sum.clock_samples + more.clock_mean_mhz * more.clock_samples) / samples;
  sum.clock_samples = samples;
  sum.clock_min_mhz = lower_known(sum.clock_min_mhz, more.clock_min_mhz);
  sum.memory_peak_bytes = std::max(sum.memory_peak_bytes, more.memory_peak_bytes);
}

}  // namespace

std::string to_json(const std::vector<GpuUse>& uses) {
  return Writer::json_of(uses).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

budgets::Result<std::vector<GpuUse>, ProtocolError> gpu_uses_from_json(std::string_view text) {
  return parsed<std::vector<GpuUse>>([&]() -> std::vector<GpuUse> {
    const auto json = parse_strictly(text, gpu_uses_bytes_max);
    std::vector<GpuUse> uses;
    Reader::read(json, uses, "gpus");
    check_uses(uses);
    return uses;
  });
}

void add_uses(std::vector<GpuUse>& sum, const std::vector<GpuUse>& more) {
  for (const GpuUse& use : more) {
    const auto found = std::ranges::find(sum, use.uuid, &GpuUse::uuid);
    if (found == sum.end()) {
      sum.push_back(use);
    } else {
      add(*found, use);
    }
  }
}

std::string_view name_of(Throttling throttling) {
  switch (throttling) {
    case Throttling::no:
      return "no";
    case Throttling::yes:
      return "yes";
    case Throttling::unknown:
      return "unknown";
  }
  return "unknown";
}

Throttling throttling_of(const std::vector<GpuUse>& uses, std::int64_t ran_ms) {
  const auto slowed = [](const GpuUse& use) { return use.slowed_ms * 100 > use.judged_ms * throttled_percent; };
  const auto judged = [&](const GpuUse& use) {
    return use.judged_ms > 0 && use.judged_ms * 100 >= ran_ms * judged_percent;
  };
  if (std::ranges::any_of(uses, slowed)) return Throttling::yes;
  return !uses.empty() && std::ranges::all_of(uses, judged) ? Throttling::no : Throttling::unknown;
}

std::vector<std::string> slowed_by(const std::vector<GpuUse>& uses) {
  std::vector<std::string> words;
  for (const GpuUse& use : uses) add_words(words, use.slowed_by);
  return words;
}

std::int64_t slowed_percent(const std::vector<GpuUse>& uses) {
  std::int64_t most = -1;
  for (const GpuUse& use : uses) {
    if (use.judged_ms > 0) most = std::max(most, (use.slowed_ms * 100 + use.judged_ms / 2) / use.judged_ms);
  }
  return most;
}

GpuEnergy energy_of(const std::vector<GpuUse>& uses, std::int64_t ran_ms) {
  GpuEnergy energy{-1, !uses.empty()};
  for (const GpuUse& use : uses) {
    if (use.energy_mj >= 0) energy.mj = std::max<std::int64_t>(0, energy.mj) + use.energy_mj;
    energy.complete = energy.complete && use.energy_mj >= 0 && use.energy_ms * 100 >= ran_ms * energy_covered_percent;
  }
  return energy;
}

}  // namespace overnight::workers
