// What a study can do with so many slots, before it runs: worst cases, the budget that binds first, slots that would
// stand idle. Pure.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/core/study.h"

namespace overnight::study {

struct Plan {
  std::size_t slots = 0;
  core::Millis worst_case;  // of one attempt, kill allowance included
  std::string binds_first;  // "experiments", "slot_time", "wall", ...; "nothing" without a budget
  std::int64_t experiments_at_worst =
      -1;  // how many search experiments the binding budget pays if all take their worst; -1: no bound
  std::size_t slots_idle = 0;  // that reservations leave empty from the start
  std::vector<std::string> warnings;
};

Plan plan_of(const core::Study& study, std::size_t slots);

}  // namespace overnight::study
