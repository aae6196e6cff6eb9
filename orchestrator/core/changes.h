// What one step did: actions for the shell (performed after the commit that records them), rows touched, records
// finished, notes.
//
// Actions are at-least-once and idempotent by id: after a crash the outbox is replayed, and launching attempt 7 twice
// is one launch.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "orchestrator/core/events.h"
#include "orchestrator/core/state.h"

namespace overnight::core {

// ---- actions ----

struct Launch {
  AttemptId attempt{};
  TrialId trial{};
  ExperimentId experiment{};
  RunId run;
  SlotId slot{};
  Params params;
  std::int64_t seed = 0;
  Purpose purpose = Purpose::search;
  Millis wall;  // the attempt's limit, kill allowance not included
  bool operator==(const Launch&) const = default;
};

struct StopAttempt {
  AttemptId attempt{};
  StopLevel level = StopLevel::kill;
  std::string reason;
  bool operator==(const StopAttempt&) const = default;
};

struct Ask {
  AskId ask{};
  RunId run;
  std::string proposer;  // its name in the study
  std::int64_t count = 1;
  std::uint64_t seed = 0;
  std::vector<Params> pending;  // admitted and not finished: a proposer must not offer them again
  bool operator==(const Ask&) const = default;
};

struct DropArtifacts {
  AttemptId attempt{};
  RunId run;
  bool operator==(const DropArtifacts&) const = default;
};

// The run ended, or its report should be written anew. Report, then webhook when `ended`.
struct PublishReport {
  RunId run;
  bool ended = false;
  bool operator==(const PublishReport&) const = default;
};

using Action = std::variant<Launch, StopAttempt, Ask, DropArtifacts, PublishReport>;

struct NumberedAction {
  ActionId id{};
  Action action;
  bool operator==(const NumberedAction&) const = default;
};

std::string_view name_of(const Action& action);
std::string action_to_json(const NumberedAction& action);
budgets::Result<NumberedAction, std::string> action_from_json(const std::string& text);

// ---- records: what leaves State for good and is kept by the store ----

struct ExperimentRecord {
  ExperimentId experiment{};
  RunId run;
  Params params;
  std::string hash;      // canonical hash
  std::string proposer;  // its name, "baseline", or "enqueue"
  std::string hypothesis;
  std::vector<ExperimentId> parents;
  Purpose purpose = Purpose::search;  // of its first trial
  std::string status;                 // queued running scored failed dropped
  WallTime admitted;
  std::int64_t history_cursor = 0;
  bool operator==(const ExperimentRecord&) const = default;
};

struct TrialRecord {
  TrialId trial{};
  ExperimentId experiment{};
  RunId run;
  Purpose purpose = Purpose::search;
  std::int64_t seed = 0;
  Cause cause = Cause::completed;  // of its last attempt
  Phase phase = Phase::evaluate;
  std::string detail;
  std::optional<double> score;
  bool self_reported = false;
  std::map<std::string, double> metrics;
  std::int64_t attempts = 1;
  AttemptId last_attempt{};
  budgets::Cost used;  // all attempts
  WallTime finished;
  bool operator==(const TrialRecord&) const = default;
};

struct AttemptRecord {
  AttemptId attempt{};
  TrialId trial{};
  ExperimentId experiment{};
  RunId run;
  SlotId slot{};
  Cause cause = Cause::completed;
  Phase phase = Phase::evaluate;
  std::string detail;
  std::string log_tail;
  WallTime launched;
  WallTime gone;
  Millis took;
  Millis killed_in;
  std::map<std::string, std::int64_t> phase_ms;
  std::int64_t memory_peak_bytes = 0;
  bool disturbed = false;
  std::vector<workers::GpuUse> gpus;  // what each of its GPUs did; none also of attempts that overnight 0.1 ran
  bool operator==(const AttemptRecord&) const = default;
};

// One line for people: what was decided and why. Kept by the store, shown by status, watch and report.
struct Note {
  RunId run;  // empty: the home
  WallTime wall;
  std::string
      kind;  // "breaker", "halt", "hold", "release", "budget", "best", "ask", "duplicate", "stage", "retry", "end"
  std::string text;
  bool operator==(const Note&) const = default;
};

// The parts of a run that are stored apart, so that a step writes only what it touched.
enum class RunPart { status, ledger, work, leaders };
inline constexpr RunPart all_run_parts[] = {RunPart::status, RunPart::ledger, RunPart::work, RunPart::leaders};

struct Changes {
  std::vector<NumberedAction> actions;
  bool home_touched = false;
  std::set<std::pair<RunId, RunPart>> touched;  // rows of State to write
  std::vector<Run> ended;  // runs that left State for good (done, failed, abandoned), as they were at the end
  std::vector<ExperimentRecord> experiments;  // new or changed
  std::vector<TrialRecord> trials;            // finished
  std::vector<AttemptRecord> attempts;        // gone
  std::vector<Note> notes;

  void touch(const RunId& run, RunPart part) { touched.emplace(run, part); }
};

}  // namespace overnight::core
