// From values to places on paper, with ticks that people read easily. Values; pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace overnight::report {

struct Tick {
  double value = 0;
  std::string label;
};

class Axis {
 public:
  // `low` to `high` is drawn from `from` to `to` (from > to for an axis that goes up); an empty or upside-down range is
  // widened. About `ticks_wanted` ticks.
  static Axis linear(double low, double high, double from, double to, int ticks_wanted = 5);
  // INVARIANT: low > 0. Decades, or 1-2-5 where there are few.
  static Axis logarithmic(double low, double high, double from, double to);
  // Ticks at round lengths of time: 5 s, 10 min, 2 h.
  static Axis elapsed(std::int64_t high_ms, double from, double to);

  double at(double value) const;  // not clipped
  bool holds(double value) const { return value >= low_ && value <= high_; }
  double low() const { return low_; }
  double high() const { return high_; }
  const std::vector<Tick>& ticks() const { return ticks_; }

 private:
  double low_ = 0, high_ = 1, from_ = 0, to_ = 1;
  bool log_ = false;
  std::vector<Tick> ticks_;
};

}  // namespace overnight::report
