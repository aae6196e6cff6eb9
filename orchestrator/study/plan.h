// What a study can do with so many slots, before it runs: worst cases, the budget that binds first, slots that would
// stand idle. Pure. Everything here is counted at the worst case, as the ledger reserves it; a real run does better.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/core/study.h"

namespace overnight::study {

struct Plan {
  std::size_t slots = 0;
  core::Millis worst_case;                 // of one attempt, kill allowance included
  std::string binds_first;                 // "experiments", "slot_time", "wall", ...; "nothing" without a budget
  std::int64_t experiments_at_worst = -1;  // search experiments that it pays if all take their worst; -1: no bound
  std::size_t slots_idle = 0;              // that reservations leave empty from the start
  std::int64_t baseline_trials = 0;
  std::int64_t confirm_trials = 0;  // confirm_top times confirm_replicates
  std::int64_t confirm_late = 0;    // so many more at most: results that end the search late may enter the best
  core::Millis confirm_worst;       // slot time that they take at their worst
  core::Millis confirm_reserved;    // slot time that the reserve holds for them; unlimited without budget.run.slot_time
  std::vector<std::string> warnings;
};

Plan plan_of(const core::Study& study, std::size_t slots);

// For people: the lines of `overnight validate`, each ended by a newline.
std::string plan_text(const core::Study& study, std::size_t slots);

}  // namespace overnight::study
