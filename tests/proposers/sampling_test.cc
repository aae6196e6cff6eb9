#include "orchestrator/proposers/sampling_proposers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "orchestrator/proposers/make_proposer.h"
#include "tests/proposers/asked.h"

namespace overnight::proposers {
namespace {

std::optional<double> one(const core::Params&) { return 1.0; }

TEST(Random, OffersOnlyPointsOfTheSpaceAndNeverAKnownOne) {
  RandomProposer random(mixed_space());
  Asked asked{random};
  std::set<std::string> seen;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    for (const core::Proposal& proposal : asked.once(4, seed, one).proposals) {
      const auto point = core::canonical(mixed_space(), proposal.params);
      ASSERT_TRUE(point) << point.error().explain;
      EXPECT_EQ(*point, proposal.params);
      EXPECT_TRUE(seen.insert(core::canonical_hash(proposal.params)).second);
    }
  }
}

TEST(Random, TheSameSeedAndHistoryGiveTheSameOffers) {
  RandomProposer random(mixed_space());
  Asked a{random}, b{random};
  EXPECT_EQ(a.once(8, 42, one), b.once(8, 42, one));
  EXPECT_NE(a.once(8, 42, one), b.once(8, 43, one));
}

TEST(Grid, HasEveryCombinationOnceAndRespectsConditions) {
  const auto points = grid_points(mixed_space(), 3);
  // 3 learning rates, 3 depths; mamba2 alone has 3 state sizes.
  EXPECT_EQ(points.size(), 3u * 3u * (1u + 1u + 3u));
  std::set<std::string> seen;
  for (const core::Params& point : points) {
    EXPECT_TRUE(core::canonical(mixed_space(), point));
    EXPECT_TRUE(seen.insert(core::canonical_hash(point)).second);
    EXPECT_EQ(point.contains("state"), std::get<std::string>(point.at("mixer")) == "mamba2");
  }
}

TEST(Grid, TheEndsOfARangeAreOnIt) {
  const auto points = grid_points(mixed_space(), 3);
  const auto has = [&](double lr) {
    return std::any_of(points.begin(), points.end(),
                       [&](const core::Params& p) { return std::abs(std::get<double>(p.at("lr")) - lr) < 1e-9; });
  };
  EXPECT_TRUE(has(1e-4));
  EXPECT_TRUE(has(1e-1));
}

TEST(List, OffersEachPointOnceAndThenIsExhausted) {
  ListProposer list({{{"x", 1.0}}, {{"x", 2.0}}, {{"x", 3.0}}});
  Asked asked{list};
  EXPECT_FALSE(asked.once(2, 1, one).exhausted);
  const auto last = asked.once(2, 1, one);
  EXPECT_EQ(last.proposals.size(), 1u);
  EXPECT_TRUE(last.exhausted);
}

TEST(Sobol, TheFirstPointsAreThoseOfThePublishedSequence) {
  // Dimension 1: 0, 1/2, 3/4, 1/4, 3/8, 7/8, 5/8, 1/8; dimension 2: 0, 1/2, 1/4, 3/4, 3/8, 7/8, 1/8, 5/8; dimension 3:
  // 0 1/2 1/4 3/4 5/8 1/8 7/8 3/8.
  const double first[3][8] = {{0, .5, .75, .25, .375, .875, .625, .125},
                              {0, .5, .25, .75, .375, .875, .125, .625},
                              {0, .5, .25, .75, .625, .125, .875, .375}};
  for (std::size_t d = 0; d < 3; ++d) {
    for (std::uint32_t i = 0; i < 8; ++i)
      EXPECT_EQ(static_cast<double>(sobol(d, i)) * 0x1.0p-32, first[d][i]) << d << " " << i;
  }
}

TEST(Sobol, EveryDimensionIsEvenlyFilledAtPowersOfTwo) {
  for (std::size_t d = 0; d < sobol_dimensions_max; ++d) {
    std::set<std::uint32_t> cells;
    for (std::uint32_t i = 0; i < 256; ++i) cells.insert(sobol(d, i) >> 24);
    EXPECT_EQ(cells.size(), 256u) << d;
  }
}

TEST(Sobol, GoesOnAfterACrashWhereItWas) {
  SobolProposer sequence(mixed_space(), 7);
  Asked whole{sequence}, parts{sequence};
  const auto eight = whole.once(8, 1, one);
  const auto four = parts.once(4, 2, one);
  const auto rest = parts.once(4, 3, one);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(eight.proposals[i], four.proposals[i]);
    EXPECT_EQ(eight.proposals[i + 4], rest.proposals[i]);
  }
}

TEST(MakeProposer, RefusesSettingsThatMakeNoSense) {
  core::Study study;
  study.space = mixed_space();
  study.proposers.push_back({.kind = "tpe", .name = "tpe", .settings = {{"gamma", "2"}}});
  EXPECT_EQ(make_proposer(study, 0, {}).error(), "gamma: \"2\" is not a number from 0.010000 to 0.500000");
  study.proposers[0] = {.kind = "grid", .name = "grid", .settings = {{"points_per_dimension", "900"}}};
  EXPECT_NE(make_proposer(study, 0, {}).error().find("more than 100000 points"), std::string::npos);
}

}  // namespace
}  // namespace overnight::proposers
