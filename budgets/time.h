// Time as strong types; there is no now() here. Values.
//
// `Moment` counts milliseconds of the orchestrator's life on a clock that does not jump (CLOCK_BOOTTIME) and is used
// for every decision; `WallTime` counts milliseconds since 1970 (UTC) and is used for records and for `until`.
#pragma once

#include <compare>
#include <cstdint>

#include "budgets/quantity.h"

namespace overnight::budgets {

using Millis = Quantity<struct MillisUnit>;  // a length of time

constexpr Millis seconds(std::int64_t count) { return Millis::of(count) * 1000; }

template <typename Clock>
class Point {
 public:
  constexpr Point() = default;
  static constexpr Point at(std::int64_t ms) { return Point(ms); }
  static constexpr Point never() { return Point(INT64_MAX / 4); }
  constexpr std::int64_t ms() const { return ms_; }

  friend constexpr auto operator<=>(Point, Point) = default;
  friend constexpr Point operator+(Point p, Millis d) { return Point((Millis::of(p.ms_) + d).count()); }
  friend constexpr Point operator-(Point p, Millis d) { return Point((Millis::of(p.ms_) - d).count()); }
  friend constexpr Millis operator-(Point a, Point b) { return Millis::of(a.ms_) - Millis::of(b.ms_); }

 private:
  explicit constexpr Point(std::int64_t ms) : ms_(ms) {}
  std::int64_t ms_ = 0;
};

using Moment = Point<struct BootClock>;
using WallTime = Point<struct UtcClock>;

}  // namespace overnight::budgets
