// What every proposer promises, asked of the fake and of the real ones.
#include <gtest/gtest.h>

#include "orchestrator/proposers/make_proposer.h"
#include "tests/core/home.h"
#include "tests/fakes/fake_proposer.h"

namespace overnight::contract_tests {
namespace {

core::Study study_with(const std::string& kind) {
  core::Study study = core::small_study();
  study.proposers = {{.kind = kind, .name = kind}};
  if (kind == "list") study.proposers[0].points = {{{"x", 0.25}}, {{"x", 0.75}}};
  return study;
}

class ProposerContract : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<ports::Proposer> make() {
    if (GetParam() == "fake")
      return std::make_unique<fakes::FakeProposer>(moods, random, budgets::Cost{.tokens = budgets::Tokens::of(5)});
    const core::Study study = study_with(GetParam());
    auto made = proposers::make_proposer(study, 0, {});
    if (!made) throw std::runtime_error(made.error());
    return std::move(*made);
  }
  // What is asked for when `known` points have been scored and `pending` are out.
  ports::AskRequest request(std::int64_t count, std::size_t known = 0) {
    ports::AskRequest ask;
    ask.count = count;
    ask.seed = 5;
    for (std::size_t i = 0; i < known; ++i) {
      const double x = static_cast<double>(i) / 64 + 0.003;
      ask.history.push_back({core::ExperimentId{static_cast<std::int64_t>(i)}, {{"x", x}}, x, "", "", ""});
    }
    return ask;
  }
  fakes::ProposerMoods moods;
  fakes::Random random{4};
};

TEST_P(ProposerContract, OffersPointsOfTheSpaceOrSaysThatItHasNothingMore) {
  const auto proposer = make();
  for (const std::size_t known : {0u, 1u, 30u}) {
    const ports::Answer answer = proposer->ask(request(2, known));
    EXPECT_EQ(answer.failure, "");
    EXPECT_TRUE(!answer.proposals.empty() || answer.exhausted);
    for (const core::Proposal& one : answer.proposals)
      EXPECT_TRUE(core::canonical(study_with(GetParam()).space, one.params)) << core::canonical_text(one.params);
  }
}

TEST_P(ProposerContract, CostsNoMoreThanItsWorstCase) {
  const auto proposer = make();
  const ports::Answer answer = proposer->ask(request(2));
  EXPECT_LE(answer.used.tokens, proposer->worst_case().tokens);
  EXPECT_LE(answer.used.money, proposer->worst_case().money);
}

TEST_P(ProposerContract, SurvivesACancelWithoutAnAsk) {
  const auto proposer = make();
  proposer->cancel();
}

// What the core does not rely on, so that the fake has moods here; but people do.
class RealProposer : public ProposerContract {};

TEST_P(RealProposer, TheSameHistoryAndSeedGiveTheSameOffers) {
  EXPECT_EQ(make()->ask(request(3, 20)), make()->ask(request(3, 20)));
}

TEST_P(RealProposer, DoesNotOfferAgainWhatIsPending) {
  const auto proposer = make();
  ports::AskRequest ask = request(1);
  const ports::Answer first = proposer->ask(ask);
  ASSERT_EQ(first.proposals.size(), 1u);
  ask.pending = {first.proposals[0].params};
  const ports::Answer second = proposer->ask(ask);
  ASSERT_EQ(second.proposals.size(), 1u);
  EXPECT_NE(second.proposals[0].params, first.proposals[0].params);
}

INSTANTIATE_TEST_SUITE_P(Proposer, RealProposer, testing::Values("random", "grid", "list", "sobol", "tpe"),
                         [](const auto& kind) { return kind.param; });
INSTANTIATE_TEST_SUITE_P(Proposer, ProposerContract, testing::Values("fake", "random", "grid", "list", "sobol", "tpe"),
                         [](const auto& kind) { return kind.param; });

}  // namespace
}  // namespace overnight::contract_tests
