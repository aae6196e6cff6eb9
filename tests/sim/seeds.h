// Runs seeds, counts checks, and says what was broken and how to see it again.
#pragma once

#include <optional>

#include "tests/sim/world.h"

namespace overnight::sim {

struct Finding {
  std::uint64_t seed = 0;
  std::string name;  // of the invariant
  std::string how;
  std::string trace;  // the last inputs
};

struct Tried {
  Counts counts;  // how often each check was put to the test
  std::int64_t seeds = 0, inputs = 0, lives = 0, runs_ended = 0;
};

// The first finding among `count` seeds from `first` on; none: all held.
std::optional<Finding> try_seeds(std::uint64_t first, std::uint64_t count, Tried& tried);

}  // namespace overnight::sim
