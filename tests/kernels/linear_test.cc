// Matrix products of every instruction set, in the forms that a linear layer needs, against the plain reference and
// OpenBLAS.
#include <gtest/gtest.h>

#include <string>

#include "kernels/kernels.h"
#include "kernels/reference/reference.h"
#include "tests/kernels/numeric.h"
#include "tests/kernels/tables.h"

namespace overnight::kernels {
namespace {

struct LinearShape {
  std::size_t rows, inputs, outputs;
};

// Less than a vector, a tile and a panel, exactly one, one more; deeper than one block.
constexpr LinearShape linear_shapes[] = {{1, 1, 1},     {5, 7, 3},     {12, 32, 32}, {13, 33, 35},
                                         {25, 257, 16}, {40, 300, 65}, {800, 5, 9}};

template <typename Table>
class Linear : public OnEveryTable<Table> {};
TYPED_TEST_SUITE(Linear, Tables, Names);

TYPED_TEST(Linear, IsItsReferenceAndAddsOnRequest) {
  using Reals = Numbers<typename TestFixture::Real>;
  for (const auto& [rows, inputs, outputs] : linear_shapes) {
    const Doubles in = draw(rows * inputs, 1), weights = draw(outputs * inputs, 2);
    Doubles expected = reference::linear(in, weights, rows, inputs, outputs);
    Reals out = this->poisoned(rows * outputs);
    const Reals x = this->narrow(in), w = this->narrow(weights);
    linear_forward(this->cpu(), out.data(), x.data(), w.data(), rows, inputs, outputs);
    EXPECT_LT(distance(out, expected), this->near / 10) << rows << " " << inputs << " " << outputs;
    out.assign(out.size(), 1.0f);
    linear_forward(this->cpu(), out.data(), x.data(), w.data(), rows, inputs, outputs, out.data());
    for (double& value : expected) value += 1;
    EXPECT_LT(distance(out, expected), this->near / 10) << rows << " " << inputs << " " << outputs;
    const Reals residual(out.size(), 1.0f);  // elsewhere than what is written
    out = this->poisoned(out.size());
    linear_forward(this->cpu(), out.data(), x.data(), w.data(), rows, inputs, outputs, residual.data());
    EXPECT_LT(distance(out, expected), this->near / 10) << rows << " " << inputs << " " << outputs;
  }
}

TYPED_TEST(Linear, OfOneRowIsThatOfMany) {
  using Reals = Numbers<typename TestFixture::Real>;
  for (const auto& [rows, inputs, outputs] : linear_shapes) {
    const Doubles in = draw(inputs, 1), weights = draw(outputs * inputs, 2);
    Doubles expected = reference::linear(in, weights, 1, inputs, outputs);
    Reals out = this->poisoned(outputs);
    this->cpu().linear_row(out.data(), this->narrow(in).data(), this->narrow(weights).data(), inputs, outputs, false);
    EXPECT_LT(distance(out, expected), this->near / 10) << inputs << " " << outputs;
    out.assign(out.size(), 1.0f);
    this->cpu().linear_row(out.data(), this->narrow(in).data(), this->narrow(weights).data(), inputs, outputs, true);
    for (double& value : expected) value += 1;
    EXPECT_LT(distance(out, expected), this->near / 10) << inputs << " " << outputs;
  }
}

// A sum of products is linear in each: its gradients are sums of products again, and exact.
TYPED_TEST(Linear, GradientsAreThoseOfTheReference) {
  using Reals = Numbers<typename TestFixture::Real>;
  for (const auto& [rows, inputs, outputs] : linear_shapes) {
    const Doubles in = draw(rows * inputs, 1), weights = draw(outputs * inputs, 2), pull = draw(rows * outputs, 3);
    Doubles din(in.size(), 0.0), dweights(weights.size(), 0.0);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t o = 0; o < outputs; ++o) {
        for (std::size_t i = 0; i < inputs; ++i) {
          din[r * inputs + i] += pull[r * outputs + o] * weights[o * inputs + i];
          dweights[o * inputs + i] += pull[r * outputs + o] * in[r * inputs + i];
        }
      }
    }
    Reals ours = this->poisoned(in.size()), ours_weights = this->poisoned(weights.size());
    linear_backward_input(this->cpu(), ours.data(), this->narrow(pull).data(), this->narrow(weights).data(), rows,
                          inputs, outputs, false);
    EXPECT_LT(distance(ours, din), this->near / 10) << rows << " " << inputs << " " << outputs;
    linear_backward_weights(this->cpu(), ours_weights.data(), this->narrow(pull).data(), this->narrow(in).data(), rows,
                            inputs, outputs, false);
    EXPECT_LT(distance(ours_weights, dweights), this->near / 10) << rows << " " << inputs << " " << outputs;
    ours_weights.assign(weights.size(), 1.0f);
    linear_backward_weights(this->cpu(), ours_weights.data(), this->narrow(pull).data(), this->narrow(in).data(), rows,
                            inputs, outputs, true);
    for (double& value : dweights) value += 1;
    EXPECT_LT(distance(ours_weights, dweights), this->near / 10) << rows << " " << inputs << " " << outputs;
  }
}

