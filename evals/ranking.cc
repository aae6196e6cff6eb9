#include "evals/ranking.h"

namespace overnight::evals {

std::vector<Place> places(std::span<const Sample> best_first, const std::optional<Noise>& noise, double minimum_effect,
                          double confidence) {
  std::vector<Place> all(best_first.size());
  for (std::size_t first = 0; first < all.size();) {
    std::size_t end = first + 1;
    while (end < all.size() &&
           is_tie(difference(best_first[end], best_first[first], noise, confidence), minimum_effect))
      ++end;
    for (std::size_t i = first; i < end; ++i) all[i] = {static_cast<std::int64_t>(first) + 1, end - first > 1};
    first = end;
  }
  return all;
}

}  // namespace overnight::evals
