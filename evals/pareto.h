// What is worth choosing when more than one thing matters. Pure.
#pragma once

#include <cstddef>
#include <vector>

namespace overnight::evals {

// The places of those points that no other dominates, in the order given. A point has a number per aim, less is better,
// as many in each; another dominates it if it is nowhere worse and somewhere better. Equal points do not dominate each
// other. A point with a NaN in it is not among them. After sorting, each is compared with those found before it alone:
// n log n for a short front.
std::vector<std::size_t> pareto_front(const std::vector<std::vector<double>>& points);

}  // namespace overnight::evals
