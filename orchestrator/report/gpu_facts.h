// Whether the GPUs of a trial were slowed while it was measured, and the energy that it took. Pure. What its keeper
// could not ask is unknown, and shown as unknown.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/report/report_data.h"
#include "workers/protocol/gpu_use.h"

namespace overnight::report {

struct GpuFacts {
  workers::Throttling throttling = workers::Throttling::unknown;  // of its last attempt, which gave the score
  std::int64_t slowed_percent = -1;                               // likewise; of the GPU that was slowed most
  std::vector<std::string> slowed_by;                             // likewise
  workers::GpuEnergy energy;                                      // of all its attempts
  bool operator==(const GpuFacts&) const = default;
};

// One attempt: what its GPUs did, and how long each of its phases took.
GpuFacts gpu_facts_of(const std::vector<workers::GpuUse>& gpus, const std::map<std::string, std::int64_t>& phase_ms);
// A trial, after the next of its attempts; `earlier`: of those before, if there were any.
GpuFacts gpu_facts_after(const std::optional<GpuFacts>& earlier, const core::AttemptRecord& attempt);

// Of every finished trial; empty if the study asks for no GPUs.
std::map<core::TrialId, GpuFacts> gpu_facts(const ReportData& data);

workers::GpuEnergy sum_of(const workers::GpuEnergy& a, const workers::GpuEnergy& b);

std::string energy_words(const workers::GpuEnergy& energy);  // "12.3 kJ", "at least 950 J", "unknown"
// "no", "unknown", "12 % of the time: software power cap". The reasons come from a meter; they are not escaped.
std::string throttling_words(const GpuFacts& facts);

}  // namespace overnight::report
