// The whole model in doubles, by the same lines as the one that trains: its gradients are differences of its loss, and
// what floats lose is known.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/kernels/tables.h"
#include "tests/workers/model/machine.h"

namespace overnight::workers {
namespace {

class ExactModels : public testing::TestWithParam<ModelConfig> {};
INSTANTIATE_TEST_SUITE_P(Of, ExactModels, testing::ValuesIn(every_kind()), kind_name);

TEST_P(ExactModels, GradientsOfEveryParameterAreDifferencesOfTheLoss) {
  Machine machine(GetParam(), kernels::exact::table);
  EXPECT_DOUBLE_EQ(machine.loss(), machine.step());
  for (const Tensor& tensor : machine.model.graph.tensors()) {
    if (!tensor.parameter) continue;
    double difference = 0, size = 0;
    const std::size_t stride = tensor.count() < 100 ? 1 : 5;
    for (std::size_t i = 0; i < tensor.count(); i += stride) {
      double& weight = machine.parameters[tensor.value_at + i];
      const double before = weight, step = 1e-5;
      weight = before + step;
      const double above = machine.loss();
      weight = before - step;
      const double numeric = (above - machine.loss()) / (2 * step);
      weight = before;
      const double off = numeric - machine.gradients[tensor.gradient_at + i];
      difference += off * off;
      size += numeric * numeric;
    }
    EXPECT_LT(std::sqrt(difference), 1e-6 * std::sqrt(size)) << tensor.name;
    const double samples = static_cast<double>((tensor.count() + stride - 1) / stride);
    EXPECT_GT(std::sqrt(size), 2e-3 * std::sqrt(samples)) << tensor.name << " is too flat here to be checked";
  }
}

TEST_P(ExactModels, FloatsGiveTheSameLossAndGradientsToATenThousandth) {
  Machine exact(GetParam(), kernels::exact::table);
  const double loss = exact.step();
  const StepTaken floats = step_in_floats(GetParam());
  EXPECT_NEAR(floats.loss, loss, 1e-4 * loss);
  ASSERT_EQ(floats.gradients.size(), exact.gradients.size());
  for (const Tensor& tensor : exact.model.graph.tensors()) {
    double difference = 0, size = 0;
    for (std::size_t i = 0; tensor.parameter && i < tensor.count(); ++i) {
      const double ours = exact.gradients[tensor.gradient_at + i];
      const double off = floats.gradients[tensor.gradient_at + i] - ours;
      difference += off * off;
      size += ours * ours;
    }
    EXPECT_LE(std::sqrt(difference), 1e-4 * std::sqrt(size)) << tensor.name;
  }
}

}  // namespace
}  // namespace overnight::workers
