#include "orchestrator/report/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "budgets/invariant.h"
#include "orchestrator/report/words.h"

namespace overnight::report {
namespace {

// 1, 2 or 5 times a power of ten, the one that comes closest to `wanted` steps in the range.
double round_step(double range, int wanted) {
  const double rough = range / std::max(1, wanted);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double times = rough / power;
  return power * (times < 1.5 ? 1 : times < 3.5 ? 2 : times < 7.5 ? 5 : 10);
}

std::string power_label(double value) {
  if (value >= 0.001 && value < 1e5) return fmt::format("{:g}", value);
  if (value >= 1e5 && value < 1e6) return fmt::format("{:g}k", value / 1e3);
  if (value >= 1e6 && value < 1e9) return fmt::format("{:g}M", value / 1e6);
  if (value >= 1e9 && value < 1e12) return fmt::format("{:g}G", value / 1e9);
  return fmt::format("{:.0e}", value);
}

}  // namespace

Axis Axis::linear(double low, double high, double from, double to, int ticks_wanted) {
  if (!(high > low)) {
    const double room = low == 0 ? 1 : std::abs(low) * 0.05;
    high = low + room;
    low -= room;
  }
  Axis axis;
  axis.low_ = low, axis.high_ = high, axis.from_ = from, axis.to_ = to;
  const double step = round_step(high - low, ticks_wanted);
  const int decimals = std::clamp(-static_cast<int>(std::floor(std::log10(step) + 1e-9)), 0, 12);
  const double first = std::ceil(low / step - 1e-9);
  for (int i = 0; i <= 2 * ticks_wanted + 2; ++i) {
    const double value = (first + i) * step;
    if (value > high + step * 1e-9) break;
    const bool large = decimals == 0 && std::abs(value) >= 10'000 && std::abs(value) < 1e15;
    axis.ticks_.push_back({value, std::abs(value) < step / 2 ? "0"
                                  : large                    ? count_words(std::llround(value))
                                                             : number_words(value, decimals)});
  }
  return axis;
}

Axis Axis::logarithmic(double low, double high, double from, double to) {
  INVARIANT(low > 0, "a logarithmic axis begins above 0");
  if (!(high > low * 1.0001)) high = low * 1.1, low /= 1.1;
  Axis axis;
  axis.low_ = low, axis.high_ = high, axis.from_ = from, axis.to_ = to, axis.log_ = true;
  const int first = static_cast<int>(std::floor(std::log10(low))), last = static_cast<int>(std::ceil(std::log10(high)));
  const int every = std::max(1, (last - first + 5) / 6);
  for (int power = first; power <= last; ++power) {
    const double decade = std::pow(10, power);
    for (const double times : {1.0, 2.0, 5.0}) {
      if (times > 1 && last - first > 3) continue;
      if ((power - first) % every != 0) continue;
      const double value = times * decade;
      if (value >= low * 0.999 && value <= high * 1.001) axis.ticks_.push_back({value, power_label(value)});
    }
  }
  if (axis.ticks_.size() < 2) axis.ticks_ = {{low, number_words(low)}, {high, number_words(high)}};
  return axis;
}

Axis Axis::elapsed(std::int64_t high_ms, double from, double to) {
  constexpr std::int64_t s = 1000, min = 60 * s, h = 60 * min, d = 24 * h;
  constexpr std::int64_t steps[] = {s / 10, s / 5, s / 2,   s,       2 * s,    5 * s,    10 * s,   15 * s,
                                    30 * s, min,   2 * min, 5 * min, 10 * min, 15 * min, 30 * min, h,
                                    2 * h,  3 * h, 6 * h,   12 * h,  d,        2 * d,    7 * d};
  high_ms = std::max<std::int64_t>(high_ms, s);
  std::int64_t step = steps[std::size(steps) - 1];
  for (const std::int64_t one : steps) {
    if (high_ms / one <= 8) {
      step = one;
      break;
    }
  }
  Axis axis;
  axis.high_ = static_cast<double>(high_ms), axis.from_ = from, axis.to_ = to;
  for (std::int64_t at = 0; at <= high_ms && axis.ticks_.size() < 400; at += step) {
    std::string label = at == 0 ? "0" : duration_words(at);
    if (at > 0 && step < s) label = fmt::format("{:g} s", static_cast<double>(at) / 1000);
    if (at > 0 && step >= s && at < 10 * s) label = fmt::format("{} s", at / s);
    axis.ticks_.push_back({static_cast<double>(at), label});
  }
  return axis;
}

double Axis::at(double value) const {
  const double share =
      log_ ? std::log(std::max(value, 1e-300) / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
  return from_ + share * (to_ - from_);
}

}  // namespace overnight::report
