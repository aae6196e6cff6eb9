#include "orchestrator/proposers/draw.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace overnight::proposers {
namespace {

std::int64_t steps(const core::IntRange& range) { return (range.high - range.low) / range.step + 1; }

// Whole numbers on a log scale: each owns the part of the axis around it.
double log_edge(const core::IntRange& range, bool low) {
  return low ? std::log(static_cast<double>(range.low) -
                        0.5 * static_cast<double>(std::min<std::int64_t>(range.step, range.low)))
             : std::log(static_cast<double>(range.high) + 0.5 * static_cast<double>(range.step));
}

core::ParamValue at(const core::FloatRange& range, double u) {
  const double value = range.scale == core::Scale::log
                           ? std::exp(std::log(range.low) + u * (std::log(range.high) - std::log(range.low)))
                           : range.low + u * (range.high - range.low);
  return std::clamp(value, range.low, range.high);
}

core::ParamValue at(const core::IntRange& range, double u) {
  const std::int64_t last = steps(range) - 1;
  std::int64_t step = 0;
  if (range.scale == core::Scale::linear) {
    step = static_cast<std::int64_t>(u * static_cast<double>(last + 1));
  } else {
    const double low = log_edge(range, true), high = log_edge(range, false);
    const double value = std::exp(low + u * (high - low));
    step = static_cast<std::int64_t>(
        std::llround((value - static_cast<double>(range.low)) / static_cast<double>(range.step)));
  }
  return range.low + range.step * std::clamp<std::int64_t>(step, 0, last);
}

core::ParamValue at(const core::Choice& choice, double u) {
  const auto index = static_cast<std::size_t>(u * static_cast<double>(choice.values.size()));
  return choice.values[std::min(index, choice.values.size() - 1)];
}

double number_of(const core::ParamValue& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  return 0;
}

double position(const core::FloatRange& range, const core::ParamValue& value) {
  const double x = std::clamp(number_of(value), range.low, range.high);
  if (range.scale == core::Scale::log)
    return (std::log(x) - std::log(range.low)) / (std::log(range.high) - std::log(range.low));
  return (x - range.low) / (range.high - range.low);
}

double position(const core::IntRange& range, const core::ParamValue& value) {
  const double x = std::clamp(number_of(value), static_cast<double>(range.low), static_cast<double>(range.high));
  if (range.scale == core::Scale::log) {
    const double low = log_edge(range, true), high = log_edge(range, false);
    return (std::log(x) - low) / (high - low);
  }
  return ((x - static_cast<double>(range.low)) / static_cast<double>(range.step) + 0.5) /
         static_cast<double>(steps(range));
}

double position(const core::Choice& choice, const core::ParamValue& value) {
  const auto found = std::find(choice.values.begin(), choice.values.end(), value);
  return (static_cast<double>(found - choice.values.begin()) + 0.5) / static_cast<double>(choice.values.size());
}

}  // namespace

double unit(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1.0p-53; }

double normal(std::mt19937_64& random) {
  const double radius = std::sqrt(-2 * std::log(1 - unit(random)));
  return radius * std::cos(2 * std::numbers::pi * unit(random));
}

core::ParamValue at(const core::Dimension& dimension, double u) {
  return std::visit([&](const auto& domain) { return at(domain, std::clamp(u, 0.0, 0x1.fffffffffffffp-1)); },
                    dimension.domain);
}

std::int64_t steps_of(const core::Dimension& dimension) {
  if (const auto* whole = std::get_if<core::IntRange>(&dimension.domain)) return steps(*whole);
  if (const auto* choice = std::get_if<core::Choice>(&dimension.domain))
    return static_cast<std::int64_t>(choice->values.size());
  return 0;
}

double position(const core::Dimension& dimension, const core::ParamValue& value) {
  return std::visit([&](const auto& domain) { return position(domain, value); }, dimension.domain);
}

core::Params draw(const core::Space& space, std::mt19937_64& random) {
  core::Params point;
  for (const core::Dimension& dimension : space.dimensions) {
    if (core::is_active(dimension, point)) point[dimension.name] = at(dimension, unit(random));
  }
  return point;
}

}  // namespace overnight::proposers
