// JSON for every type of the core. Only .cc files include this: nlohmann/json is heavy. Our own data, written by us and
// protected by the journal's chain; reading text that does not fit throws nlohmann exceptions, which the callers in
// codec.cc and rows.cc turn into results.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "orchestrator/core/changes.h"
#include "orchestrator/core/events.h"
#include "orchestrator/core/json_text.h"
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

// A value type by its fields: read and written by nlohmann, written by JsonText.
#define OVERNIGHT_JSON(Type, ...)                                                \
  NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Type, __VA_ARGS__)                          \
  inline void write_json(overnight::core::JsonText& out, const Type& value) {    \
    out.begin_object();                                                          \
    NLOHMANN_JSON_EXPAND(NLOHMANN_JSON_PASTE(OVERNIGHT_JSON_FIELD, __VA_ARGS__)) \
    out.end_object();                                                            \
  }
// The same with a list that came later than homes of 0.1: it is left out where it is empty, so that what they wrote is
// read, and what is written of the same has the same bytes.
#define OVERNIGHT_JSON_AND_LATER(Type, later, ...)                                                  \
  inline void to_json(nlohmann::json& nlohmann_json_j, const Type& nlohmann_json_t) {               \
    NLOHMANN_JSON_EXPAND(NLOHMANN_JSON_PASTE(NLOHMANN_JSON_TO, __VA_ARGS__))                        \
    if (!nlohmann_json_t.later.empty()) nlohmann_json_j[#later] = nlohmann_json_t.later;            \
  }                                                                                                 \
  inline void from_json(const nlohmann::json& nlohmann_json_j, Type& nlohmann_json_t) {             \
    NLOHMANN_JSON_EXPAND(NLOHMANN_JSON_PASTE(NLOHMANN_JSON_FROM, __VA_ARGS__))                      \
    if (nlohmann_json_j.contains(#later)) nlohmann_json_j.at(#later).get_to(nlohmann_json_t.later); \
  }                                                                                                 \
  inline void write_json(overnight::core::JsonText& out, const Type& value) {                       \
    out.begin_object();                                                                             \
    NLOHMANN_JSON_EXPAND(NLOHMANN_JSON_PASTE(OVERNIGHT_JSON_FIELD, __VA_ARGS__))                    \
    if (!value.later.empty()) out.field(#later, value.later);                                       \
    out.end_object();                                                                               \
  }
#define OVERNIGHT_JSON_FIELD(member) out.field(#member, value.member);

// An enum by its name.
#define OVERNIGHT_JSON_ENUM(Type, named)                                                             \
  inline void write_json(overnight::core::JsonText& out, Type value) { out.string(name_of(value)); } \
  inline void to_json(nlohmann::json& j, Type value) { j = std::string(name_of(value)); }            \
  inline void from_json(const nlohmann::json& j, Type& value) {                                      \
    const auto found = named(j.get<std::string>());                                                  \
    if (!found) throw std::invalid_argument("unknown " #Type " \"" + j.get<std::string>() + "\"");   \
    value = *found;                                                                                  \
  }

namespace overnight::workers {
OVERNIGHT_JSON_ENUM(Cause, cause_named)
OVERNIGHT_JSON_ENUM(Phase, phase_named)
OVERNIGHT_JSON_ENUM(StopLevel, stop_level_named)
OVERNIGHT_JSON(GpuUse, uuid, judged_ms, slowed_ms, slowed_by, energy_mj, energy_ms, energy_from_power, clock_samples,
               clock_min_mhz, clock_mean_mhz, memory_peak_bytes)
}  // namespace overnight::workers

namespace overnight::budgets {

template <typename Unit>
void to_json(nlohmann::json& j, const Quantity<Unit>& q) {
  j = q.count();
}
template <typename Unit>
void write_json(core::JsonText& out, const Quantity<Unit>& q) {
  out.whole(q.count());
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
void write_json(core::JsonText& out, const Point<Clock>& p) {
  out.whole(p.ms());
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

OVERNIGHT_JSON(Cost, slot_time, gpu_time, experiments, actions, money, tokens, disk)
OVERNIGHT_JSON(Ledger::Book, grant, settled, overrun, open, next_id)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(BreakerSettings, consecutive_crashes, crash_rate_percent, crash_rate_window,
                                   crash_rate_minimum, not_finite_count, not_finite_window, stagnation_experiments,
                                   proposer_faults, on_consecutive_crashes, on_crash_rate, on_not_finite, on_stagnation,
                                   on_proposer_faults)
OVERNIGHT_JSON(Trip, breaker, level, reason)
OVERNIGHT_JSON(Breakers, crashes_in_a_row, recent, experiments_since_gain, stagnation_told, proposer_faults_in_a_row,
               tripped, told)

inline void to_json(nlohmann::json& j, const Ledger& ledger) { j = ledger.book(); }
inline void write_json(core::JsonText& out, const Ledger& ledger) { write_json(out, ledger.book()); }
inline void from_json(const nlohmann::json& j, Ledger& ledger) { ledger = Ledger::from(j.get<Ledger::Book>()); }

}  // namespace overnight::budgets

namespace overnight::evals {
OVERNIGHT_JSON(Sample, n, mean, deviations)
}  // namespace overnight::evals

namespace overnight::core {

inline void to_json(nlohmann::json& j, const RunId& id) { j = id.text; }
inline void write_json(JsonText& out, const RunId& id) { out.string(id.text); }
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
void to_json(nlohmann::json& j, const Objective& objective);
void from_json(const nlohmann::json& j, Objective& objective);  // homes of 0.1 may have none of its tradeoffs
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

// Once a run: no need to be fast.
inline void write_json(JsonText& out, const Study& study) { out.raw(nlohmann::json(study).dump()); }

// events
OVERNIGHT_JSON(SlotFound, slot, slot_class, cpus, gpus)
OVERNIGHT_JSON(HomeOpened, epoch, boot, slots)
inline void to_json(nlohmann::json& j, const TimePassed&) { j = nlohmann::json::object(); }
inline void write_json(JsonText& out, const TimePassed&) { out.raw("{}"); }
inline void from_json(const nlohmann::json&, TimePassed&) {}
OVERNIGHT_JSON(RunStarted, run, study, until, ask_worst_case)
OVERNIGHT_JSON(RunResumed, run)
OVERNIGHT_JSON(HaltRequested, run, by, path, reason)
OVERNIGHT_JSON(HoldRequested, run, by, reason)
OVERNIGHT_JSON(ReleaseRequested, run, by, reason)
OVERNIGHT_JSON(DrainRequested, run, by)
OVERNIGHT_JSON(StopRequested, run, by)
OVERNIGHT_JSON(BudgetChanged, run, grant, wall, by, reason)
OVERNIGHT_JSON(Proposal, params, hypothesis, parents)
OVERNIGHT_JSON(OffersArrived, run, ask, proposals, failure, exhausted, used, cost_unknown, refused, history_cursor,
               wait, remark)
OVERNIGHT_JSON(Enqueued, run, proposals, by)
OVERNIGHT_JSON(AttemptStarted, attempt)
OVERNIGHT_JSON(AttemptInPhase, attempt, phase)
OVERNIGHT_JSON_AND_LATER(AttemptGone, gpus, attempt, cause, phase, detail, log_tail, score, self_reported, metrics,
                         took, started_unix_ms, phase_ms, artifacts, logs, memory_peak_bytes, killed_in, survivors,
                         disturbed)
OVERNIGHT_JSON(Observed, as_of, live)
OVERNIGHT_JSON(SlotChecked, slot, usable, reason)
OVERNIGHT_JSON(ArtifactsDropped, attempt, run, freed)

// actions
OVERNIGHT_JSON(Launch, attempt, trial, experiment, run, slot, params, seed, purpose, wall)
OVERNIGHT_JSON(StopAttempt, attempt, level, reason)
OVERNIGHT_JSON(Ask, ask, run, proposer, count, seed, pending)
OVERNIGHT_JSON(DropArtifacts, attempt, run)
OVERNIGHT_JSON(PublishReport, run, ended)

// records
OVERNIGHT_JSON(ExperimentRecord, experiment, run, params, hash, proposer, hypothesis, parents, purpose, status,
               admitted, history_cursor)
OVERNIGHT_JSON(TrialRecord, trial, experiment, run, purpose, seed, cause, phase, detail, score, self_reported, metrics,
               attempts, last_attempt, used, finished)
OVERNIGHT_JSON_AND_LATER(AttemptRecord, gpus, attempt, trial, experiment, run, slot, cause, phase, detail, log_tail,
                         launched, gone, took, killed_in, phase_ms, memory_peak_bytes, disturbed)
OVERNIGHT_JSON(Note, run, wall, kind, text)

// state
OVERNIGHT_JSON(Slot, found, usable, reason)
OVERNIGHT_JSON(Trial, id, experiment, purpose, seed, attempts, retries, disturbed, not_before, used, running)
OVERNIGHT_JSON(Experiment, id, params, hash, proposer, hypothesis, parents, purpose, admitted, history_cursor,
               open_trials, scores, spent)
OVERNIGHT_JSON(Attempt, id, trial, experiment, slot, epoch, reservation, launched, launched_wall, started, phase,
               stopping, overdue, chased)
OVERNIGHT_JSON(OpenAsk, id, proposer, reservation, count, asked)
OVERNIGHT_JSON(ProposerBook, asks, offered, admitted, duplicates, refused, failures, failures_in_a_row, not_before,
               exhausted, silent_in_a_row, last_failure, used)
OVERNIGHT_JSON(KeptArtifacts, attempt, bytes)
OVERNIGHT_JSON(Leader, origin, search, confirm, confirm_trials, artifacts)
OVERNIGHT_JSON(End, kind, reason, wall)
OVERNIGHT_JSON(Latch, by, path, reason, wall)
OVERNIGHT_JSON(Halt, requested, requested_wall, attempts, confirmed_after, told_unconfirmed)
OVERNIGHT_JSON(Hold, by, reason, since, by_breaker, canary_failed)
OVERNIGHT_JSON(Counts, admitted, trials_finished, scored, failed, retries, duplicates, disturbed, dropped)

}  // namespace overnight::core
