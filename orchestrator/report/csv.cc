// All finished trials, one a row (RFC 4180, CRLF between rows, UTF-8). Parameters and metrics each have a column;
// numbers stand bare, texts in quotes.
#include <fmt/format.h>

#include <set>

#include "orchestrator/report/words.h"
#include "orchestrator/report/writers.h"

namespace overnight::report {
namespace {

constexpr std::size_t metric_columns_max = 64;  // a task may report what it likes, a table must stay one

std::string exact(double value) { return fmt::format("{}", value); }  // the shortest text that reads back the same

std::string value_field(const core::Params& params, const std::string& name) {
  const auto found = params.find(name);
  if (found == params.end()) return "";
  if (const auto* text = std::get_if<std::string>(&found->second)) return csv(*text);
  if (const auto* number = std::get_if<double>(&found->second)) return exact(*number);
  return core::text_of(found->second);
}

// throttled (yes, no, unknown), slowed_percent, slowed_by, gpu_energy_mj; empty where there are no GPUs, or unknown.
std::string gpu_fields(const Findings& found, core::TrialId trial) {
  const auto at = found.gpus.find(trial);
  if (at == found.gpus.end()) return ",,,,";
  const GpuFacts& facts = at->second;
  std::string by;
  for (const std::string& reason : facts.slowed_by) by += (by.empty() ? "" : ", ") + reason;
  return fmt::format(",{},{},{},{}", workers::name_of(facts.throttling),
                     facts.slowed_percent < 0 ? "" : std::to_string(facts.slowed_percent), csv(by),
                     facts.energy.mj < 0 ? "" : std::to_string(facts.energy.mj));
}

std::set<std::string> metric_names(const ReportData& data) {
  std::set<std::string> names;
  for (const core::TrialRecord& trial : data.trials) {
    for (const auto& [name, _] : trial.metrics) {
      if (names.size() < metric_columns_max) names.insert(name);
    }
  }
  return names;
}

std::set<std::string> parameter_names(const ReportData& data) {
  std::set<std::string> names;
  for (const core::Dimension& dimension : data.run.study.space.dimensions) names.insert(dimension.name);
  for (const core::ExperimentRecord& record : data.experiments) {
    for (const auto& [name, _] : record.params) names.insert(name);
  }
  return names;
}

}  // namespace

std::string to_csv(const ReportData& data, const Findings& found) {
  const auto params = parameter_names(data);
  const auto metrics = metric_names(data);
  std::string out =
      "run,trial,experiment,proposer,purpose,seed,metric,score,self_reported,cause,phase,detail,attempts,slot_ms,gpu_"
      "ms,"
      "disk_bytes,finished_utc,finished_unix_ms,throttled,slowed_percent,slowed_by,gpu_energy_mj";
  for (const std::string& name : params) out += "," + csv("param_" + name);
  for (const std::string& name : metrics) out += "," + csv("metric_" + name);
  out += ",hypothesis\r\n";
  const core::ExperimentRecord none;
  for (const core::TrialRecord& trial : data.trials) {
    const auto at = found.records.find(trial.experiment);
    const core::ExperimentRecord& record = at == found.records.end() ? none : *at->second;
    out += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}", csv(data.run.id.text),
                       core::number(trial.trial), core::number(trial.experiment), csv(record.proposer),
                       core::name_of(trial.purpose), trial.seed, csv(data.run.study.objective.metric),
                       trial.score ? exact(*trial.score) : "", trial.self_reported, workers::name_of(trial.cause),
                       workers::name_of(trial.phase), csv(trial.detail), trial.attempts, trial.used.slot_time.count(),
                       trial.used.gpu_time.count(), trial.used.disk.count(), iso_words(trial.finished.ms()),
                       trial.finished.ms());
    out += gpu_fields(found, trial.trial);
    for (const std::string& name : params) out += "," + value_field(record.params, name);
    for (const std::string& name : metrics) {
      const auto value = trial.metrics.find(name);
      out += "," + (value == trial.metrics.end() ? std::string() : exact(value->second));
    }
    out += "," + csv(record.hypothesis) + "\r\n";
  }
  return out;
}

}  // namespace overnight::report
