// The whole model: gradients against differences of its own loss, memory that the plan never lets overlap, and the same
// numbers on every instruction set.
#include "workers/model/language_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <vector>

namespace overnight::workers {
namespace {

const ModelConfig tiny{.depth = 2, .width = 12, .heads = 2, .context = 8, .mlp_ratio = 2, .vocabulary = 11};

ModelConfig with_mixer(const std::string& mixer, std::int64_t rank = 1) {
  ModelConfig config = tiny;
  config.mixer = mixer;
  config.state = 4;
  config.mamba_head = 6;
  config.mamba_groups = 2;
  config.mamba_rank = rank;
  config.chunk = 4;
  return config;
}
constexpr std::size_t batch = 2;

// One model with all its memory, on one instruction set.
struct Machine {
  LanguageModel model;
  std::vector<float> parameters, gradients, arena;
  std::vector<std::int32_t> inputs, targets;
  Memory memory;

  explicit Machine(const ModelConfig& config, Graph::Purpose purpose = Graph::Purpose::training,
                   const kernels::Backend& backend = kernels::cpu_backend())
      : model(make_language_model(config, batch, purpose)),
        parameters(model.graph.parameter_floats()),
        gradients(model.graph.parameter_floats(), std::nanf("")),
        arena(model.graph.arena_floats(), std::nanf("")) {
    initialize(model.graph, parameters.data(), 3);
    // Where the first step has zeros, gradients would not be seen.
    for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] += 0.2f * std::sin(static_cast<float>(i));
    for (std::size_t i = 0; i < batch * 8; ++i) {
      inputs.push_back(static_cast<std::int32_t>(i * 7 % 11));
      targets.push_back(i == 5 ? -1 : static_cast<std::int32_t>((i * 5 + 1) % 11));
    }
    memory.backend = &backend;
    memory.parameters = parameters.data();
    memory.parameter_gradients = gradients.data();
    memory.arena = arena.data();
    memory.inputs = inputs.data();
    memory.targets = targets.data();
  }

  double loss() {
    memory.loss_scale = 0;
    model.graph.forward(memory);
    return memory.loss;
  }

