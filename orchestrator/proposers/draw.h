// Points of a space from random numbers, and dimensions as numbers in [0, 1]. Shared by the numerical proposers. Pure.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "orchestrator/ports/proposer.h"

namespace overnight::proposers {

// Uniform in [0, 1), the same on every platform (std::uniform_real_distribution is not).
double unit(std::mt19937_64& random);
// Standard normal, by inversion of `unit` (Box-Muller, one of the pair).
double normal(std::mt19937_64& random);

// The value at `u` in [0, 1) of a domain, equally likely on its scale; `steps_of` is the number of values of a whole or
// choice domain, 0 for a real one.
core::ParamValue at(const core::Dimension& dimension, double u);
std::int64_t steps_of(const core::Dimension& dimension);
// The other way: where a value lies in [0, 1]; the middle of its step for whole numbers and choices.
double position(const core::Dimension& dimension, const core::ParamValue& value);

// One random point of the space; conditional parameters only where they are active.
core::Params draw(const core::Space& space, std::mt19937_64& random);

}  // namespace overnight::proposers
