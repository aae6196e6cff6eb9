// A count with a unit that the compiler checks.
//
// A value. Integers only, explicit in (`of`) and explicit out (`count`): a token cannot be added to a dollar, and no
// raw number slips in. A result that does not fit 64 bits is a bug, because a budget that wraps around is no budget.
#pragma once

#include <compare>
#include <cstdint>

#include "budgets/invariant.h"

namespace overnight::budgets {

template <typename Unit>
class Quantity {
 public:
  constexpr Quantity() = default;

  static constexpr Quantity of(std::int64_t count) { return Quantity(count); }
  // The largest value; stands for "no limit" where a limit may be left out.
  static constexpr Quantity unlimited() { return Quantity(INT64_MAX / 4); }
  constexpr std::int64_t count() const { return count_; }
  constexpr bool is_unlimited() const { return count_ >= INT64_MAX / 4; }

  friend constexpr auto operator<=>(Quantity, Quantity) = default;

  friend constexpr Quantity operator+(Quantity a, Quantity b) {
    std::int64_t sum = 0;
    INVARIANT(!__builtin_add_overflow(a.count_, b.count_, &sum), "a sum of quantities fits 64 bits");
    return Quantity(sum);
  }
  friend constexpr Quantity operator-(Quantity a, Quantity b) {
    std::int64_t difference = 0;
    INVARIANT(!__builtin_sub_overflow(a.count_, b.count_, &difference), "a difference of quantities fits 64 bits");
    return Quantity(difference);
  }
  friend constexpr Quantity operator*(Quantity a, std::int64_t times) {
    std::int64_t product = 0;
    INVARIANT(!__builtin_mul_overflow(a.count_, times, &product), "a product of quantities fits 64 bits");
    return Quantity(product);
  }
  constexpr Quantity& operator+=(Quantity other) { return *this = *this + other; }
  constexpr Quantity& operator-=(Quantity other) { return *this = *this - other; }

 private:
  explicit constexpr Quantity(std::int64_t count) : count_(count) {}

  std::int64_t count_ = 0;
};

}  // namespace overnight::budgets
