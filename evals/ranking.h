// An order with ties. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "evals/statistics.h"

namespace overnight::evals {

struct Place {
  std::int64_t rank = 0;  // as in a competition: 1, 2=, 2=, 4
  bool tied = false;      // shares its rank with another
  bool operator==(const Place&) const = default;
};

// The places of results that stand in order, best first. Being a tie is not transitive (a = b, b = c, a better than c),
// so ties are counted from the top: all that follow the best of a group and are a tie with it share its rank; the first
// that is not begins the next group.
std::vector<Place> places(std::span<const Sample> best_first, const std::optional<Noise>& noise, double minimum_effect,
                          double confidence = usual_confidence);

}  // namespace overnight::evals
