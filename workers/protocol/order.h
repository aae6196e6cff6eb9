// What a keeper is told to run: one attempt, with all its limits. Pure data, JSON both ways (`order.json` in the
// attempt's folder, written and fsynced by the executor before the keeper starts).
//
// Unknown fields are refused. Paths are absolute. A limit of 0 means "no limit of this kind"; time is in milliseconds,
// sizes in bytes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "budgets/result.h"
#include "workers/protocol/names.h"

namespace overnight::workers {

inline constexpr int protocol_version = 1;
inline constexpr std::size_t order_bytes_max = 2 * 1024 * 1024;  // parameters, environment and command of one attempt

// One phase of the attempt, run by the keeper as its own process tree; the next one starts only when this tree is gone.
struct PhaseOrder {
  Phase phase = Phase::train;
  std::vector<std::string> command;  // after the study's substitutions; command[0] is looked up in the attempt's PATH
  std::int64_t timeout_ms = 0;       // reaching it is a failure
  std::int64_t budget_ms = 0;        // reaching it is a planned end (train only): stop signal, grace, kill, next phase
  int stop_signal = 15;
  std::int64_t grace_ms = 5000;
  std::map<std::string, std::string>
      metrics;                             // metric name -> regular expression over stdout, first group is the value
  std::map<std::string, std::string> env;  // for this phase alone (OVERNIGHT_SPLIT)
  std::vector<std::string> secrets;  // names; their values come from the keeper's own environment, never from here
  std::vector<std::string> hidden;   // absolute paths that this phase must not see (private data of evaluate)
  bool operator==(const PhaseOrder&) const = default;
};

struct Limits {
  std::int64_t wall_ms = 0;  // the whole attempt, but for a second of the keeper's own set-up
  std::int64_t memory_bytes = 0;
  std::int64_t disk_bytes = 0;  // under the attempt's folder, allocated blocks
  std::int64_t inodes = 0;
  std::int64_t free_floor_bytes = 0;  // the file system must keep this much free
  std::int64_t log_bytes = 0;         // per stream and phase; the rest is dropped and counted
  std::int64_t processes = 0;
  bool operator==(const Limits&) const = default;
};

// A file of the workspace in which the seed replaces what a pattern matches, for programs that take no seed.
struct SeedReplacement {
  std::string file;     // relative to the work folder
  std::string pattern;  // regular expression, its first group is replaced by the seed
  bool operator==(const SeedReplacement&) const = default;
};

struct Order {
  std::string home;  // UUID of the home
  std::string run;
  std::int64_t experiment = 0;
  std::int64_t trial = 0;
  std::int64_t attempt = 0;
  std::int64_t epoch = 0;
  std::string nonce;      // of this launch; every message carries it
  std::string directory;  // the attempt's folder; see workers/keeper/README.md for what lies in it
  std::string enclosure;  // the home's folder: never copied as workspace, and a task sees only its attempt's folder of
                          // it (unless it needs something else in there); empty: none
  std::string workspace;  // folder copied to <directory>/work as the phases' working folder; empty: an empty folder
  std::string experiment_json;  // text of the file that {experiment} names; the keeper writes it before the first phase
  std::vector<PhaseOrder> phases;
  std::map<std::string, std::string> env;
  std::vector<std::string> env_pass;    // names passed on from the orchestrator's environment
  std::vector<std::string> env_secret;  // names that are never passed, whatever env_pass says
  std::vector<std::string> mounts;      // read-only paths that must exist
  std::vector<int> cpus;                // CPUs of the slot (affinity); empty: all
  std::vector<std::string> gpus;        // UUIDs, given by CUDA_VISIBLE_DEVICES; empty: no GPU is visible
  std::vector<SeedReplacement> seed_replacements;
  std::int64_t seed = 0;
  std::string objective;      // the metric that must be reported
  std::int64_t lease_ms = 0;  // how long one grant of the lease lasts; 0: as long as the control channel is open
  Limits limits;
  bool operator==(const Order&) const = default;
};

struct ProtocolError {
  std::string explain;  // field and what is wrong with it
};

std::string to_json(const Order&);
budgets::Result<Order, ProtocolError> order_from_json(std::string_view text);

}  // namespace overnight::workers
