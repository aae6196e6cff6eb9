#include "evals/pareto.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace overnight::evals {
namespace {

using Places = std::vector<std::size_t>;

TEST(ParetoFront, IsWhatNothingElseBeats) {
  EXPECT_EQ(pareto_front({{1, 9}, {2, 3}, {3, 3}, {9, 1}, {9, 9}}), (Places{0, 1, 3}));
  EXPECT_EQ(pareto_front({}), Places{});
  EXPECT_EQ(pareto_front({{5, 5}}), Places{0});
}

TEST(ParetoFront, KeepsEqualPointsAndThoseThatAreBetterInOneThingOnly) {
  EXPECT_EQ(pareto_front({{1, 2}, {1, 2}}), (Places{0, 1}));
  EXPECT_EQ(pareto_front({{1, 2}, {1, 3}}), Places{0});
  EXPECT_EQ(pareto_front({{1, 3, 1}, {1, 2, 2}}), (Places{0, 1}));
}

TEST(ParetoFront, HasNoPointWithAnUnknownNumber) { EXPECT_EQ(pareto_front({{0, std::nan("")}, {1, 1}}), Places{1}); }

TEST(ParetoFront, IsThatOfComparingAllWithAll) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::vector<double>> points(60);
    for (auto& point : points) {
      for (int i = 0; i < 3; ++i) point.push_back(static_cast<double>(random() % 8));
    }
    Places expected;
    for (std::size_t a = 0; a < points.size(); ++a) {
      bool beaten = false;
      for (const auto& other : points)
        beaten = beaten || (other != points[a] && other[0] <= points[a][0] && other[1] <= points[a][1] &&
                            other[2] <= points[a][2]);
      if (!beaten) expected.push_back(a);
    }
    EXPECT_EQ(pareto_front(points), expected);
  }
}

}  // namespace
}  // namespace overnight::evals
