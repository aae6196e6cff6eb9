#include "evals/pareto.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace overnight::evals {
namespace {

using Point = std::vector<double>;

bool dominates(const Point& a, const Point& b) {
  bool better = false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] > b[i]) return false;
    better = better || a[i] < b[i];
  }
  return better;
}

}  // namespace

std::vector<std::size_t> pareto_front(const std::vector<Point>& points) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (std::none_of(points[i].begin(), points[i].end(), [](double x) { return std::isnan(x); })) order.push_back(i);
  }
  // Whatever dominates a point stands before it in this order.
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return points[a] < points[b]; });
  std::vector<std::size_t> front;
  for (const std::size_t one : order) {
    if (std::none_of(front.begin(), front.end(),
                     [&](std::size_t better) { return dominates(points[better], points[one]); }))
      front.push_back(one);
  }
  std::sort(front.begin(), front.end());
  return front;
}

}  // namespace overnight::evals
