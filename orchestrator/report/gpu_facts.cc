#include "orchestrator/report/gpu_facts.h"

#include <fmt/format.h>

#include <algorithm>

#include "orchestrator/report/words.h"

namespace overnight::report {
namespace {

std::string joules_words(std::int64_t mj) {
  const double joules = static_cast<double>(mj) / 1000;
  if (joules < 1000) return fmt::format("{:.0f} J", joules);
  if (joules < 1e6) return fmt::format("{:.1f} kJ", joules / 1e3);
  return fmt::format("{:.2f} MJ", joules / 1e6);
}

}  // namespace

workers::GpuEnergy sum_of(const workers::GpuEnergy& a, const workers::GpuEnergy& b) {
  const std::int64_t mj = std::max<std::int64_t>(0, a.mj) + std::max<std::int64_t>(0, b.mj);
  return {a.mj < 0 && b.mj < 0 ? -1 : mj, a.complete && b.complete};
}

GpuFacts gpu_facts_of(const std::vector<workers::GpuUse>& gpus, const std::map<std::string, std::int64_t>& phase_ms) {
  std::int64_t ran_ms = 0;
  for (const auto& [_, ms] : phase_ms) ran_ms += ms;
  return {workers::throttling_of(gpus, ran_ms), workers::slowed_percent(gpus), workers::slowed_by(gpus),
          workers::energy_of(gpus, ran_ms)};
}

GpuFacts gpu_facts_after(const std::optional<GpuFacts>& earlier, const core::AttemptRecord& attempt) {
  if (earlier && attempt.gpus.empty() && attempt.phase_ms.empty()) return *earlier;  // it never ran
  GpuFacts facts = gpu_facts_of(attempt.gpus, attempt.phase_ms);
  if (earlier) facts.energy = sum_of(earlier->energy, facts.energy);
  return facts;
}

std::map<core::TrialId, GpuFacts> gpu_facts(const ReportData& data) {
  std::map<core::TrialId, GpuFacts> facts;
  if (data.run.study.task.gpus == 0) return facts;
  std::map<core::TrialId, std::optional<GpuFacts>> by_trial;
  for (const core::AttemptRecord& attempt : data.attempts) {
    std::optional<GpuFacts>& so_far = by_trial[attempt.trial];
    so_far = gpu_facts_after(so_far, attempt);
  }
  for (const core::TrialRecord& trial : data.trials) facts[trial.trial] = by_trial[trial.trial].value_or(GpuFacts{});
  return facts;
}

std::string energy_words(const workers::GpuEnergy& energy) {
  if (energy.mj < 0) return "unknown";
  return (energy.complete ? "" : "at least ") + joules_words(energy.mj);
}

std::string throttling_words(const GpuFacts& facts) {
  if (facts.throttling != workers::Throttling::yes) return std::string(workers::name_of(facts.throttling));
  std::string words = fmt::format("{} % of the time", facts.slowed_percent);
  for (std::size_t i = 0; i < facts.slowed_by.size(); ++i) words += (i == 0 ? ": " : ", ") + facts.slowed_by[i];
  return words;
}

}  // namespace overnight::report
