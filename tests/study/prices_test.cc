#include "orchestrator/study/prices.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/study/studies.h"

namespace overnight::study {
namespace {

using budgets::MicroUsd;
using budgets::Price;
using budgets::Tokens;

const std::string table = "date: 2026-11-24\nmodels:\n  small-1: {input: $0.15, output: $0.60}\n";
const std::string asks = "proposers=[{kind: llm, base_url: \"https://h\", model: small-1, api_key_env: K}]";

TEST(Prices, AreReadFromTheTable) {
  const auto prices = parse_prices(table, "prices.yaml");
  ASSERT_TRUE(prices);
  EXPECT_EQ(prices->date, "2026-11-24");
  EXPECT_EQ(prices->price_of("small-1"), (Price{MicroUsd::of(150'000), MicroUsd::of(600'000)}));
  EXPECT_FALSE(prices->price_of("small-1-2026-01-01"));
}

TEST(Prices, ATableThatIsWrongIsRefusedWithPlaces) {
  const auto prices = parse_prices("models:\n  m: {input: 3, out: $1}\n", "prices.yaml");
  ASSERT_FALSE(prices);
  EXPECT_EQ(words_of(prices.error()),
            "prices.yaml:1:1: date: is missing\n"
            "prices.yaml:2:6: models.m.output: is missing\n"
            "prices.yaml:2:14: models.m.input: \"3\" has no unit; write dollars like $20 or $0.05\n"
            "prices.yaml:2:17: models.m.out: is not a key here; did you mean \"output\"?\n");
}

TEST(Prices, CostIsRoundedUpAndNeverWrapsAround) {
  const Price price{MicroUsd::of(150'000), MicroUsd::of(600'000)};
  EXPECT_EQ(cost_of(price, Tokens::of(1'000'000), Tokens{}), MicroUsd::of(150'000));
  EXPECT_EQ(cost_of(price, Tokens::of(1), Tokens{}), MicroUsd::of(1));
  EXPECT_EQ(cost_of(price, Tokens::of(3), Tokens::of(5)), MicroUsd::of(4));
  EXPECT_EQ(cost_of(Price{MicroUsd::unlimited(), {}}, Tokens::unlimited(), {}), MicroUsd::unlimited());
}

TEST(Prices, AMoneyCapOverAModelWithoutPriceIsRefused) {
  const auto prices = parse_prices(table, "prices.yaml");
  const Surroundings known{std::nullopt, "", &*prices};
  EXPECT_EQ(words_of(errors_of(least, {asks, "budgets.run.llm_cost=$5"}, known)), "");
  EXPECT_EQ(words_of(errors_of(least, {asks})), "");  // no cap, nothing to hold
  const std::string said =
      words_of(errors_of(least, {asks, "proposers.0.model=other", "budgets.run.llm_cost=$5"}, known));
  EXPECT_NE(said.find("proposers[0].model: \"other\" has no known price, so budgets.run.llm_cost could not hold"),
            std::string::npos)
      << said;
  EXPECT_NE(words_of(errors_of(least, {asks, "budgets.run.llm_cost=$5"})), "");  // no table at all
  for (const char* own : {"proposers.0.price=free", "proposers.0.price={input: $1, output: $2}"})
    EXPECT_EQ(words_of(errors_of(least, {asks, own, "budgets.run.llm_cost=$5"})), "") << own;
}

TEST(Prices, AProposersOwnPriceStandsAboveTheTable) {
  const auto prices = parse_prices(table, "prices.yaml");
  const auto price_with = [&](const std::string& own) {
    const auto parsed = parse_study(least, "s.yaml", {asks, own});
    return price_of(parsed->study.proposers[0], &*prices);
  };
  EXPECT_EQ(price_with("proposers.0.price=free"), Price{});
  EXPECT_EQ(price_with("proposers.0.price={input: $1, output: $2.5}"),
            (Price{MicroUsd::of(1'000'000), MicroUsd::of(2'500'000)}));
  EXPECT_EQ(price_with("proposers.0.batch=2"), prices->price_of("small-1"));
}

TEST(Prices, TheShippedTableIsGood) {
  std::ifstream in(OVERNIGHT_CONFIGS "/prices.yaml");
  std::stringstream text;
  text << in.rdbuf();
  const auto prices = parse_prices(text.str(), "prices.yaml");
  ASSERT_TRUE(prices) << words_of(prices.error());
  EXPECT_GT(prices->models.size(), 10u);
  for (const auto& [model, price] : prices->models) {
    EXPECT_GT(price.input_per_million.count(), 0) << model;
    EXPECT_GE(price.output_per_million, price.input_per_million) << model;
  }
}

}  // namespace
}  // namespace overnight::study
