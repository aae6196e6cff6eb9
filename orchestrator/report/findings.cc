#include "orchestrator/report/findings.h"

#include <algorithm>
#include <utility>

#include "orchestrator/report/verdict.h"

namespace overnight::report {
namespace {

using core::Purpose;

bool cut_short(core::Cause cause) { return cause == core::Cause::stopped || cause == core::Cause::lease_lost; }

// Scores of one experiment, trial after trial. Canaries only tell whether the machine is well.
void fold(Result& result, const core::TrialRecord& trial) {
  result.used = result.used + trial.used;
  if (trial.purpose == Purpose::canary) return;
  if (!trial.score) {
    if (!cut_short(trial.cause)) ++result.failed;
    return;
  }
  result.self_reported = result.self_reported || trial.self_reported;
  (trial.purpose == Purpose::confirm ? result.confirm : result.search).add(*trial.score);
}

void fold(Throttled& throttled, const GpuFacts& facts) {
  ++throttled.all;
  throttled.yes += facts.throttling == workers::Throttling::yes;
  throttled.unknown += facts.throttling == workers::Throttling::unknown;
  if (facts.throttling == workers::Throttling::yes) throttled.by.insert(facts.slowed_by.begin(), facts.slowed_by.end());
}

// Which trials' GPUs were slowed, and what energy they took: of each result and of all.
void add_gpus(const ReportData& data, std::map<core::ExperimentId, Result>& results, Findings& found) {
  found.gpus = gpu_facts(data);
  found.energy.complete = !found.gpus.empty();
  for (auto& [_, result] : results) result.energy.complete = !found.gpus.empty();
  for (const core::TrialRecord& trial : data.trials) {
    const auto facts = found.gpus.find(trial.trial);
    const auto result = results.find(trial.experiment);
    if (facts == found.gpus.end() || result == results.end()) continue;
    found.energy = sum_of(found.energy, facts->second.energy);
    result->second.energy = sum_of(result->second.energy, facts->second.energy);
    if (!trial.score || trial.purpose == Purpose::canary) continue;
    fold(found.throttled, facts->second);
    if ((trial.purpose == Purpose::confirm) == result->second.confirmed())
      fold(result->second.throttled, facts->second);
  }
}

std::map<core::ExperimentId, Result> results_of(const ReportData& data) {
  std::map<core::ExperimentId, Result> results;
  for (const core::ExperimentRecord& record : data.experiments) results[record.experiment].record = &record;
  for (const core::TrialRecord& trial : data.trials) {
    const auto found = results.find(trial.experiment);
    if (found != results.end()) fold(found->second, trial);
  }
  for (const core::TrialRecord& trial : data.trials) {
    const auto found = results.find(trial.experiment);
    if (found == results.end() || !trial.score || trial.purpose == Purpose::canary) continue;
    if ((trial.purpose == Purpose::confirm) == found->second.confirmed()) found->second.seeds.push_back(trial.seed);
  }
  return results;
}

// Confirmed ones by their confirmation, then the others by the search; equal scores in the order of admission.
void rank(const core::Run& run, Findings& found) {
  std::stable_sort(found.ranked.begin(), found.ranked.end(), [&](const Result& a, const Result& b) {
    if (a.confirmed() != b.confirmed()) return a.confirmed();
    const double x = run.loss(a.judged().mean), y = run.loss(b.judged().mean);
    return x != y ? x < y : core::number(a.record->experiment) < core::number(b.record->experiment);
  });
  found.confirmed = static_cast<std::size_t>(
      std::count_if(found.ranked.begin(), found.ranked.end(), [](const Result& r) { return r.confirmed(); }));
  for (const auto& [from, to] : {std::pair{std::size_t{0}, found.confirmed}, {found.confirmed, found.ranked.size()}}) {
    std::vector<evals::Sample> group;
    for (std::size_t i = from; i < to; ++i) group.push_back(found.ranked[i].judged());
    const auto places = evals::places(group, found.noise, run.study.objective.minimum_effect);
    for (std::size_t i = from; i < to; ++i) {
      found.ranked[i].place = places[i - from];
      found.ranked[i].place.rank += static_cast<std::int64_t>(from);
    }
  }
}

std::optional<evals::Noise> noise_of(const Findings& found) {
  std::vector<evals::OnCommonSeeds> repeated(2);  // all confirmations have the same seeds, which no baseline saw
  if (found.baseline) repeated[0].push_back(found.baseline->judged());
  for (const Result& result : found.ranked) {
    if (result.confirmed()) repeated[1].push_back(result.confirm);
  }
  return evals::pooled_noise(repeated);
}

std::vector<Failure> failures_of(const ReportData& data) {
  std::map<std::pair<core::Cause, core::Phase>, Failure> groups;
  for (const core::AttemptRecord& attempt : data.attempts) {
    if (attempt.cause == core::Cause::completed || cut_short(attempt.cause)) continue;
    Failure& group = groups[{attempt.cause, attempt.phase}];
    group.cause = attempt.cause;
    group.phase = attempt.phase;
    ++group.attempts;
    group.lost_ms += attempt.took.count();
    if (group.example == nullptr || (group.example->log_tail.empty() && !attempt.log_tail.empty()))
      group.example = &attempt;
  }
  std::vector<Failure> failures;
  for (auto& [_, group] : groups) failures.push_back(group);
  std::stable_sort(failures.begin(), failures.end(),
                   [](const Failure& a, const Failure& b) { return a.attempts > b.attempts; });
  return failures;
}

std::vector<Credit> credits_of(const ReportData& data, const Findings& found,
                               const std::map<core::ExperimentId, Result>& results) {
  std::vector<Credit> credits;
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < data.run.study.proposers.size(); ++i) {
    Credit credit;
    credit.proposer = data.run.study.proposers[i].name;
    if (i < data.run.proposers.size()) credit.book = data.run.proposers[i];
    index.emplace(credit.proposer, credits.size());
    credits.push_back(std::move(credit));
  }
  for (const auto& [_, result] : results) {
    const core::ExperimentRecord& record = *result.record;
    if (record.purpose == Purpose::baseline || record.purpose == Purpose::canary) continue;
    if (!index.contains(record.proposer)) {  // enqueued by hand or by an agent
      index.emplace(record.proposer, credits.size());
      credits.emplace_back().proposer = record.proposer;
    }
    Credit& credit = credits[index.at(record.proposer)];
    credit.slot_time += result.used.slot_time;
    if (result.search.n + result.confirm.n > 0) {
      ++credit.scored;
    } else if (result.failed > 0) {
      ++credit.failed;
    }
  }
  for (std::size_t i = 0; i < found.ranked.size(); ++i) {
    Credit& credit = credits[index.at(found.ranked[i].record->proposer)];
    if (!credit.best) credit.best = i;
  }
  return credits;
}

}  // namespace

Findings findings_of(const ReportData& data) {
  Findings found;
  auto results = results_of(data);
  add_gpus(data, results, found);
  for (auto& [id, result] : results) {
    found.records.emplace(id, result.record);
    found.self_reported = found.self_reported || result.self_reported;
    if (result.judged().n == 0) continue;
    if (result.record->purpose == Purpose::baseline) {
      found.baseline = result;
    } else {
      found.ranked.push_back(result);
      ++found.measurements;
    }
  }
  found.noise = noise_of(found);
  rank(data.run, found);
  if (found.baseline) found.baseline->estimate = evals::estimate(found.baseline->judged(), found.noise);
  for (Result& result : found.ranked) {
    result.estimate = evals::estimate(result.judged(), found.noise);
    if (found.baseline) result.gain = gain_over_baseline(data.run, result, found, evals::usual_confidence);
  }
  found.failures = failures_of(data);
  found.credits = credits_of(data, found, results);
  found.verdict = verdict_of(data, found);
  return found;
}

std::string rank_words(const evals::Place& place) { return std::to_string(place.rank) + (place.tied ? "=" : ""); }

}  // namespace overnight::report
