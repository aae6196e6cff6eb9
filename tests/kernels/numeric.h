// Random inputs and derivatives by central differences in double precision, for checks of hand-written backward passes.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "tests/kernels/reachable.h"

namespace overnight::kernels {

using Doubles = std::vector<double>;

inline Doubles draw(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Doubles values(count);
  // Rounded to floats, so that both precisions start from the same numbers.
  for (double& value : values) value = static_cast<float>(static_cast<double>(random() >> 11) * 0x1.0p-52 - 1.0);
  return values;
}

template <typename Real>
Numbers<Real> narrow(const Doubles& values) {
  return {values.begin(), values.end()};
}

// What no op may leave in its output: reads of it show.
template <typename Real>
Numbers<Real> poisoned(std::size_t count) {
  return Numbers<Real>(count, std::numeric_limits<Real>::quiet_NaN());
}

inline double dot(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// d f / d x by central differences.
inline Doubles numeric_gradient(const std::function<double(const Doubles&)>& f, Doubles x) {
  constexpr double step = 1e-5;
  Doubles gradient(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double at = x[i];
    x[i] = at + step;
    const double above = f(x);
    x[i] = at - step;
    gradient[i] = (above - f(x)) / (2 * step);
    x[i] = at;
  }
  return gradient;
}

// The largest difference, relative to the largest value.
template <typename Real>
double distance(const Numbers<Real>& actual, const Doubles& expected) {
  double largest = 1e-3, difference = 0;  // beside nothing at all, a thousandth
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    const double here = std::abs(static_cast<double>(actual[i]) - expected[i]);
    if (!(here <= difference)) difference = here;  // a NaN stays
  }
  return difference / largest;
}

}  // namespace overnight::kernels
