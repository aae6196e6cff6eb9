// What orchestrator and keeper say to each other while an attempt runs: one JSON object a line over a socket
// (descriptor 3 of the keeper). Each carries the attempt, the launch's nonce and a sequence number; repeats and stale
// ones are ignored.
//
// The keeper starts nothing before the first lease. End of file on the channel means that the orchestrator is gone: the
// keeper kills the tree, writes its receipt and exits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "budgets/result.h"
#include "workers/protocol/names.h"
#include "workers/protocol/order.h"

namespace overnight::workers {

// To the keeper.
struct GrantLease {
  std::int64_t lease_ms = 0;
  bool operator==(const GrantLease&) const = default;
};
struct Stop {
  StopLevel level = StopLevel::kill;
  std::string reason;
  bool operator==(const Stop&) const = default;
};

// From the keeper.
struct KeeperReady {
  int pid = 0;
  std::string kill_mechanism;
  bool operator==(const KeeperReady&) const = default;
};
struct PhaseStarted {
  Phase phase = Phase::train;
  int pid = 0;
  bool operator==(const PhaseStarted&) const = default;
};
struct MetricSeen {
  std::string name;
  double value = 0;
  std::int64_t step = -1;
  Phase phase = Phase::train;
  bool operator==(const MetricSeen&) const = default;
};
struct Ended {
  Cause cause = Cause::infrastructure;
  bool operator==(const Ended&) const = default;
};  // the receipt is on disk

struct Message {
  std::int64_t attempt = 0;
  std::string nonce;
  std::int64_t sequence = 0;
  std::variant<GrantLease, Stop, KeeperReady, PhaseStarted, MetricSeen, Ended> body;
  bool operator==(const Message&) const = default;
};

inline constexpr std::size_t message_bytes_max = 16 * 1024;

std::string to_json_line(const Message&);  // ends with '\n'
budgets::Result<Message, ProtocolError> message_from_json(std::string_view line);

}  // namespace overnight::workers
