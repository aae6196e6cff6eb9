// Everything, for programs. Numbers carry their unit in the name; what is unknown is null.
#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "orchestrator/core/codec.h"
#include "orchestrator/report/budget_lines.h"
#include "orchestrator/report/tradeoffs.h"
#include "orchestrator/report/words.h"
#include "orchestrator/report/writers.h"

namespace overnight::report {
namespace {

using json = nlohmann::ordered_json;

json params_json(const core::Params& params) {
  json out = json::object();
  for (const auto& [name, value] : params) std::visit([&, &key = name](const auto& v) { out[key] = v; }, value);
  return out;
}

json interval_json(const std::optional<evals::Interval>& interval) {
  if (!interval) return nullptr;
  return {{"low", interval->low}, {"high", interval->high}, {"confidence", evals::usual_confidence}};
}

json cost_json(const budgets::Cost& cost) {
  return {{"slot_ms", cost.slot_time.count()},
          {"gpu_ms", cost.gpu_time.count()},
          {"llm_micro_usd", cost.money.count()},
          {"llm_tokens", cost.tokens.count()},
          {"disk_bytes", cost.disk.count()}};
}

json energy_json(const workers::GpuEnergy& energy) {
  return {{"mj", energy.mj < 0 ? json(nullptr) : json(energy.mj)}, {"complete", energy.complete}};
}

// Null: the study asks for no GPUs.
json throttled_json(const Throttled& throttled) {
  if (throttled.all == 0) return nullptr;
  return {{"yes", throttled.yes}, {"unknown", throttled.unknown}, {"of", throttled.all}, {"slowed_by", throttled.by}};
}

json gpus_json(const Findings& found, core::TrialId trial) {
  const auto at = found.gpus.find(trial);
  if (at == found.gpus.end()) return nullptr;
  const GpuFacts& facts = at->second;
  return {{"throttled", workers::name_of(facts.throttling)},
          {"slowed_percent", facts.slowed_percent < 0 ? json(nullptr) : json(facts.slowed_percent)},
          {"slowed_by", facts.slowed_by},
          {"energy", energy_json(facts.energy)}};
}

json result_json(const Result& result) {
  json out{{"experiment", core::number(result.record->experiment)},
           {"rank", result.place.rank},
           {"tied", result.place.tied},
           {"score", result.estimate.mean},
           {"n", result.estimate.n},
           {"interval", interval_json(result.estimate.interval)},
           {"interval_from_pooled_noise", result.estimate.pooled},
           {"confirmed", result.confirmed()},
           {"self_reported", result.self_reported},
           {"seeds", result.seeds},
           {"search_score", result.search.n > 0 ? json(result.search.mean) : json(nullptr)},
           {"proposer", result.record->proposer},
           {"params", params_json(result.record->params)},
           {"cost", cost_json(result.used)},
           {"throttled", throttled_json(result.throttled)},
           {"gpu_energy", energy_json(result.energy)}};
  if (result.gain)
    out["gain_over_baseline"] = {{"value", result.gain->value}, {"interval", interval_json(result.gain->interval)}};
  return out;
}

json tradeoffs_json(const ReportData& data, const Findings& found) {
  json out = json::array();
  const Tradeoffs tradeoffs = tradeoffs_of(data, found);
  for (const Weighed& point : tradeoffs.points) {
    json costs = json::object();
    for (std::size_t i = 0; i < tradeoffs.metrics.size(); ++i) costs[tradeoffs.metrics[i]] = point.costs[i];
    out.push_back({{"experiment", core::number(point.result->record->experiment)},
                   {"mean", point.result->judged().mean},
                   {"costs", costs},
                   {"not_beaten", point.best}});
  }
  return out;
}

json run_json(const ReportData& data) {
  const core::Run& run = data.run;
  json out{{"id", run.id.text},
           {"study", run.study.name},
           {"owner", run.study.owner},
           {"purpose", run.study.purpose},
           {"metric", run.study.objective.metric},
           {"direction", run.minimizes() ? "minimize" : "maximize"},
           {"minimum_effect", run.study.objective.minimum_effect},
           {"seed", run.study.seed},
           {"started_unix_ms", run.started.ms()},
           {"wall_used_ms", run.wall_used.count()},
           {"end", nullptr}};
  if (run.end)
    out["end"] = {{"kind", core::name_of(run.end->kind)}, {"reason", run.end->reason}, {"unix_ms", run.end->wall.ms()}};
  if (run.halt)
    out["halt"] = {
        {"requested_unix_ms", run.halt->requested_wall.ms()},
        {"attempts", run.halt->attempts},
        {"confirmed_after_ms", run.halt->confirmed_after ? json(run.halt->confirmed_after->count()) : json(nullptr)}};
  return out;
}

json budgets_json(const ReportData& data) {
  json out = json::array();
  for (const BudgetLine& line : budget_lines(data.run))
    out.push_back({{"budget", line.name},
                   {"unit", line.unit},
                   {"granted", line.limited ? json(line.granted) : json(nullptr)},
                   {"settled", line.settled},
                   {"overrun", line.overrun},
                   {"reserved", line.reserved}});
  return out;
}

json proposers_json(const Findings& found) {
  json out = json::array();
  for (const Credit& credit : found.credits)
    out.push_back({{"proposer", credit.proposer},
                   {"asked", credit.book.asks},
                   {"offered", credit.book.offered},
                   {"admitted", credit.book.admitted},
                   {"duplicates", credit.book.duplicates},
                   {"refused", credit.book.refused},
                   {"failed_asks", credit.book.failures},
                   {"experiments_scored", credit.scored},
                   {"experiments_failed", credit.failed},
                   {"slot_ms", credit.slot_time.count()},
                   {"llm_micro_usd", credit.book.used.money.count()},
                   {"llm_tokens", credit.book.used.tokens.count()},
                   {"best_experiment",
                    credit.best ? json(core::number(found.ranked[*credit.best].record->experiment)) : json(nullptr)}});
  return out;
}

json experiments_json(const ReportData& data) {
  json out = json::array();
  for (const core::ExperimentRecord& record : data.experiments) {
    json parents = json::array();
    for (const core::ExperimentId parent : record.parents) parents.push_back(core::number(parent));
    out.push_back({{"experiment", core::number(record.experiment)},
                   {"proposer", record.proposer},
                   {"status", record.status},
                   {"admitted_unix_ms", record.admitted.ms()},
                   {"hash", record.hash},
                   {"parents", parents},
                   {"params", params_json(record.params)},
                   {"hypothesis", record.hypothesis}});
  }
  return out;
}

json trials_json(const ReportData& data, const Findings& found) {
  json out = json::array();
  for (const core::TrialRecord& trial : data.trials)
    out.push_back({{"trial", core::number(trial.trial)},
                   {"experiment", core::number(trial.experiment)},
                   {"purpose", core::name_of(trial.purpose)},
                   {"seed", trial.seed},
                   {"score", trial.score ? json(*trial.score) : json(nullptr)},
                   {"self_reported", trial.self_reported},
                   {"cause", workers::name_of(trial.cause)},
                   {"phase", workers::name_of(trial.phase)},
                   {"detail", trial.detail},
                   {"metrics", trial.metrics},
                   {"attempts", trial.attempts},
                   {"cost", cost_json(trial.used)},
                   {"gpus", gpus_json(found, trial.trial)},
                   {"finished_unix_ms", trial.finished.ms()}});
  return out;
}

json failures_json(const Findings& found) {
  json out = json::array();
  for (const Failure& failure : found.failures)
    out.push_back({{"cause", workers::name_of(failure.cause)},
                   {"phase", workers::name_of(failure.phase)},
                   {"attempts", failure.attempts},
                   {"slot_ms", failure.lost_ms},
                   {"example_attempt", core::number(failure.example->attempt)},
                   {"example", failure.example->detail}});
  return out;
}

bool names_a_secret(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  for (const char* word : {"key", "token", "secret", "passw", "credential", "auth"}) {
    if (name.find(word) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

std::string to_json(const ReportData& data, const Findings& found) {
  json ranked = json::array();
  for (const Result& result : found.ranked) ranked.push_back(result_json(result));
  json out{{"format", "overnight-report-1"},
           {"written_unix_ms", data.written.ms()},
           {"run", run_json(data)},
           {"verdict", {{"headline", found.verdict.headline}, {"caveats", found.verdict.caveats}}},
           {"noise", nullptr},
           {"baseline", found.baseline ? result_json(*found.baseline) : json(nullptr)},
           {"ranking", ranked},
           {"tradeoffs", tradeoffs_json(data, found)},
           {"budgets", budgets_json(data)},
           {"failures", failures_json(found)},
           {"proposers", proposers_json(found)},
           {"experiments", experiments_json(data)},
           {"trials", trials_json(data, found)},
           {"journal", {{"home", data.home_uuid}, {"entries", data.journal_entries}, {"head", data.journal_head}}}};
  if (found.noise)
    out["noise"] = {{"standard_deviation", found.noise->deviation}, {"degrees_of_freedom", found.noise->degrees}};
  // Bytes that are no UTF-8 are replaced; NaN and infinity become null.
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string study_words(const core::Study& study) {
  core::Study shown = study;
  if (!shown.webhook.empty()) shown.webhook = "(left out: it may hold a secret)";
  for (auto& [name, value] : shown.task.env) {
    if (names_a_secret(name)) value = "(left out: it may be a secret)";
  }
  return nlohmann::json(shown).dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace overnight::report
