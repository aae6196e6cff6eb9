// The whole model as a GPU trains it: on bfloat16 with floats, by the GPU's ops, which the emulator runs. Its gradients
// are those of the CPU's floats, up to what so few bits of a number lose.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/kernels/tables.h"
#include "tests/workers/model/machine.h"

namespace overnight::workers {
namespace {

class MixedModels : public testing::TestWithParam<ModelConfig> {};
INSTANTIATE_TEST_SUITE_P(Of, MixedModels, testing::ValuesIn(every_kind()), kind_name);

TEST_P(MixedModels, GiveTheLossAndTheGradientsOfFloats) {
  const ModelConfig config = larger(GetParam());
  Machine mixed(config, kernels::emulated::mixed, ModelUse::training, Walk::device, true);
  const double loss = mixed.step();
  const StepTaken floats = step_in_floats(config, true);
  EXPECT_NEAR(loss, floats.loss, 0.01 * floats.loss);
  EXPECT_NEAR(mixed.loss(), loss, 1e-6 * loss);
  for (const Tensor& tensor : mixed.model.graph.tensors()) {
    if (!tensor.parameter) continue;
    double both = 0, ours = 0, theirs = 0;
    for (std::size_t i = 0; i < tensor.count(); ++i) {
      const double a = static_cast<double>(mixed.gradients[tensor.gradient_at + i]),
                   b = floats.gradients[tensor.gradient_at + i];
      both += a * b, ours += a * a, theirs += b * b;
    }
    EXPECT_GT(both / std::sqrt(ours * theirs), 0.999) << tensor.name << " of norm " << std::sqrt(theirs);
    // Of a few heads' steps: sums over all tokens of what nearly cancels.
    EXPECT_NEAR(std::sqrt(ours / theirs), 1, tensor.count() < 64 ? 0.04 : 0.01) << tensor.name;
  }
}

// Gradients of several passes add up where a step is cut into parts.
TEST(MixedModel, AddsToWhatIsThereOnRequest) {
  Machine once(tiny, kernels::emulated::mixed, ModelUse::training, Walk::device),
      twice(tiny, kernels::emulated::mixed, ModelUse::training, Walk::device);
  once.step();
  std::fill(twice.gradients.begin(), twice.gradients.end(), 0.0f);
  twice.memory.accumulates = true;
  twice.step();
  twice.step();
  for (const Tensor& tensor : once.model.graph.tensors()) {
    for (std::size_t i = 0; tensor.parameter && i < tensor.count(); ++i) {
      const float one = once.gradients[tensor.gradient_at + i];
      ASSERT_NEAR(twice.gradients[tensor.gradient_at + i], 2 * one, 1e-5f * (1 + std::abs(one))) << tensor.name;
    }
  }
}

}  // namespace
}  // namespace overnight::workers
