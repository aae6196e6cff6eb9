// What a run found out: results ranked with ties, the noise they are judged by, and the verdict in a sentence. Pure.
//
// How results are judged:
//   1. A confirmed experiment is judged by its confirmation alone (fresh seeds): the score that put it among the best
//      was chosen for being good, and is too good on average. Confirmed ones stand first.
//   2. The others follow by the scores of the search, and are no verdict, however good they look.
//   3. All experiments of a stage run on the same seeds. Differences are taken as if the seeds were independent, which
//      errs on the careful side when a seed shifts all scores alike; a paired comparison would see more.
//   4. Whether the best confirmed one beats the baseline is asked with a confidence that is corrected for having chosen
//      it among all that were confirmed.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "evals/ranking.h"
#include "evals/statistics.h"
#include "orchestrator/report/gpu_facts.h"
#include "orchestrator/report/report_data.h"

namespace overnight::report {

// Measurements by whether their GPUs were slowed meanwhile; all 0 if the study asks for no GPUs.
struct Throttled {
  std::int64_t yes = 0, unknown = 0, all = 0;
  std::set<std::string> by;  // what slowed them
};

// Behind a score in plain text: " ‡", " ‡?" where it is not known, or nothing.
inline std::string throttled_mark(const Throttled& throttled) {
  return throttled.yes > 0 ? " ‡" : throttled.unknown > 0 ? " ‡?" : "";
}

// One experiment with its scores. Points into the ReportData that it was found in.
struct Result {
  const core::ExperimentRecord* record = nullptr;
  evals::Sample search;  // of the search; of the baseline: its replicates
  evals::Sample confirm;
  std::vector<std::int64_t> seeds;  // of the trials that `judged` is made of
  std::int64_t failed = 0;          // trials without a score
  budgets::Cost used;               // all attempts of all trials
  bool self_reported = false;       // at least one score came from the training process itself
  Throttled throttled;              // of the trials that `judged` is made of
  workers::GpuEnergy energy;        // all attempts of all trials; unknown too where there are no GPUs

  // For ranked results and the baseline.
  evals::Estimate estimate;
  std::optional<evals::Difference> gain;  // over the baseline; positive is better, whatever the direction
  evals::Place place;

  bool confirmed() const { return confirm.n > 0; }
  const evals::Sample& judged() const { return confirmed() ? confirm : search; }
};

// What failed, by what went wrong and where. Attempts that were cut short by a halt or a crash of ours are no failures.
struct Failure {
  core::Cause cause = core::Cause::crash;
  core::Phase phase = core::Phase::train;
  std::int64_t attempts = 0;
  std::int64_t lost_ms = 0;  // slot time
  const core::AttemptRecord* example = nullptr;
};

struct Credit {
  std::string proposer;
  core::ProposerBook book;
  std::int64_t scored = 0, failed = 0;  // experiments
  budgets::SlotMillis slot_time;        // of its experiments
  std::optional<std::size_t> best;      // its best result, an index in `ranked`
};

enum class VerdictKind {
  better,       // the best confirmed result beats the baseline
  tie,          // no difference could be shown
  worse,        // the best confirmed result is worse than the baseline
  unconfirmed,  // there are scores, but none was measured again
  no_baseline,  // there is nothing to compare with
  nothing,      // no experiment has a score
  no_start,     // the baseline could not be measured
};

struct Verdict {
  VerdictKind kind = VerdictKind::nothing;
  std::string headline;                   // one sentence
  std::optional<evals::Difference> gain;  // of the best confirmed over the baseline, corrected for the choice
  std::vector<std::string> caveats;       // what one must know to believe it rightly, a sentence each
  std::string log_tail;                   // of a baseline that failed
};

struct Findings {
  std::vector<Result> ranked;  // scored experiments but the baseline, best first
  std::size_t confirmed = 0;   // so many of them, at the front
  std::optional<Result> baseline;
  std::optional<evals::Noise> noise;
  std::vector<Failure> failures;  // most frequent first
  std::vector<Credit> credits;    // in the order of the study
  std::map<core::ExperimentId, const core::ExperimentRecord*> records;
  std::int64_t measurements = 0;           // scored experiments of the search: among so many the best was chosen
  bool self_reported = false;              // any score was
  std::map<core::TrialId, GpuFacts> gpus;  // of each trial; empty if the study asks for no GPUs
  Throttled throttled;                     // all scores but of canaries
  workers::GpuEnergy energy;               // all attempts of finished trials
  Verdict verdict;
};

// `data` must outlive what is returned.
Findings findings_of(const ReportData& data);

std::string rank_words(const evals::Place& place);  // "2="
std::string ending_words(const ReportData& data);   // how it ended, in a sentence; "still running"

}  // namespace overnight::report
