// What anything takes, in every dimension that a budget bounds. A value; integers, rounded against the spender.
#pragma once

#include "budgets/units.h"

namespace overnight::budgets {

struct Cost {
  SlotMillis slot_time;
  GpuMillis gpu_time;
  Experiments experiments;
  Actions actions;
  MicroUsd money;
  Tokens tokens;
  Bytes disk;  // a stock, not a flow: what was settled comes back when artifacts are deleted (Ledger::give_back)

  friend bool operator==(const Cost&, const Cost&) = default;

  // The same arithmetic in every dimension; `combine` takes two quantities of one unit and returns one.
  template <typename Combine>
  static Cost each(const Cost& a, const Cost& b, Combine combine) {
    return {combine(a.slot_time, b.slot_time),
            combine(a.gpu_time, b.gpu_time),
            combine(a.experiments, b.experiments),
            combine(a.actions, b.actions),
            combine(a.money, b.money),
            combine(a.tokens, b.tokens),
            combine(a.disk, b.disk)};
  }
  friend Cost operator+(const Cost& a, const Cost& b) {
    return each(a, b, [](auto x, auto y) { return x + y; });
  }
  friend Cost operator-(const Cost& a, const Cost& b) {
    return each(a, b, [](auto x, auto y) { return x - y; });
  }

  static Cost unlimited() {
    return {SlotMillis::unlimited(), GpuMillis::unlimited(), Experiments::unlimited(), Actions::unlimited(),
            MicroUsd::unlimited(),   Tokens::unlimited(),    Bytes::unlimited()};
  }
};

}  // namespace overnight::budgets
