#include <gtest/gtest.h>

#include "kernels/kernels.h"
#include "kernels/reference/reference.h"
#include "tests/kernels/numeric.h"

namespace overnight::kernels {
namespace {

constexpr std::size_t rows = 5, inputs = 7, outputs = 3;

TEST(Linear, IsItsReferenceAndAddsOnRequest) {
  const Doubles in = draw(rows * inputs, 1), weights = draw(outputs * inputs, 2);
  Doubles expected = reference::linear(in, weights, rows, inputs, outputs);
  Floats out = poisoned(rows * outputs);
  linear_forward(out.data(), narrow(in).data(), narrow(weights).data(), rows, inputs, outputs, false);
  EXPECT_LT(distance(out, expected), 1e-5);
  out.assign(out.size(), 1.0f);
  linear_forward(out.data(), narrow(in).data(), narrow(weights).data(), rows, inputs, outputs, true);
  for (double& value : expected) value += 1;
  EXPECT_LT(distance(out, expected), 1e-5);
}

TEST(Linear, GradientsAreThoseOfTheReference) {
  const Doubles in = draw(rows * inputs, 1), weights = draw(outputs * inputs, 2), pull = draw(rows * outputs, 3);
  const auto loss = [&](const Doubles& x, const Doubles& w) {
    return dot(reference::linear(x, w, rows, inputs, outputs), pull);
  };
  Floats din = poisoned(in.size()), dweights = poisoned(weights.size());
  linear_backward_input(din.data(), narrow(pull).data(), narrow(weights).data(), rows, inputs, outputs, false);
  EXPECT_LT(distance(din, numeric_gradient([&](const Doubles& v) { return loss(v, weights); }, in)), 1e-5);
  linear_backward_weights(dweights.data(), narrow(pull).data(), narrow(in).data(), rows, inputs, outputs, false);
  EXPECT_LT(distance(dweights, numeric_gradient([&](const Doubles& v) { return loss(in, v); }, weights)), 1e-5);
}

TEST(Blas, ANewCpuIsNotTakenForAnOldOne) {
  const std::string better = better_blas_core();
  if (cpu_backend_named("avx2") == nullptr) GTEST_SKIP() << "this machine is an old one";
  // Either OpenBLAS knew the CPU, or a better set of kernels is named for the restart.
  const std::string core = blas_core();
  EXPECT_TRUE((core != "Prescott" && core != "Generic") || !better.empty()) << core;
}

}  // namespace
}  // namespace overnight::kernels
