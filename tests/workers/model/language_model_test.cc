// The whole model in floats: memory that the plan never lets overlap, and the same numbers on every instruction set.
// That its gradients are right is shown in doubles (exact_model_test.cc).
#include "workers/model/language_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/workers/model/machine.h"

namespace overnight::workers {
namespace {

class LanguageModels : public testing::TestWithParam<ModelConfig> {};
INSTANTIATE_TEST_SUITE_P(Of, LanguageModels, testing::ValuesIn(every_kind()), kind_name);

// A plan that gave two living buffers the same place would change the numbers.
TEST_P(LanguageModels, InferenceGivesTheLossOfTraining) {
  Machine training(GetParam(), kernels::cpu_backend()),
      inference(GetParam(), kernels::cpu_backend(), ModelUse::inference);
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
  Machine base(GetParam(), *kernels::cpu_backend_named("base"));
  const double expected = base.step();
  for (const char* name : {"avx2", "avx512"}) {
    const kernels::Backend* backend = kernels::cpu_backend_named(name);
    if (backend == nullptr) continue;
    Machine other(GetParam(), *backend);
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
  Machine machine(GetParam(), kernels::cpu_backend());
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
    LanguageModel model = make_language_model(config, sequences, ModelUse::training);
    std::vector<float> parameters(model.graph.parameter_floats());
    std::vector<std::byte> arena(model.graph.arena_bytes(), std::byte{0xff});
    initialize(model.graph, parameters.data(), 3);
    std::vector<std::int32_t> inputs, targets(sequences * 32, -1);
    for (std::size_t i = 0; i < sequences * 32; ++i) inputs.push_back(static_cast<std::int32_t>(i % 32 * 7 % 256));
    for (std::size_t i = 0; i < 32; ++i) targets[(sequences - 1) * 32 + i] = inputs[i];  // of the last alone
    Memory memory{.backend = &kernels::cpu_backend(), .parameters = parameters.data(), .arena = arena.data()};
    memory.inputs = inputs.data();
    memory.targets = targets.data();
    model.graph.forward(memory);
    losses.push_back(sum_of_losses(model, memory));
  }
  EXPECT_NEAR(losses[0], losses[1], 1e-3);
}

TEST(LanguageModel, StartsAtTheLossOfAGuess) {
  LanguageModel model = make_language_model(tiny, batch, ModelUse::training);
  Machine machine(tiny, kernels::cpu_backend());
  initialize(model.graph, machine.parameters.data(), 1);
  EXPECT_NEAR(machine.loss() / 15, std::log(11.0), 0.05);
}

// Whatever they are drawn from, matrices have the variance that keeps a sum of inputs at the size of one.
TEST(LanguageModel, MatricesBeginWithOneVarianceByEachWayOfDrawing) {
  ModelConfig config = tiny;
  config.width = 48;
  config.heads = 4;
  const LanguageModel model = make_language_model(config, batch, ModelUse::training);
  for (const MatrixInit init : {MatrixInit::uniform, MatrixInit::normal, MatrixInit::orthogonal}) {
    std::vector<float> parameters(model.graph.parameter_floats());
    initialize(model.graph, parameters.data(), 3, init, 0.5);
    std::size_t matrices = 0;
    for (const Tensor& tensor : model.graph.tensors()) {
      if (!tensor.parameter || tensor.initial != Initial::fan_in) continue;
      double square = 0;
      for (std::size_t i = 0; i < tensor.count(); ++i)
        square += std::pow(static_cast<double>(parameters[tensor.value_at + i]), 2);
      const double expected = 0.25 / static_cast<double>(tensor.columns);
      EXPECT_NEAR(square / static_cast<double>(tensor.count()), expected, 0.1 * expected) << tensor.name;
      ++matrices;
    }
    EXPECT_GT(matrices, 0u);
  }
}

TEST(LanguageModel, OrthogonalMatricesHaveRowsOrColumnsAtRightAngles) {
  const LanguageModel model = make_language_model(tiny, batch, ModelUse::training);
  std::vector<float> parameters(model.graph.parameter_floats());
  initialize(model.graph, parameters.data(), 3, MatrixInit::orthogonal);
  for (const Tensor& tensor : model.graph.tensors()) {
    if (!tensor.parameter || tensor.initial != Initial::fan_in) continue;
    const float* at = &parameters[tensor.value_at];
    const bool wide = tensor.columns >= tensor.rows;
    double product = 0;  // of the first two
    for (std::size_t i = 0; i < std::max(tensor.rows, tensor.columns); ++i)
      product += static_cast<double>(wide ? at[i] : at[i * tensor.columns]) *
                 static_cast<double>(wide ? at[tensor.columns + i] : at[i * tensor.columns + 1]);
    EXPECT_NEAR(product, 0, 1e-6) << tensor.name;
  }
}

TEST(LanguageModel, TheYardstickModelHas852224Parameters) {
  const LanguageModel model = make_language_model(ModelConfig{}, 1, ModelUse::inference);
  std::size_t count = 0;
  for (const Tensor& tensor : model.graph.tensors()) count += tensor.parameter ? tensor.count() : 0;
  EXPECT_EQ(count, 852224u);
}

}  // namespace

StepTaken step_in_floats(const ModelConfig& config, bool rounded) {
  Machine machine(config, kernels::cpu_backend(), ModelUse::training, Walk::cache, rounded);
  const double loss = machine.step();
  return {loss, {machine.gradients.begin(), machine.gradients.end()}};
}

}  // namespace overnight::workers
