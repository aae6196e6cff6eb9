// A study: what the researcher writes, after parsing and checking (orchestrator/study/). A value; it does not change
// while a run lives. Defaults are written here once and nowhere else.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "budgets/governor/breaker.h"
#include "budgets/time.h"
#include "budgets/units.h"
#include "orchestrator/core/space.h"

namespace overnight::core {

using budgets::Millis;
using budgets::seconds;

enum class Direction { minimize, maximize };

inline constexpr const char* train_seconds = "train_seconds";  // of the phase train, the budget's signal included
inline constexpr const char* memory_peak_bytes = "memory_peak_bytes";  // of all phases
inline constexpr std::size_t tradeoffs_max = 6;

struct Objective {
  std::string metric;
  Direction direction = Direction::minimize;
  double minimum_effect = 0;  // smaller differences are ties
  // What a better score may cost, by name: metrics of the trials, or one of those below, which overnight measures
  // itself. Reports set the results against them; they rank nothing.
  std::map<std::string, Direction> tradeoffs = {};
  bool operator==(const Objective&) const = default;
};

// How a phase is run. `budget` (train only) reached is a planned end; `timeout` reached is a failure.
struct PhaseSpec {
  std::vector<std::string> command;  // with {experiment} {params} {p.NAME} {seed} {artifacts}
  Millis timeout;                    // 0: only attempt.wall holds
  Millis budget;                     // 0: none
  int stop_signal = 15;
  Millis grace = seconds(5);
  std::map<std::string, std::string> metrics;  // name -> regular expression over stdout
  bool operator==(const PhaseSpec&) const = default;
};

// How a trial's seed reaches the program.
struct SeedDelivery {
  enum class Kind { none, env, argv, replace } kind = Kind::none;
  std::string name;     // env: variable; argv: flag ("--seed" becomes "--seed=7"); replace: file
  std::string pattern;  // replace: regular expression, first group is the seed
  bool operator==(const SeedDelivery&) const = default;
};

struct Secret {
  std::string name;   // environment variable of the orchestrator
  std::string phase;  // the only phase that sees it
  bool operator==(const Secret&) const = default;
};

struct ArtifactPolicy {
  bool champion = true;
  std::int64_t top = 10;  // kept for the best `top` experiments
  bool all = false;
  bool operator==(const ArtifactPolicy&) const = default;
};

// Retries per cause, beyond the first attempt; each waits `backoff`, doubled each time.
struct RetryPolicy {
  std::int64_t crash = 1;
  std::int64_t infrastructure = 3;
  std::int64_t timeout = 0;
  std::int64_t out_of_memory = 0;
  Millis backoff = seconds(5);
  bool operator==(const RetryPolicy&) const = default;
};

struct Task {
  std::string workspace;  // absolute; copied for each attempt; empty: commands run in an empty folder
  std::optional<PhaseSpec> build;
  PhaseSpec train;
  std::optional<PhaseSpec> evaluate;
  std::string validation_data;  // absolute path, seen by evaluate alone; empty: none
  std::string holdout_data;
  SeedDelivery seed;
  std::map<std::string, std::string> env;
  std::vector<std::string> env_pass;
  std::vector<std::string> mounts;
  std::vector<Secret> secrets;
  std::int64_t gpus = 0;
  std::int64_t cpus = 1;
  ArtifactPolicy artifacts;
  RetryPolicy retries;
  bool operator==(const Task&) const = default;
};

// Whether the training program is given the trial's seed, in one of the ways there are (the experiment's file holds
// it).
bool can_see_seed(const Task& task);

// A proposer as the study names it. Which settings a kind takes is checked by orchestrator/study and read by
// orchestrator/proposers.
struct ProposerSpec {
  std::string kind;                             // random grid list sobol tpe command llm
  std::string name;                             // unique in the study; the kind unless given
  double share = 1;                             // of all proposals, relative to the others
  std::map<std::string, std::string> settings;  // scalar settings as text: base_url, model, api_key_env, startup, ...
  std::vector<Params> points;                   // kind list
  std::vector<std::string> command;             // kind command
  bool operator==(const ProposerSpec&) const = default;
};

// 0 or unlimited() mean "no limit of this kind" where the study says nothing.
struct RunBudget {
  Millis wall = Millis::unlimited();
  std::string until;  // "07:30", local time; resolved by the shell when the run starts
  budgets::SlotMillis slot_time = budgets::SlotMillis::unlimited();
  budgets::GpuMillis gpu_time = budgets::GpuMillis::unlimited();
  budgets::Experiments experiments = budgets::Experiments::unlimited();
  budgets::Actions actions = budgets::Actions::of(100'000);
  budgets::MicroUsd llm_cost = budgets::MicroUsd::unlimited();
  budgets::Tokens llm_tokens = budgets::Tokens::unlimited();
  budgets::Bytes disk = budgets::Bytes::unlimited();
  std::int64_t reserve_percent = 10;  // of wall, slot and GPU time: for confirmation
  bool operator==(const RunBudget&) const = default;
};

struct ExperimentBudget {
  budgets::SlotMillis slot_time = budgets::SlotMillis::unlimited();  // sum over its trials
  bool operator==(const ExperimentBudget&) const = default;
};

struct AttemptLimits {
  Millis wall = seconds(3600);
  budgets::Bytes memory;  // 0: none
  budgets::Bytes disk = budgets::Bytes::of(std::int64_t{10} << 30);
  std::int64_t files = 100'000;
  budgets::Bytes free_floor = budgets::Bytes::of(std::int64_t{1} << 30);
  budgets::Bytes log = budgets::Bytes::of(std::int64_t{64} << 20);
  std::int64_t processes = 512;
  bool operator==(const AttemptLimits&) const = default;
};

struct Evaluation {
  std::int64_t baseline_replicates = 3;
  std::int64_t confirm_replicates = 3;
  std::int64_t confirm_top = 3;  // so many of the best are confirmed
  bool operator==(const Evaluation&) const = default;
};

struct GovernorSpec {
  budgets::BreakerSettings breakers;
  Millis hold_patience = seconds(4 * 3600);  // a hold that nobody answers ends the run after this
  bool operator==(const GovernorSpec&) const = default;
};

struct ExecutorSpec {
  std::string kind = "local";
  std::int64_t slots = 0;  // 0: auto
  bool operator==(const ExecutorSpec&) const = default;
};

struct Study {
  std::string name;
  std::string owner;
  std::string purpose;
  Objective objective;
  Task task;
  Params baseline;
  Space space;
  std::vector<ProposerSpec> proposers;
  RunBudget run_budget;
  ExperimentBudget experiment_budget;
  AttemptLimits attempt;
  Evaluation evaluation;
  GovernorSpec governor;
  ExecutorSpec executor;
  std::string webhook;    // posted to when the run ends; empty: none
  std::int64_t seed = 1;  // of the run: proposers and trials derive theirs from it
  bool operator==(const Study&) const = default;
};

// All phases of one attempt, grace and kill allowance included, but never more than attempt.wall and its kill
// allowance.
Millis worst_case_wall(const Study& study);

// So many trials confirm the best, if as many are found.
std::int64_t confirmation_trials(const Evaluation& evaluation);

// Canonical JSON of a study and back (the store's and the journal's form, not the study file's).
std::string study_to_json(const Study& study);
Study study_from_json(const std::string& text);  // INVARIANT on text that we did not write

}  // namespace overnight::core
