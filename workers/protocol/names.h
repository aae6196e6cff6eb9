// The words that orchestrator and keeper share: phases, causes, stop levels, splits. Values, with their spelling in
// JSON.
#pragma once

#include <optional>
#include <string_view>

namespace overnight::workers {

enum class Phase { build, train, evaluate };

// Why an attempt ended. `completed` is the only success; everything else names what went wrong, once.
enum class Cause {
  completed,       // all phases ended as planned and the objective was reported
  crash,           // a phase exited with a status that is not 0, or died of a signal nobody sent on purpose
  timeout,         // a phase's timeout or attempt.wall was reached
  out_of_memory,   // the memory limit was reached, or the kernel's OOM killer struck
  out_of_disk,     // bytes or inodes over the limit, or the floor of free space was reached
  process_limit,   // more processes than allowed
  no_metric,       // everything exited with 0, but the objective was not reported
  bad_metric,      // the objective was reported as NaN, infinite, or something that is no number
  stopped,         // the orchestrator asked for it (halt, drain, kill)
  lease_lost,      // the orchestrator's assent ended (it died, or did not renew)
  launch_failed,   // the command could not be started (not found, not executable, missing mount, no permission)
  infrastructure,  // the keeper itself failed, or vanished without a receipt
};

// How hard a stop is. Levels only ever rise for one attempt.
enum class StopLevel {
  drain,  // the phase's stop signal, its grace, then kill
  kill,   // freeze and kill the whole tree now
};

enum class Split { validation, holdout };

std::string_view name_of(Phase);
std::string_view name_of(Cause);
std::string_view name_of(StopLevel);
std::string_view name_of(Split);
std::optional<Phase> phase_named(std::string_view);
std::optional<Cause> cause_named(std::string_view);
std::optional<StopLevel> stop_level_named(std::string_view);
std::optional<Split> split_named(std::string_view);

}  // namespace overnight::workers
