// Everything a decision needs, and nothing else. A value: bounded, comparable, no pointers to the world. Owned by the
// loop, changed by `step` alone. Finished experiments live in the store; State keeps digests of them (seen hashes,
// leaders, counts).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "budgets/governor/breaker.h"
#include "budgets/ledger.h"
#include "evals/statistics.h"
#include "orchestrator/core/events.h"
#include "orchestrator/core/ids.h"
#include "orchestrator/core/limits.h"
#include "orchestrator/core/study.h"

namespace overnight::core {

inline constexpr int logic_version = 1;  // replay promises the same hashes within one version

struct Slot {
  SlotFound found;
  bool usable = true;
  std::string reason;  // why not
  bool operator==(const Slot&) const = default;
};

// (experiment, seed); in State until it has its last attempt behind it.
struct Trial {
  TrialId id{};
  ExperimentId experiment{};
  Purpose purpose = Purpose::search;
  std::int64_t seed = 0;
  std::int64_t attempts = 0;              // launched so far
  std::map<Cause, std::int64_t> retries;  // granted so far, by cause
  std::int64_t disturbed = 0;
  Moment not_before;   // back-off
  budgets::Cost used;  // settled so far
  std::optional<AttemptId> running;
  bool operator==(const Trial&) const = default;
};

// An admitted proposal with trials that are not finished.
struct Experiment {
  ExperimentId id{};
  Params params;
  std::string hash;
  std::string proposer;
  std::string hypothesis;
  std::vector<ExperimentId> parents;
  Purpose purpose = Purpose::search;
  WallTime admitted;
  std::int64_t history_cursor = 0;
  std::int64_t open_trials = 0;
  evals::Sample scores;
  budgets::SlotMillis spent;  // against budgets.experiment
  bool operator==(const Experiment&) const = default;
};

struct Attempt {
  AttemptId id{};
  TrialId trial{};
  ExperimentId experiment{};
  SlotId slot{};
  Epoch epoch{};
  budgets::ReservationId reservation{};
  Moment launched;
  WallTime launched_wall;
  std::optional<Moment> started;
  Phase phase = Phase::train;
  std::optional<StopLevel> stopping;  // the highest level sent
  Moment overdue = Moment::never();   // by then it must be gone; later it is killed again
  std::int64_t chased = 0;            // how often it was killed again
  bool operator==(const Attempt&) const = default;
};

struct OpenAsk {
  AskId id{};
  std::size_t proposer = 0;  // index in study.proposers
  budgets::ReservationId reservation{};
  std::int64_t count = 0;
  Moment asked;
  bool operator==(const OpenAsk&) const = default;
};

// What is known of one proposer: its credit, and when it may be asked again.
struct ProposerBook {
  std::int64_t asks = 0;
  std::int64_t offered = 0;  // proposals that it sent
  std::int64_t admitted = 0;
  std::int64_t duplicates = 0;
  std::int64_t refused = 0;  // out of the space, unreadable
  std::int64_t failures = 0;
  std::int64_t failures_in_a_row = 0;
  Moment not_before;
  bool exhausted = false;
  std::int64_t silent_in_a_row = 0;  // asks without an answer
  std::string last_failure;          // why the last ask without an answer had none; at most failure_kept_bytes
  budgets::Cost used;
  bool operator==(const ProposerBook&) const = default;
};

struct KeptArtifacts {
  AttemptId attempt{};
  budgets::Bytes bytes;
  bool operator==(const KeptArtifacts&) const = default;
};

// One of the best experiments. Ranked by the scores of the search; the champion by those of the confirmation.
struct Leader {
  Experiment origin;  // as admitted
  evals::Sample search;
  evals::Sample confirm;
  std::int64_t confirm_trials = 0;  // queued so far
  std::vector<KeptArtifacts> artifacts;
  bool operator==(const Leader&) const = default;
};

// baseline: nothing else starts before the baseline has one score. searching: proposals. confirming: fresh seeds for
// the best.
enum class Stage { baseline, searching, confirming, ended };

// How a run ended. done and failed leave State; the others can be resumed.
enum class EndKind { done, failed, halted, tripped, stopped, abandoned };

struct End {
  EndKind kind = EndKind::done;
  std::string reason;
  WallTime wall;
  bool operator==(const End&) const = default;
};

// A stop that outlives restarts until a person lifts it.
struct Latch {
  std::string by, path, reason;
  WallTime wall;
  bool operator==(const Latch&) const = default;
};

// A halt from the request to the proof.
struct Halt {
  Moment requested;
  WallTime requested_wall;
  std::int64_t attempts = 0;              // that ran when it was asked for
  std::optional<Millis> confirmed_after;  // all were seen to be gone
  bool told_unconfirmed = false;
  bool operator==(const Halt&) const = default;
};

// Nothing new is asked for or placed (a canary apart); what runs may end, and answers that were paid for are queued.
struct Hold {
  std::string by;  // "breaker:crash_rate" or a person
  std::string reason;
  Moment since;
  bool by_breaker = false;
  bool canary_failed = false;
  bool operator==(const Hold&) const = default;
};

struct Counts {
  std::int64_t admitted = 0;  // experiments, the baseline not counted
  std::int64_t trials_finished = 0;
  std::int64_t scored = 0;               // trials with a score
  std::map<Cause, std::int64_t> failed;  // trials, by cause
  std::int64_t retries = 0;
  std::int64_t duplicates = 0;
  std::int64_t disturbed = 0;
  std::int64_t dropped = 0;  // admitted, never launched
  bool operator==(const Counts&) const = default;
};

struct Run {
  RunId id;
  Study study;
  WallTime started;
  WallTime until = WallTime::never();
  std::vector<budgets::Cost> ask_worst_case;  // per proposer

