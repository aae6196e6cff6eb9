// JSON for every type of the core. Only .cc files include this: nlohmann/json is heavy. Our own data, written by us and
// protected by the journal's chain; reading text that does not fit throws nlohmann exceptions, which the callers in
// codec.cc and rows.cc turn into results.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "orchestrator/core/changes.h"
#include "orchestrator/core/events.h"
#include "orchestrator/core/state.h"

namespace nlohmann {

template <typename T>
struct adl_serializer<std::optional<T>> {
  static void to_json(json& j, const std::optional<T>& value) {
    if (value) {
      j = *value;
    } else {
      j = nullptr;
    }
  }
  static void from_json(const json& j, std::optional<T>& value) {
    if (j.is_null()) {
      value.reset();
    } else {
      value = j.get<T>();
    }
  }
};

template <>
struct adl_serializer<overnight::core::ParamValue> {
  static void to_json(json& j, const overnight::core::ParamValue& value) {
    std::visit([&](const auto& v) { j = v; }, value);
  }
  static void from_json(const json& j, overnight::core::ParamValue& value) {
    if (j.is_boolean()) {
      value = j.get<bool>();
    } else if (j.is_number_integer()) {
      value = j.get<std::int64_t>();
    } else if (j.is_number_float()) {
      value = j.get<double>();
    } else {
      value = j.get<std::string>();
    }
  }
};

}  // namespace nlohmann

// An enum by its name.
#define OVERNIGHT_JSON_ENUM(Type, named)                                                           \
  inline void to_json(nlohmann::json& j, Type value) { j = std::string(name_of(value)); }          \
  inline void from_json(const nlohmann::json& j, Type& value) {                                    \
    const auto found = named(j.get<std::string>());                                                \
    if (!found) throw std::invalid_argument("unknown " #Type " \"" + j.get<std::string>() + "\""); \
    value = *found;                                                                                \
  }

namespace overnight::workers {
OVERNIGHT_JSON_ENUM(Cause, cause_named)
OVERNIGHT_JSON_ENUM(Phase, phase_named)
OVERNIGHT_JSON_ENUM(StopLevel, stop_level_named)
}  // namespace overnight::workers

namespace overnight::budgets {

template <typename Unit>
void to_json(nlohmann::json& j, const Quantity<Unit>& q) {
  j = q.count();
}
template <typename Unit>
void from_json(const nlohmann::json& j, Quantity<Unit>& q) {
  q = Quantity<Unit>::of(j.get<std::int64_t>());
}
template <typename Clock>
void to_json(nlohmann::json& j, const Point<Clock>& p) {
  j = p.ms();
}
template <typename Clock>
void from_json(const nlohmann::json& j, Point<Clock>& p) {
  p = Point<Clock>::at(j.get<std::int64_t>());
}

inline std::optional<Outcome> outcome_named(std::string_view name) {
  for (Outcome outcome : {Outcome::good, Outcome::crashed, Outcome::not_finite}) {
    if (name == name_of(outcome)) return outcome;
  }
  return std::nullopt;
}
OVERNIGHT_JSON_ENUM(TripLevel, trip_level_named)
OVERNIGHT_JSON_ENUM(Outcome, outcome_named)

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Cost, slot_time, gpu_time, experiments, actions, money, tokens, disk)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Ledger::Book, grant, settled, overrun, open, next_id)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(BreakerSettings, consecutive_crashes, crash_rate_percent, crash_rate_window,
                                   crash_rate_minimum, not_finite_count, not_finite_window, stagnation_experiments,
                                   proposer_faults, on_consecutive_crashes, on_crash_rate, on_not_finite, on_stagnation,
                                   on_proposer_faults)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Trip, breaker, level, reason)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Breakers, crashes_in_a_row, recent, experiments_since_gain, stagnation_told,
                                   proposer_faults_in_a_row, tripped)

inline void to_json(nlohmann::json& j, const Ledger& ledger) { j = ledger.book(); }
inline void from_json(const nlohmann::json& j, Ledger& ledger) { ledger = Ledger::from(j.get<Ledger::Book>()); }

}  // namespace overnight::budgets

namespace overnight::core {

inline void to_json(nlohmann::json& j, const RunId& id) { j = id.text; }
inline void from_json(const nlohmann::json& j, RunId& id) { id.text = j.get<std::string>(); }

std::string_view name_of(Direction direction);
std::optional<Direction> direction_named(std::string_view name);
std::string_view name_of(Scale scale);
std::optional<Scale> scale_named(std::string_view name);
std::string_view name_of(SeedDelivery::Kind kind);
std::optional<SeedDelivery::Kind> seed_delivery_named(std::string_view name);

OVERNIGHT_JSON_ENUM(Direction, direction_named)
OVERNIGHT_JSON_ENUM(Scale, scale_named)
OVERNIGHT_JSON_ENUM(SeedDelivery::Kind, seed_delivery_named)
OVERNIGHT_JSON_ENUM(Purpose, purpose_named)
OVERNIGHT_JSON_ENUM(Stage, stage_named)
OVERNIGHT_JSON_ENUM(EndKind, end_kind_named)

// space
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(FloatRange, low, high, scale)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(IntRange, low, high, scale, step)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Choice, values)
void to_json(nlohmann::json& j, const Dimension& dimension);
void from_json(const nlohmann::json& j, Dimension& dimension);
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Space, dimensions)

