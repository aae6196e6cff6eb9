// Reading token by token gives the logits of the parallel model, for every mixer and option; and what it carries on.
#include "workers/model/decoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace overnight::workers {
namespace {

ModelConfig decoded(const std::function<void(ModelConfig&)>& change) {
  ModelConfig config{.depth = 3, .width = 12, .heads = 2, .context = 24, .mlp_ratio = 2, .vocabulary = 11};
  config.state = 8;
  config.mamba_head = 6;
  config.mamba_groups = 2;
  config.chunk = 8;
  change(config);
  return config;
}

class Decoders : public testing::TestWithParam<ModelConfig> {};
INSTANTIATE_TEST_SUITE_P(
    Of, Decoders,
    testing::Values(decoded([](ModelConfig&) {}),
                    decoded([](ModelConfig& c) { c.kv_heads = 1, c.window = "SL", c.short_window = 5; }),
                    decoded([](ModelConfig& c) { c.value_embeddings = 1, c.residual_mix = 1, c.softcap = 5; }),
                    decoded([](ModelConfig& c) { c.tied = 1, c.mlp = "swiglu"; }),
                    decoded([](ModelConfig& c) { c.mixer = "M", c.mlp = "gelu"; }),
                    decoded([](ModelConfig& c) { c.mixer = "3"; }),
                    decoded([](ModelConfig& c) { c.mixer = "3", c.mamba_rank = 3, c.mlp_ratio = 0; }),
                    decoded([](ModelConfig& c) { c.mixer = "C", c.taps = 3; }),
                    decoded([](ModelConfig& c) { c.mixer = "MA3C", c.depth = 4; })),
    [](const auto& one) { return one.param.mixer + std::to_string(one.index); });

std::vector<float> parameters_of(const Graph& graph) {
  std::vector<float> parameters(graph.parameter_floats());
  initialize(graph, parameters.data(), 7);
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] += 0.2f * std::sin(static_cast<float>(i));
  return parameters;
}

TEST_P(Decoders, GiveTheLogitsOfTheParallelModel) {
  const ModelConfig& config = GetParam();
  const LanguageModel model = make_language_model(config, 1, ModelUse::inference);
  const std::vector<float> parameters = parameters_of(model.graph);
  std::vector<std::byte> arena(model.graph.arena_bytes(), std::byte{0xff});
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < config.context; ++i) tokens.push_back(i * i % 11);
  Memory memory{.backend = &kernels::cpu_backend(), .parameters = parameters.data(), .arena = arena.data()};
  memory.inputs = tokens.data();
  model.graph.forward(memory);
  const float* expected = model.graph.read(memory, model.logits);

  Decoder decoder(config, parameters.data(), tokens.size());
  for (int again = 0; again < 2; ++again) {  // a second text must not remember the first
    decoder.begin();
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      const std::vector<float>& logits = decoder.next(tokens[t]);
      for (std::size_t i = 0; i < logits.size(); ++i) ASSERT_NEAR(logits[i], expected[t * 11 + i], 2e-3) << t;
    }
  }
}

TEST(Decoder, AttentionCarriesMoreWithEveryTokenAndAStateDoesNot) {
  const auto bytes_at = [](const ModelConfig& config, std::size_t tokens) {
    const LanguageModel model = make_language_model(config, 1, ModelUse::inference);
    const std::vector<float> parameters = parameters_of(model.graph);
    Decoder decoder(config, parameters.data(), 2000);
    decoder.pretend(tokens);
    return decoder.state_bytes();
  };
  const ModelConfig attention = decoded([](ModelConfig&) {});
  EXPECT_EQ(bytes_at(attention, 100), 3 * 2 * 100 * 12 * sizeof(float));
  EXPECT_EQ(bytes_at(attention, 1000), 10 * bytes_at(attention, 100));
  const ModelConfig windowed = decoded([](ModelConfig& c) { c.window = "S", c.short_window = 11; });
  EXPECT_EQ(bytes_at(windowed, 1000), (2 * 10 + 1000) * 2 * 12 * sizeof(float));
  const ModelConfig mamba = decoded([](ModelConfig& c) { c.mixer = "M"; });
  // Per layer: 4 heads of 6 channels with 8 numbers each, and 3 rows of 24 + 2 * 16 channels for the convolution.
  EXPECT_EQ(bytes_at(mamba, 100), 3 * (4 * 6 * 8 + 3 * 56) * sizeof(float));
  EXPECT_EQ(bytes_at(mamba, 1000), bytes_at(mamba, 100));
}

}  // namespace
}  // namespace overnight::workers
