#include "orchestrator/proposers/tpe_proposer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "orchestrator/proposers/sampling_proposers.h"
#include "tests/proposers/asked.h"

namespace overnight::proposers {
namespace {

// Best at lr = 3e-3, depth 4, mixer mamba2 with state 64; depth 8 crashes.
std::optional<double> bowl(const core::Params& point) {
  const double lr = std::log10(std::get<double>(point.at("lr"))) + 2.5228787;
  const auto depth = static_cast<double>(std::get<std::int64_t>(point.at("depth")));
  if (depth == 8) return std::nullopt;
  double loss = lr * lr + 0.05 * (depth - 4) * (depth - 4);
  if (std::get<std::string>(point.at("mixer")) != "mamba2") return loss + 0.5;
  const double state = std::log2(static_cast<double>(std::get<std::int64_t>(point.at("state")))) - 6;
  return loss + 0.1 * state * state;
}

double best_after(ports::Proposer& proposer, int trials, std::int64_t at_once, std::uint64_t seed) {
  Asked asked{proposer};
  double best = 1e9;
  for (int i = 0; i < trials; i += static_cast<int>(at_once)) {
    asked.once(at_once, seed * 1000 + static_cast<std::uint64_t>(i), [&](const core::Params& point) {
      const auto loss = bowl(point);
      if (loss) best = std::min(best, *loss);
      return loss;
    });
  }
  return best;
}

TEST(Tpe, OffersOnlyPointsOfTheSpace) {
  TpeProposer tpe(mixed_space(), core::Direction::minimize, {});
  Asked asked{tpe};
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    for (const core::Proposal& proposal : asked.once(2, seed, bowl).proposals) {
      const auto point = core::canonical(mixed_space(), proposal.params);
      ASSERT_TRUE(point) << point.error().explain;
      EXPECT_EQ(*point, proposal.params);
    }
  }
}

TEST(Tpe, IsAFoldOverHistory) {
  TpeProposer a(mixed_space(), core::Direction::minimize, {}), b(mixed_space(), core::Direction::minimize, {});
  Asked first{a};
  for (std::uint64_t seed = 1; seed <= 30; ++seed) first.once(1, seed, bowl);
  Asked second{b};
  second.request.history = first.request.history;
  EXPECT_EQ(first.once(4, 99, bowl), second.once(4, 99, bowl));
}

TEST(Tpe, FindsBetterPointsThanRandomSearchWithConditionsAndFailures) {
  double tpe_sum = 0, random_sum = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    TpeProposer tpe(mixed_space(), core::Direction::minimize, {});
    RandomProposer random(mixed_space());
    tpe_sum += best_after(tpe, 80, 4, seed);
    random_sum += best_after(random, 80, 4, seed);
  }
  EXPECT_LT(tpe_sum, 0.5 * random_sum);
}

TEST(Tpe, MaximizesWhenAskedTo) {
  core::Space space;
  space.dimensions.push_back({"x", core::FloatRange{0, 1, core::Scale::linear}, {}});
  TpeProposer tpe(space, core::Direction::maximize, {});
  Asked asked{tpe};
  for (std::uint64_t seed = 1; seed <= 40; ++seed)
    asked.once(1, seed, [](const core::Params& p) { return std::get<double>(p.at("x")); });
  EXPECT_GT(std::get<double>(asked.request.history.back().params.at("x")), 0.8);
}

TEST(Tpe, ParallelOffersSpreadOut) {
  TpeProposer tpe(mixed_space(), core::Direction::minimize, {});
  Asked asked{tpe};
  for (std::uint64_t seed = 1; seed <= 30; ++seed) asked.once(1, seed, bowl);
  std::set<std::string> offers;
  for (const core::Proposal& proposal : asked.once(8, 5, bowl).proposals)
    offers.insert(core::canonical_hash(proposal.params));
  EXPECT_EQ(offers.size(), 8u);
}

}  // namespace
}  // namespace overnight::proposers
