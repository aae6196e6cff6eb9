// What a model's tokens cost. Values; pure. Read from configs/prices.yaml by orchestrator/study; an unknown model has
// no price, and never the price 0.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "budgets/units.h"

namespace overnight::budgets {

struct Price {
  MicroUsd input_per_million;  // of a million tokens sent
  MicroUsd output_per_million;
  bool operator==(const Price&) const = default;
};

// Rounded up, against the spender; what does not fit is unlimited().
inline MicroUsd cost_of(const Price& price, Tokens input, Tokens output) {
  __extension__ using Wide = __int128;
  const Wide exact = static_cast<Wide>(input.count()) * price.input_per_million.count() +
                     static_cast<Wide>(output.count()) * price.output_per_million.count();
  const Wide rounded = (exact + 999'999) / 1'000'000;
  const MicroUsd most = MicroUsd::unlimited();
  return rounded >= most.count() ? most : MicroUsd::of(static_cast<std::int64_t>(rounded));
}

struct Prices {
  std::string date;  // when they were looked up, "2026-11-24"
  std::map<std::string, Price> models;

  // By the exact name: a dated or regional variant may cost something else.
  std::optional<Price> price_of(const std::string& model) const {
    const auto found = models.find(model);
    return found == models.end() ? std::nullopt : std::optional(found->second);
  }
  bool operator==(const Prices&) const = default;
};

}  // namespace overnight::budgets
