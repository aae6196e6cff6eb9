// Keepers that were started before anybody needs them: a slot that gets free does not wait for a program to start. A
// resource, for one thread; ends what stands by when it ends.
#pragma once

#include <cstddef>
#include <deque>
#include <filesystem>
#include <set>
#include <string>

#include "orchestrator/executors/keeper_process.h"

namespace overnight::executors {

inline constexpr std::size_t standby_keepers_max = 4;

class StandbyKeepers {
 public:
  explicit StandbyKeepers(std::filesystem::path keeper) : keeper_(std::move(keeper)) {}
  ~StandbyKeepers();
  StandbyKeepers(const StandbyKeepers&) = delete;
  StandbyKeepers& operator=(const StandbyKeepers&) = delete;

  // One that lives and waits for its order; if none stands by, it is started now.
  budgets::Result<StartedKeeper, std::string> take(const std::string& containment);
  // Until `wanted` stand by, at most standby_keepers_max. That none could be started is told by the next `take`.
  void refill(std::size_t wanted, const std::string& containment);
  std::set<pid_t> pids() const;

 private:
  std::filesystem::path keeper_;
  std::deque<StartedKeeper> waiting_;
};

}  // namespace overnight::executors
