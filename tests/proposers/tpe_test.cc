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

TEST(Tpe, FailedTrialsCountAsBad) {
  core::Space space;
  space.dimensions.push_back({"x", core::FloatRange{0, 1, core::Scale::linear}, {}});
  TpeProposer tpe(space, core::Direction::minimize, {});
  Asked asked{tpe};
  // All scores are equal: only the failures tell the halves apart.
  int failed_late = 0;
  for (std::uint64_t seed = 1; seed <= 80; ++seed) {
    asked.once(1, seed, [&](const core::Params& point) -> std::optional<double> {
      const bool fails = std::get<double>(point.at("x")) > 0.5;
      if (fails && seed > 40) ++failed_late;
      return fails ? std::nullopt : std::optional(1.0);
    });
  }
  EXPECT_LE(failed_late, 10) << "half of them, 20, if failures taught nothing";
}

TEST(Tpe, ParallelAsksNeverRepeatWhatIsPending) {
  core::Space space;
  space.dimensions.push_back({"n", core::IntRange{1, 40, core::Scale::linear, 1}, {}});
  TpeProposer tpe(space, core::Direction::minimize, {});
  ports::AskRequest request;
  for (std::int64_t n = 1; n <= 12; ++n)
    request.history.push_back({core::ExperimentId{n}, {{"n", n}}, std::abs(static_cast<double>(n) - 5), "", "", ""});
  std::set<std::int64_t> pending;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {  // answers of the earlier asks have not come back
    request.count = 2;
    request.seed = seed;
    for (const core::Proposal& proposal : tpe.ask(request).proposals) {
      const auto n = std::get<std::int64_t>(proposal.params.at("n"));
      EXPECT_TRUE(n > 12 && pending.insert(n).second) << n << " was offered before";
      request.pending.push_back(proposal.params);
    }
  }
}

}  // namespace
}  // namespace overnight::proposers
