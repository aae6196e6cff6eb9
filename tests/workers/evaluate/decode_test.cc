// Text that a model goes on with, and what decoding costs.
#include "workers/evaluate/decode.h"

#include <gtest/gtest.h>

#include "workers/model/language_model.h"

namespace overnight::workers {
namespace {

const ModelConfig tiny_writer{
    .depth = 1, .width = 16, .heads = 2, .context = 32, .mixer = "M", .state = 4, .mamba_head = 8, .chunk = 8};

std::vector<float> fresh_parameters(const ModelConfig& config) {
  const LanguageModel model = make_language_model(config, 1, ModelUse::inference);
  std::vector<float> parameters(model.graph.parameter_floats());
  initialize(model.graph, parameters.data(), 5);
  for (float& value : parameters) value *= 3;  // opinions
  return parameters;
}

TEST(Decode, ASeedWritesTheSameTextAndAnotherAnother) {
  const std::vector<float> parameters = fresh_parameters(tiny_writer);
  const auto written = [&](std::uint64_t seed, double temperature) {
    return go_on(tiny_writer, parameters.data(), Tokenizer(), "We the",
                 {.length = 30, .temperature = temperature, .seed = seed});
  };
  EXPECT_EQ(written(1, 1), written(1, 1));
  EXPECT_NE(written(1, 1), written(2, 1));
  EXPECT_EQ(written(1, 0), written(2, 0)) << "without temperature the likeliest byte is written";
  EXPECT_LE(written(1, 1).size(), 30u);
  EXPECT_EQ(go_on(tiny_writer, parameters.data(), Tokenizer(), "", {.length = 0}), "");
}

TEST(Decode, CostsAreOfTheLengthsThatWereAskedFor) {
  const std::vector<float> parameters = fresh_parameters(tiny_writer);
  const std::vector<DecodeCost> costs = decode_costs(tiny_writer, parameters.data(), {10, 1000}, 0);
  ASSERT_EQ(costs.size(), 2u);
  EXPECT_EQ(costs[0].tokens, 10u);
  EXPECT_EQ(costs[1].tokens, 1000u);
  EXPECT_GT(costs[0].tokens_per_second, 0);
  EXPECT_EQ(costs[0].state_bytes, costs[1].state_bytes) << "a state does not grow";
}

TEST(Decode, WhatATerminalWouldObeyIsNotShown) { EXPECT_EQ(printable("a\x1b[2Jb\n\tc\x07\x7f"), "a?[2Jb\n\tc??"); }

}  // namespace
}  // namespace overnight::workers