  // status
  Stage stage = Stage::baseline;
  bool live = false;     // this life of the orchestrator works on it
  Millis wall_used;      // over all lives
  Moment charged_until;  // the moment up to which it is
  Millis wall_grant = Millis::unlimited();
  bool draining = false;     // admit and place nothing more, end when nothing runs
  std::string search_ended;  // why no search experiment is admitted any more; empty while it is
  std::optional<Hold> hold;
  std::optional<Latch> latch;
  std::optional<Halt> halt;
  std::optional<End> pending_end;  // decided, waiting until nothing runs
  std::optional<End> end;
  budgets::Breakers breakers;
  std::int64_t canaries = 0;
  Counts counts;
  Millis longest_took;  // of an attempt that completed; how long confirmation rounds will take
  std::vector<ProposerBook> proposers;
  std::string baseline_detail;  // why the last baseline trial failed, with the tail of its log

  // ledger
  budgets::Ledger ledger;
  std::optional<budgets::ReservationId> set_aside;  // for confirmation

  // work
  std::map<TrialId, Trial> trials;
  std::map<ExperimentId, Experiment> experiments;
  std::map<AttemptId, Attempt> attempts;
  std::map<AskId, OpenAsk> asks;
  std::map<AttemptId, budgets::Bytes> dropping;  // artifacts being deleted

  // leaders
  std::optional<Leader> baseline;
  std::vector<Leader> leaders;  // best first, at most leaders_max
  std::optional<double> best;   // score of the best search experiment
  ExperimentId best_experiment{};

  std::set<std::string>
      seen;  // canonical hashes of all experiments; not stored with the run, but read from its experiments

  bool operator==(const Run&) const = default;

  bool minimizes() const { return study.objective.direction == Direction::minimize; }
  // Lower is better, whatever the direction.
  double loss(double score) const { return minimizes() ? score : -score; }
};

struct State {
  Epoch epoch{};
  std::string boot;
  Moment last;  // time of the last input, on both clocks
  WallTime last_wall;
  std::map<SlotId, Slot> slots;
  std::map<RunId, Run> runs;   // unfinished ones
  std::optional<Latch> latch;  // of the whole home
  std::int64_t next_experiment = 1;
  std::int64_t next_trial = 1;
  std::int64_t next_attempt = 1;
  std::int64_t next_ask = 1;
  std::int64_t next_action = 1;

  bool operator==(const State&) const = default;
};

std::string_view name_of(Stage stage);
std::string_view name_of(EndKind kind);
std::optional<Stage> stage_named(std::string_view name);
std::optional<EndKind> end_kind_named(std::string_view name);

}  // namespace overnight::core
