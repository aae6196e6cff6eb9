// What one seed means: how scarce things are, and what goes wrong. Scarcity is the normal case.
#pragma once

#include "orchestrator/core/study.h"
#include "tests/fakes/fake_executor.h"
#include "tests/fakes/fake_proposer.h"

namespace overnight::sim {

struct Options {
  std::uint64_t seed = 0;
  std::vector<core::Study> studies;  // one run each
  std::vector<budgets::Cost> ask_worst_case;
  std::int64_t slots = 1;
  std::int64_t longest_ms = 1000;
  fakes::ExecutorFaults faults;
  fakes::ProposerMoods moods;
  std::int64_t ask_ms = 0;  // an answer takes up to so long
  int hang = 0;             // percent of asks that take an hour
  int not_finite = 0;       // percent of scores
  int crashes = 0;          // of the orchestrator, per 1000 places where it can die
  int operators = 0;        // percent of turns with something that a person does
  int slot_trouble = 0;     // percent of turns
  std::int64_t turns = 0;   // with faults, before fairness begins
};

Options draw(std::uint64_t seed);

}  // namespace overnight::sim