TYPED_TEST(Linear, NothingIsWrittenBesideTheResult) {
  using Reals = Numbers<typename TestFixture::Real>;
  const Doubles a = draw(13 * 9, 1), b = draw(9 * 35, 2);
  Reals out(13 * 40, 7.0f);
  this->cpu().product(out.data(), 40, {this->narrow(a).data(), 9, 1}, {this->narrow(b).data(), 35, 1}, 13, 35, 9,
                      nullptr);
  for (std::size_t r = 0; r < 13; ++r) {
    for (std::size_t c = 35; c < 40; ++c) ASSERT_EQ(out[r * 40 + c], 7.0f);
  }
}

#ifndef OVERNIGHT_TEST_ON_GPU  // whose library chooses its way by the number of rows
// What a row gives must not depend on the rows beside it: lanes and blocks cut batches anywhere.
TYPED_TEST(Linear, ARowGivesTheSameBitsWhereverItIsCut) {
  using Reals = Numbers<typename TestFixture::Real>;
  const std::size_t rows = 29, inputs = 300, outputs = 40;
  const Reals in = this->narrow(draw(rows * inputs, 1)), weights = this->narrow(draw(outputs * inputs, 2));
  Reals whole = this->poisoned(rows * outputs), cut = this->poisoned(rows * outputs);
  linear_forward(this->cpu(), whole.data(), in.data(), weights.data(), rows, inputs, outputs);
  for (std::size_t r = 0; r < rows; r += 4)
    linear_forward(this->cpu(), cut.data() + r * outputs, in.data() + r * inputs, weights.data(),
                   std::min<std::size_t>(4, rows - r), inputs, outputs);
  EXPECT_EQ(whole, cut);
}

TEST(Blas, GivesWhatOursGives) {
  const Backend& cpu = cpu_backend();
  for (const bool a_turned : {false, true}) {
    for (const bool b_turned : {false, true}) {
      const std::size_t rows = 37, columns = 50, depth = 61;
      const Numbers<float> a = narrow<float>(draw(rows * depth, 1)), b = narrow<float>(draw(depth * columns, 2));
      const Matrix left = a_turned ? Matrix{a.data(), 1, rows} : Matrix{a.data(), depth, 1},
                   right = b_turned ? Matrix{b.data(), 1, depth} : Matrix{b.data(), columns, 1};
      Numbers<float> ours = poisoned<float>(rows * columns), theirs = poisoned<float>(rows * columns);
      cpu.product(ours.data(), columns, left, right, rows, columns, depth, nullptr);
      blas_product(theirs.data(), columns, left, right, rows, columns, depth, false);
      EXPECT_LT(distance(ours, Doubles(theirs.begin(), theirs.end())), 1e-5) << a_turned << b_turned;
    }
  }
}

TEST(Blas, ANewCpuIsNotTakenForAnOldOne) {
  const std::string better = better_blas_core();
  if (cpu_backend_named("avx2") == nullptr) GTEST_SKIP() << "this machine is an old one";
  // Either OpenBLAS knew the CPU, or a better set of kernels is named for the restart.
  const std::string core = blas_core();
  EXPECT_TRUE((core != "Prescott" && core != "Generic") || !better.empty()) << core;
}
#endif

}  // namespace
}  // namespace overnight::kernels