// study
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Objective, metric, direction, minimum_effect)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PhaseSpec, command, timeout, budget, stop_signal, grace, metrics)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SeedDelivery, kind, name, pattern)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Secret, name, phase)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ArtifactPolicy, champion, top, all)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RetryPolicy, crash, infrastructure, timeout, out_of_memory, backoff)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Task, workspace, build, train, evaluate, validation_data, holdout_data, seed, env,
                                   env_pass, mounts, secrets, gpus, cpus, artifacts, retries)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ProposerSpec, kind, name, share, settings, points, command)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RunBudget, wall, until, slot_time, gpu_time, experiments, actions, llm_cost,
                                   llm_tokens, disk, reserve_percent)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ExperimentBudget, slot_time)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(AttemptLimits, wall, memory, disk, files, free_floor, log, processes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Evaluation, baseline_replicates, confirm_replicates, confirm_top)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GovernorSpec, breakers, hold_patience)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ExecutorSpec, kind, slots)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Study, name, owner, purpose, objective, task, baseline, space, proposers, run_budget,
                                   experiment_budget, attempt, evaluation, governor, executor, webhook, seed)

// events
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SlotFound, slot, slot_class, cpus, gpus)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(HomeOpened, epoch, boot, slots)
inline void to_json(nlohmann::json& j, const TimePassed&) { j = nlohmann::json::object(); }
inline void from_json(const nlohmann::json&, TimePassed&) {}
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RunStarted, run, study, until, ask_worst_case)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RunResumed, run)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(HaltRequested, run, by, path, reason)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(HoldRequested, run, by, reason)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ReleaseRequested, run, by, reason)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DrainRequested, run, by)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(StopRequested, run, by)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(BudgetChanged, run, grant, wall, by, reason)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Proposal, params, hypothesis, parents)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(OffersArrived, run, ask, proposals, failure, exhausted, used, cost_unknown, refused,
                                   history_cursor, remark)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Enqueued, run, proposals, by)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(AttemptStarted, attempt)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(AttemptInPhase, attempt, phase)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(AttemptGone, attempt, cause, phase, detail, log_tail, score, self_reported, metrics,
                                   took, started_unix_ms, phase_ms, artifacts, memory_peak_bytes, killed_in, survivors,
                                   disturbed)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Observed, as_of, live)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SlotChecked, slot, usable, reason)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ArtifactsDropped, attempt, run, freed)

// actions
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Launch, attempt, trial, experiment, run, slot, params, seed, purpose, wall)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(StopAttempt, attempt, level, reason)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Ask, ask, run, proposer, count, seed, pending)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DropArtifacts, attempt, run)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PublishReport, run, ended)

// records
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ExperimentRecord, experiment, run, params, hash, proposer, hypothesis, parents,
                                   purpose, status, admitted, history_cursor)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrialRecord, trial, experiment, run, purpose, seed, cause, phase, detail, score,
                                   self_reported, metrics, attempts, last_attempt, used, finished)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(AttemptRecord, attempt, trial, experiment, run, slot, cause, phase, detail, log_tail,
                                   launched, gone, took, killed_in, phase_ms, memory_peak_bytes, disturbed)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Note, run, wall, kind, text)

// state
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Tally, n, sum, sum_of_squares)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Slot, found, usable, reason)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Trial, id, experiment, purpose, seed, attempts, retries, disturbed, not_before, used,
                                   running)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Experiment, id, params, hash, proposer, hypothesis, parents, purpose, admitted,
                                   history_cursor, open_trials, scores, spent)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Attempt, id, trial, experiment, slot, epoch, reservation, launched, launched_wall,
                                   started, phase, stopping, overdue)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(OpenAsk, id, proposer, reservation, count)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ProposerBook, asks, offered, admitted, duplicates, refused, failures,
                                   failures_in_a_row, not_before, exhausted, used)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(KeptArtifacts, attempt, bytes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Leader, origin, search, confirm, confirm_trials, artifacts)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(End, kind, reason, wall)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Latch, by, path, reason, wall)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Halt, requested, requested_wall, attempts, confirmed_after, told_unconfirmed)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Hold, by, reason, since, by_breaker, canary_failed)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Counts, admitted, trials_finished, scored, failed, retries, duplicates, disturbed,
                                   dropped)

}  // namespace overnight::core
