// Proposals that others wrote: every refusal, every leniency, and text made fit to be shown.
#include "orchestrator/proposers/offers.h"

#include <gtest/gtest.h>

#include "orchestrator/proposers/strict_json.h"
#include "orchestrator/proposers/told.h"
#include "tests/proposers/asked.h"

namespace overnight::proposers {
namespace {

using nlohmann::json;

const std::set<core::ExperimentId> known{core::ExperimentId{3}, core::ExperimentId{7}};

Offers read(const std::string& list, std::int64_t count = 8) {
  return offers_of(json::parse(list), mixed_space(), known, count);
}

std::string problem_of(const std::string& proposal) {
  const Offers offers = read("[" + proposal + "]");
  EXPECT_TRUE(offers.proposals.empty());
  EXPECT_EQ(offers.refused, 1);
  return offers.problem;
}

std::string with_params(const std::string& params) { return R"({"params":)" + params + "}"; }

TEST(Offers, AGoodProposalIsTakenAsItIs) {
  const Offers offers =
      read(R"([{"params":{"lr":0.01,"depth":4,"mixer":"mamba2","state":64},"hypothesis":"deeper","parents":[3,7]}])");
  ASSERT_EQ(offers.proposals.size(), 1u) << offers.problem;
  EXPECT_EQ(offers.problem, "");
  EXPECT_EQ(offers.proposals[0].hypothesis, "deeper");
  EXPECT_EQ(offers.proposals[0].parents.size(), 2u);
  EXPECT_EQ(offers.proposals[0].params.at("state"), core::ParamValue(std::int64_t{64}));
}

TEST(Offers, WhatIsNotExactlyAProposalIsRefusedWithPlaceAndReason) {
  const std::string good = R"({"lr":0.01,"depth":4,"mixer":"conv"})";
  EXPECT_EQ(problem_of("7"), "proposals[0]: must be an object with params");
  EXPECT_EQ(problem_of("{}"), "proposals[0].params: is missing");
  EXPECT_EQ(problem_of(with_params("[]")), "proposals[0].params: must be an object of parameters");
  EXPECT_EQ(problem_of(with_params(R"({"lr":0.01,"depth":4})")), "proposals[0].params.mixer: missing");
  EXPECT_EQ(problem_of(with_params(R"({"lr":0.5,"depth":4,"mixer":"conv"})")),
            "proposals[0].params.lr: 0.5 is above 0.1");
  EXPECT_EQ(problem_of(with_params(R"({"lr":0.01,"depth":0,"mixer":"conv"})")),
            "proposals[0].params.depth: 0 is below 1");
  EXPECT_EQ(problem_of(with_params(R"({"lr":0.01,"depth":4.5,"mixer":"conv"})")),
            "proposals[0].params.depth: 4.5 is not a whole number");
  EXPECT_EQ(problem_of(with_params(R"({"lr":"0.01","depth":4,"mixer":"conv"})")),
            "proposals[0].params.lr: 0.01 is not a number");
  EXPECT_EQ(problem_of(with_params(R"({"lr":0.01,"depth":true,"mixer":"conv"})")),
            "proposals[0].params.depth: true is not a whole number");
  EXPECT_EQ(problem_of(with_params(R"({"lr":0.01,"depth":99999999999999999999,"mixer":"conv"})")),
            "proposals[0].params.depth: 1e+20 is not a whole number");
  EXPECT_EQ(problem_of(with_params(R"({"lr":0.01,"depth":18446744073709551615,"mixer":"conv"})")),
            "proposals[0].params.depth: is larger than 64 bits hold");
  EXPECT_EQ(problem_of(with_params(R"({"lr":0.01,"depth":4,"mixer":"gru"})")),
            "proposals[0].params.mixer: gru is not one of attention, mamba2, conv");
  EXPECT_EQ(problem_of(with_params(R"({"lr":0.01,"depth":4,"mixer":"mamba2"})")), "proposals[0].params.state: missing");
  EXPECT_EQ(problem_of(with_params(R"({"lr":null,"depth":4,"mixer":"conv"})")),
            "proposals[0].params.lr: is null, not a value");
  EXPECT_EQ(problem_of(with_params(R"({"lr":[1],"depth":4,"mixer":"conv"})")),
            "proposals[0].params.lr: is array, not a value");
  EXPECT_EQ(problem_of(with_params(R"({"lr":0.01,"depth":4,"mixer":"conv","width":3})")),
            "proposals[0].params.width: is not a parameter of this study");
  EXPECT_EQ(problem_of(R"({"params":)" + good + R"(,"code":"rm"})"),
            "proposals[0].code: is not a key of a proposal (params, hypothesis, parents)");
  EXPECT_EQ(problem_of(R"({"params":)" + good + R"(,"hypothesis":3})"), "proposals[0].hypothesis: must be a text");
  EXPECT_EQ(problem_of(R"({"params":)" + good + R"(,"parents":["3"]})"),
            "proposals[0].parents: must be a list of experiment numbers");
  EXPECT_EQ(problem_of(R"({"params":)" + good + R"(,"parents":{"a":3}})"),
            "proposals[0].parents: must be a list of experiment numbers");
  EXPECT_EQ(problem_of(with_params(R"({"lr":0.01,"depth":4,"mixer":")" + std::string(300, 'x') + "\"}")),
            "proposals[0].params.mixer: is a text longer than any value can be");
}

TEST(Offers, OneBadProposalDoesNotSpoilTheOthers) {
  const Offers offers =
      read(R"([{"params":{"lr":9,"depth":4,"mixer":"conv"}},{"params":{"lr":0.01,"depth":4,"mixer":"conv"}}])");
  EXPECT_EQ(offers.proposals.size(), 1u);
  EXPECT_EQ(offers.refused, 1);
  EXPECT_EQ(offers.problem, "proposals[0].params.lr: 9 is above 0.1");
}

TEST(Offers, AnEmptyListAndMoreThanWasAskedForAreProblems) {
  EXPECT_EQ(read("[]").problem, "proposals: is empty");
  EXPECT_EQ(read("{}").problem, "proposals: must be a list");
  const std::string one = R"({"params":{"lr":0.01,"depth":4,"mixer":"conv"}})";
  const Offers offers = read("[" + one + "," + one + "," + one + "]", 1);
  EXPECT_EQ(offers.proposals.size(), 1u);
  EXPECT_EQ(offers.refused, 2);
}

TEST(Offers, LenientOnPurposeWithWholeNumbersInactiveParametersAndUnknownParents) {
  const Offers offers =
      read(R"([{"params":{"lr":0.01,"depth":4.0,"mixer":"conv","state":null},"hypothesis":null,"parents":null},)"
           R"({"params":{"lr":0.01,"depth":5,"mixer":"conv","state":64},"parents":[99,7]}])");
  ASSERT_EQ(offers.proposals.size(), 2u) << offers.problem;
  EXPECT_EQ(offers.proposals[0].params.at("depth"), core::ParamValue(std::int64_t{4}));
  EXPECT_FALSE(offers.proposals[1].params.contains("state"));
  EXPECT_EQ(offers.proposals[1].parents, std::vector<core::ExperimentId>{core::ExperimentId{7}});
}

TEST(Offers, AHypothesisIsOneBoundedLine) {
  const Offers offers = read(R"([{"params":{"lr":0.01,"depth":4,"mixer":"conv"},"hypothesis":"a\n\u001b[31mb)" +
                             std::string(5000, 'x') + "\"}]");
  ASSERT_EQ(offers.proposals.size(), 1u);
  EXPECT_LE(offers.proposals[0].hypothesis.size(), hypothesis_bytes_max);
  EXPECT_EQ(offers.proposals[0].hypothesis.find_first_of("\n\x1b"), std::string::npos);
}

TEST(StrictJson, RefusesWhatJsonReadersForgive) {
  const auto why = [](const std::string& text) {
    const auto parsed = parse_strictly(text, 1000);
    return parsed ? std::string() : parsed.error();
  };
  EXPECT_EQ(why(R"({"a":1,"b":{"a":2}})"), "");
  EXPECT_EQ(why(R"({"a":1,"a":1})"), "the key \"a\" is given twice");
  EXPECT_NE(why(R"({"a":{"b":1,"b":2}})"), "");
  for (const char* text :
       {"", "{}x", "{} {}", "{\"a\":NaN}", "{\"a\":Infinity}", "{\"a\":1e999}", "{'a':1}", "{\"a\":1,}", "{a:1}",
        "{\"a\":01}", "// x\n{}", "{\"a\":True}", "\xff{}", "{\"a\":\"\xff\"}"}) {
    EXPECT_EQ(why(text).find("it is not JSON: "), 0u) << text << ": " << why(text);
  }
  EXPECT_EQ(why(std::string(20, '[') + std::string(20, ']')), "it is nested deeper than 16");
  EXPECT_EQ(why(std::string(1001, ' ')), "it is longer than 1000 bytes");
}

TEST(Told, MakesOneCleanBoundedLineOfAnything) {
  EXPECT_EQ(told("a\r\n\tb\x7f"
                 "c"),
            "a b c");
  EXPECT_EQ(told("caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(told("a\xc3(b\xff"), "a?(b?");
  EXPECT_EQ(told("\xed\xa0\x80"), "???") << "a surrogate";
  EXPECT_EQ(told("x\xe2\x80\xaey"), "x y") << "turns the direction of the line";
  EXPECT_EQ(told(std::string(500, 'x'), 20), std::string(17, 'x') + "...");
  std::string umlauts;
  for (int i = 0; i < 100; ++i) umlauts += "\xc3\xbc";
  EXPECT_LE(told(umlauts, 20).size(), 20u);
  EXPECT_EQ(told(told(umlauts, 20)), told(umlauts, 20)) << "cut between characters";
}

TEST(Told, TheKeyIsTakenOutWhereverItStands) {
  EXPECT_EQ(without_secret("bad key sk-1, sk-1!", "sk-1"), "bad key [key], [key]!");
  EXPECT_EQ(without_secret("nothing", ""), "nothing");
}

}  // namespace
}  // namespace overnight::proposers