  // The loss again, and the gradients of all parameters.
  double step() {
    memory.loss_scale = 1;
    model.graph.forward(memory);
    model.graph.backward(memory);
    return memory.loss;
  }
};

ModelConfig with_windows() {
  ModelConfig config = tiny;
  config.kv_heads = 1;
  config.window = "SL";
  config.short_window = 3;
  config.rope_base = 100;
  return config;
}

ModelConfig with(const std::function<void(ModelConfig&)>& change) {
  ModelConfig config = tiny;
  change(config);
  return config;
}

class LanguageModels : public testing::TestWithParam<ModelConfig> {};
INSTANTIATE_TEST_SUITE_P(Of, LanguageModels,
                         testing::Values(tiny, with_windows(), with([](ModelConfig& c) { c.mlp = "gelu"; }),
                                         with([](ModelConfig& c) { c.mlp = "swiglu", c.residual_mix = 1; }),
                                         with([](ModelConfig& c) { c.tied = 1, c.softcap = 2, c.mlp_ratio = 0; }),
                                         with([](ModelConfig& c) { c.value_embeddings = 1, c.softcap = 15; }),
                                         with_mixer("M"), with_mixer("3"), with_mixer("3", 2), with_mixer("C"),
                                         with_mixer("MA3C")),
                         [](const auto& one) {
                           return one.param.mixer + (one.param.mamba_rank > 1 ? "OfRank" : "Of1Rank") +
                                  std::to_string(one.index);
                         });

TEST_P(LanguageModels, GradientsOfEveryParameterAreDifferencesOfTheLoss) {
  Machine machine(GetParam());
  EXPECT_EQ(machine.loss(), machine.step());
  for (const Tensor& tensor : machine.model.graph.tensors()) {
    if (!tensor.parameter) continue;
    double difference = 0, size = 0;
    const std::size_t stride = tensor.count() < 100 ? 1 : 5;
    for (std::size_t i = 0; i < tensor.count(); i += stride) {
      float& weight = machine.parameters[tensor.value_at + i];
      const float before = weight;
      const float step = 4e-3f;
      weight = before + step;
      const double above = machine.loss();
      weight = before - step;
      const double numeric = (above - machine.loss()) / (2 * static_cast<double>(step));
      weight = before;
      const auto ours = static_cast<double>(machine.gradients[tensor.gradient_at + i]);
      difference += (numeric - ours) * (numeric - ours);
      size += numeric * numeric;
    }
    // The loss is a sum of floats: what its differences say is exact to about a thousandth.
    const double samples = static_cast<double>((tensor.count() + stride - 1) / stride);
    EXPECT_LT(std::sqrt(difference), 0.03 * std::sqrt(size) + 5e-4 * std::sqrt(samples)) << tensor.name;
    EXPECT_GT(std::sqrt(size), 2e-3 * std::sqrt(samples)) << tensor.name << " is too flat here to be checked";
  }
}

// A plan that gave two living buffers the same place would change the numbers.
TEST_P(LanguageModels, InferenceGivesTheLossOfTraining) {
  Machine training(GetParam()), inference(GetParam(), Graph::Purpose::inference);
  const double expected = training.loss();
  inference.loss();
  const float* logits = inference.model.graph.read(inference.memory, inference.model.logits);
  double loss = 0;
  for (std::size_t row = 0; row < inference.targets.size(); ++row) {
    if (inference.targets[row] < 0) continue;
    double sum = 0;
    for (std::size_t i = 0; i < 11; ++i) sum += std::exp(static_cast<double>(logits[row * 11 + i]));
    loss += std::log(sum) - static_cast<double>(logits[row * 11 + static_cast<std::size_t>(inference.targets[row])]);
  }
  EXPECT_NEAR(loss, expected, 1e-4);
  EXPECT_LT(inference.arena.size(), training.arena.size());
}

TEST_P(LanguageModels, EveryInstructionSetGivesTheSameLossAndGradients) {
  Machine base(GetParam(), Graph::Purpose::training, *kernels::cpu_backend_named("base"));
  const double expected = base.step();
  for (const char* name : {"avx2", "avx512"}) {
    const kernels::Backend* backend = kernels::cpu_backend_named(name);
    if (backend == nullptr) continue;
    Machine other(GetParam(), Graph::Purpose::training, *backend);
    EXPECT_NEAR(other.step(), expected, 1e-3) << name;
    for (const Tensor& tensor : base.model.graph.tensors()) {
      if (!tensor.parameter) continue;
      for (std::size_t i = 0; i < tensor.count(); ++i)
        ASSERT_NEAR(other.gradients[tensor.gradient_at + i], base.gradients[tensor.gradient_at + i], 1e-3)
            << name << " " << tensor.name;
    }
  }
}

TEST_P(LanguageModels, ASecondPassOverUsedMemoryGivesTheSameBits) {
  Machine machine(GetParam());
  const double first = machine.step();
  const std::vector<float> gradients = machine.gradients;
  EXPECT_EQ(machine.step(), first);
  for (const Tensor& tensor : machine.model.graph.tensors()) {
    for (std::size_t i = 0; tensor.parameter && i < tensor.count(); ++i)
      ASSERT_EQ(machine.gradients[tensor.gradient_at + i], gradients[tensor.gradient_at + i]) << tensor.name;
  }
}

// Blocks of rows are an order of work; a sequence must not notice which block it fell into.
TEST(LanguageModel, ASequenceHasTheSameLossInABatchOfAnySize) {
  const ModelConfig config{.depth = 1, .width = 16, .heads = 2, .context = 32};
  std::vector<double> losses;
  for (const std::size_t sequences : {1u, 21u}) {  // 672 rows: more than one block
    LanguageModel model = make_language_model(config, sequences, Graph::Purpose::training);
    std::vector<float> parameters(model.graph.parameter_floats()), arena(model.graph.arena_floats(), std::nanf(""));
    initialize(model.graph, parameters.data(), 3);
    std::vector<std::int32_t> inputs, targets(sequences * 32, -1);
    for (std::size_t i = 0; i < sequences * 32; ++i) inputs.push_back(static_cast<std::int32_t>(i % 32 * 7 % 256));
    for (std::size_t i = 0; i < 32; ++i) targets[(sequences - 1) * 32 + i] = inputs[i];  // of the last alone
    Memory memory{.backend = &kernels::cpu_backend(), .parameters = parameters.data(), .arena = arena.data()};
    memory.inputs = inputs.data();
    memory.targets = targets.data();
    model.graph.forward(memory);
    losses.push_back(memory.loss);
  }
  EXPECT_NEAR(losses[0], losses[1], 1e-3);
}

TEST(LanguageModel, StartsAtTheLossOfAGuess) {
  LanguageModel model = make_language_model(tiny, batch, Graph::Purpose::training);
  Machine machine(tiny);
  initialize(model.graph, machine.parameters.data(), 1);
  EXPECT_NEAR(machine.loss() / 15, std::log(11.0), 0.05);
}

TEST(LanguageModel, TheYardstickModelHas852224Parameters) {
  const LanguageModel model = make_language_model(ModelConfig{}, 1, Graph::Purpose::inference);
  std::size_t count = 0;
  for (const Tensor& tensor : model.graph.tensors()) count += tensor.parameter ? tensor.count() : 0;
  EXPECT_EQ(count, 852224u);
}

}  // namespace
}  // namespace overnight::workers
