// Whether the attempt may go on: the lease, the orchestrator's stops, the end of the channel, SIGTERM. Demands only
// ever rise: nothing takes a stop back. Owns a timer on CLOCK_BOOTTIME and the signal descriptor; the channel is the
// keeper's.
#pragma once

#include <poll.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "workers/keeper/channel.h"
#include "workers/protocol/names.h"

namespace overnight::workers {

inline constexpr std::int64_t first_lease_wait_ms = 60'000;  // an orchestrator that lives grants within milliseconds

struct Demand {
  StopLevel level = StopLevel::kill;
  Cause cause = Cause::stopped;
  std::string detail;
};

class Assent {
 public:
  Assent(Channel& channel, std::int64_t lease_ms);

  void add_to(std::vector<pollfd>& waiting) const;
  void look();  // takes in what has come; does not block
  bool granted() const { return granted_; }
  const std::optional<Demand>& demand() const { return demand_; }

 private:
  void take(const Message&);
  void arm(std::int64_t ms);  // 0: the lease does not end
  void raise(Demand);

  Channel& channel_;
  std::int64_t lease_ms_;
  Descriptor timer_;
  Descriptor signals_;
  bool granted_ = false;
  std::optional<Demand> demand_;
};

}  // namespace overnight::workers
