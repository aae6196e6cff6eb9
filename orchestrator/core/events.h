// All that `step` can be told (Event), and what carries it (Input). Values, JSON-codable, comparable.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "budgets/cost.h"
#include "budgets/time.h"
#include "orchestrator/core/ids.h"
#include "orchestrator/core/space.h"
#include "orchestrator/core/study.h"
#include "workers/protocol/gpu_use.h"
#include "workers/protocol/names.h"

namespace overnight::core {

using budgets::Moment;
using budgets::WallTime;
using workers::Cause;
using workers::Phase;
using workers::StopLevel;

// Why a trial is run. Order is priority: what stands first is placed first.
enum class Purpose { canary, baseline, enqueued, confirm, search };

std::string_view name_of(Purpose purpose);
std::optional<Purpose> purpose_named(std::string_view name);

// A place where an attempt can run, as an executor found it.
struct SlotFound {
  SlotId slot{};
  std::string slot_class;  // "cpu", "NVIDIA H200", ...
  std::vector<int> cpus;
  std::vector<std::string> gpus;  // UUIDs
  bool operator==(const SlotFound&) const = default;
};

// ---- the home ----

// A new life of the orchestrator. What ran in the last one is gone or is told by observations; clocks start anew.
struct HomeOpened {
  Epoch epoch{};
  std::string boot;  // boot id of the machine
  std::vector<SlotFound> slots;
  bool operator==(const HomeOpened&) const = default;
};

// Time goes on: deadlines, back-off, patience. The loop sends it when State::next_deadline is reached.
struct TimePassed {
  bool operator==(const TimePassed&) const = default;
};

// ---- runs and the operator ----

struct RunStarted {
  RunId run;
  Study study;
  WallTime until = WallTime::never();         // budgets.run.until, resolved
  std::vector<budgets::Cost> ask_worst_case;  // per proposer, per ask: tokens, money, one action
  bool operator==(const RunStarted&) const = default;
};

// A run that a crash or a stop left unfinished goes on. Lifts no latch.
struct RunResumed {
  RunId run;
  bool operator==(const RunResumed&) const = default;
};

struct HaltRequested {
  std::optional<RunId> run;  // none: all runs of the home
  std::string by;            // who: "user:alice", "file", "signal"
  std::string path;          // by which path it came: "api", "file", "signal", "offline"
  std::string reason;
  bool operator==(const HaltRequested&) const = default;
};

struct HoldRequested {
  RunId run;
  std::string by, reason;
  bool operator==(const HoldRequested&) const = default;
};

// Lifts a hold or a latch, by a person.
struct ReleaseRequested {
  std::optional<RunId> run;  // none: the home's latch
  std::string by, reason;
  bool operator==(const ReleaseRequested&) const = default;
};

// Stop admitting, let the attempts that run end (their phases' own ends), then stop without a latch; `resume` goes on.
struct DrainRequested {
  RunId run;
  std::string by;
  bool operator==(const DrainRequested&) const = default;
};

// Kill what runs and stop now, without a latch (the second Ctrl-C).
struct StopRequested {
  RunId run;
  std::string by;
  bool operator==(const StopRequested&) const = default;
};

struct BudgetChanged {
  RunId run;
  budgets::Cost grant;
  Millis wall = Millis::unlimited();
  std::string by, reason;
  bool operator==(const BudgetChanged&) const = default;
};

// ---- proposals ----

struct Proposal {
  Params params;
  std::string hypothesis;
  std::vector<ExperimentId> parents;
  bool operator==(const Proposal&) const = default;
};

// The answer to an ask: proposals, or the reason why there are none.
struct OffersArrived {
  RunId run;
  AskId ask{};
  std::vector<Proposal> proposals;
  std::string failure;     // empty: the ask succeeded
  bool exhausted = false;  // this proposer has nothing more, ever (grid, list)
  budgets::Cost used;      // tokens and money; with `cost_unknown` the reservation is settled whole
  bool cost_unknown = false;
  std::int64_t refused = 0;         // proposals that could not be parsed, counted
  std::int64_t history_cursor = 0;  // how many finished trials the proposer knew
  Millis wait;                      // with a failure: asked for before the next ask; 0: nothing was said
  std::string remark;               // of the proposer, for people; empty: none
  bool operator==(const OffersArrived&) const = default;
};

// Proposals that a person or an outside program pushed. They run before all others.
struct Enqueued {
  RunId run;
  std::vector<Proposal> proposals;
  std::string by;
  bool operator==(const Enqueued&) const = default;
};

// ---- attempts ----

struct AttemptStarted {  // the keeper holds its lease; time is charged from here
  AttemptId attempt{};
  bool operator==(const AttemptStarted&) const = default;
};

struct AttemptInPhase {
  AttemptId attempt{};
  Phase phase = Phase::train;
  bool operator==(const AttemptInPhase&) const = default;
};

// Its process tree was seen to be gone, and this is what its receipt (or the lack of one) says. Only this frees a slot.
struct AttemptGone {
  AttemptId attempt{};
  Cause cause = Cause::infrastructure;
  Phase phase = Phase::train;
  std::string detail;
  std::string log_tail;
  std::optional<double> score;  // the objective, finite; only with cause completed
  bool self_reported = false;
  std::map<std::string, double> metrics;  // all, by name
  std::optional<Millis> took;             // none: nobody knows, settle the worst case
  std::int64_t started_unix_ms = 0;
  std::map<std::string, std::int64_t> phase_ms;
  budgets::Bytes artifacts;  // left on disk, until kept or dropped
  budgets::Bytes logs;       // left on disk, and kept
  std::int64_t memory_peak_bytes = 0;
  Millis killed_in;  // 0: nothing was killed
  std::int64_t survivors = 0;
  bool disturbed = false;
  std::vector<workers::GpuUse> gpus;  // what each of its GPUs did, all phases
  bool operator==(const AttemptGone&) const = default;
};

// The executor's full list of what really exists, and when it was taken. May contradict only what was launched before.
struct Observed {
  Moment as_of;
  std::vector<AttemptId> live;
  bool operator==(const Observed&) const = default;
};

// A slot that may not be used for now (a foreign process on its GPU), or may again.
struct SlotChecked {
  SlotId slot{};
  bool usable = true;
  std::string reason;
  bool operator==(const SlotChecked&) const = default;
};

struct ArtifactsDropped {
  AttemptId attempt{};
  RunId run;
  budgets::Bytes freed;
  bool operator==(const ArtifactsDropped&) const = default;
};

using Event = std::variant<HomeOpened, TimePassed, RunStarted, RunResumed, HaltRequested, HoldRequested,
                           ReleaseRequested, DrainRequested, StopRequested, BudgetChanged, OffersArrived, Enqueued,
                           AttemptStarted, AttemptInPhase, AttemptGone, Observed, SlotChecked, ArtifactsDropped>;

struct Input {
  Moment now;              // set once when the input enters; `step` knows no other time
  WallTime wall;           // for records and for `until`
  std::uint64_t seed = 0;  // the only randomness of the step
  Event event;
  bool operator==(const Input&) const = default;
};

// Takes out what a journal cannot hold and no honest adapter says, before the event is stepped and written down:
// numbers that are not finite (a score becomes bad_metric, a proposal is counted as refused, another metric is left
// out) and times or sizes below zero. Replay then steps what was stepped.
void make_recordable(Event& event);

// The event's name in journal and logs: "attempt_gone".
std::string_view name_of(const Event& event);

std::string input_to_json(const Input& input);
budgets::Result<Input, std::string> input_from_json(const std::string& text);

}  // namespace overnight::core
