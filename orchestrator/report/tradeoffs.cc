#include "orchestrator/report/tradeoffs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "evals/pareto.h"
#include "orchestrator/report/words.h"

namespace overnight::report {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

using Attempts = std::map<core::AttemptId, const core::AttemptRecord*>;

// What overnight measured itself stands before what a task says under the same name.
double cost_of(const std::string& metric, const core::TrialRecord& trial, const Attempts& attempts) {
  const auto at = attempts.find(trial.last_attempt);
  if (metric == core::train_seconds) {
    if (at == attempts.end() || !at->second->phase_ms.contains("train")) return unknown;
    return static_cast<double>(at->second->phase_ms.at("train")) / 1000;
  }
  if (metric == core::memory_peak_bytes)
    return at == attempts.end() ? unknown : static_cast<double>(at->second->memory_peak_bytes);
  const auto told = trial.metrics.find(metric);
  return told == trial.metrics.end() ? unknown : told->second;
}

// Whether the result is judged by this trial.
bool counts(const Result& result, const core::TrialRecord& trial) {
  return trial.score && trial.purpose != core::Purpose::canary &&
         (trial.purpose == core::Purpose::confirm) == result.confirmed();
}

// As far as a cost is compared: to two significant digits.
double coarse(double cost) {
  if (cost == 0 || !std::isfinite(cost)) return cost;
  const double unit = std::pow(10, std::floor(std::log10(std::abs(cost))) - 1);
  return std::round(cost / unit) * unit;
}

double in_steps(double score, double effect) { return effect > 0 ? std::round(score / effect) : score; }

}  // namespace

bool Weighed::complete() const {
  return std::none_of(costs.begin(), costs.end(), [](double cost) { return std::isnan(cost); });
}

Tradeoffs tradeoffs_of(const ReportData& data, const Findings& found) {
  Tradeoffs out;
  for (const auto& [metric, direction] : data.run.study.objective.tradeoffs) {
    out.metrics.push_back(metric);
    out.directions.push_back(direction);
  }
  if (out.metrics.empty()) return out;
  Attempts attempts;
  for (const core::AttemptRecord& attempt : data.attempts) attempts.emplace(attempt.attempt, &attempt);
  std::map<core::ExperimentId, std::size_t> places;
  const auto add = [&](const Result& result) {
    places.emplace(result.record->experiment, out.points.size());
    out.points.push_back({&result, std::vector<double>(out.metrics.size(), 0), {}, false});
  };
  if (found.baseline) add(*found.baseline);
  for (const Result& result : found.ranked) add(result);
  for (const core::TrialRecord& trial : data.trials) {
    const auto at = places.find(trial.experiment);
    if (at == places.end() || !counts(*out.points[at->second].result, trial)) continue;
    Weighed& point = out.points[at->second];
    for (std::size_t i = 0; i < out.metrics.size(); ++i)
      point.costs[i] += cost_of(out.metrics[i], trial, attempts) / static_cast<double>(point.result->judged().n);
  }
  std::vector<std::vector<double>> losses;
  for (Weighed& point : out.points) {
    point.losses = {data.run.loss(in_steps(point.result->judged().mean, data.run.study.objective.minimum_effect))};
    for (std::size_t i = 0; i < point.costs.size(); ++i)
      point.losses.push_back(coarse(point.costs[i]) * (out.directions[i] == core::Direction::minimize ? 1 : -1));
    losses.push_back(point.losses);
    if (!point.complete()) ++out.incomplete;
  }
  for (const std::size_t best : evals::pareto_front(losses)) out.points[best].best = true;
  return out;
}

std::string cost_words(const std::string& metric, double value) {
  if (!std::isfinite(value)) return "–";
  const bool representable = std::abs(value) < 1e15;
  if (representable && metric.ends_with("_seconds")) return duration_words(std::llround(value * 1000));
  if (representable && metric.find("bytes") != std::string::npos && metric.find("_per_") == std::string::npos)
    return bytes_words(std::llround(value));
  return number_words(value);
}

}  // namespace overnight::report
