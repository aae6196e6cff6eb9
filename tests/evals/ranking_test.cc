#include "evals/ranking.h"

#include <gtest/gtest.h>

namespace overnight::evals {
namespace {

Sample one(double score) { return {1, score, 0}; }

TEST(Places, AreCountedAsInACompetition) {
  const std::vector<Sample> scores{one(1.0), one(2.0), one(2.05), one(3.0)};
  EXPECT_EQ(places(scores, Noise{0.1, 100}, 0), (std::vector<Place>{{1, false}, {2, true}, {2, true}, {4, false}}));
}

TEST(Places, CountTiesFromTheTopBecauseTheyAreNotTransitive) {
  // Each is a tie with its neighbour; the third is none with the first, and begins a group of its own.
  const std::vector<Sample> scores{one(1.0), one(1.2), one(1.4)};
  EXPECT_EQ(places(scores, Noise{0.1, 100}, 0), (std::vector<Place>{{1, true}, {1, true}, {3, false}}));
}

TEST(Places, KnowOnlyTheMinimumEffectWhereNoiseIsUnknown) {
  const std::vector<Sample> scores{one(1.0), one(1.004), one(1.02), one(1.02)};
  EXPECT_EQ(places(scores, std::nullopt, 0.005), (std::vector<Place>{{1, true}, {1, true}, {3, true}, {3, true}}));
}

TEST(Places, OfNothingAreNone) { EXPECT_TRUE(places({}, std::nullopt, 0).empty()); }

}  // namespace
}  // namespace overnight::evals
