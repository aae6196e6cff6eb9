// Numbers for tests of optimizers: normal, the same for the same seed.
#pragma once

#include <cstddef>
#include <random>
#include <vector>

namespace overnight::workers {

using Floats = std::vector<float>;

inline Floats normal_numbers(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Floats values(count);
  for (float& value : values) value = normal(random);
  return values;
}

}  // namespace overnight::workers
