// Muon: what it makes of singular values, its parts by hand, and that it trains.
#include "workers/trainer/muon.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/workers/trainer/normal_numbers.h"

namespace overnight::workers {
namespace {

// x x^T of the shorter side.
Floats gram_of(const Floats& x, std::size_t rows, std::size_t columns) {
  const bool tall = rows > columns;
  const std::size_t low = std::min(rows, columns), high = std::max(rows, columns);
  Floats gram(low * low);
  for (std::size_t i = 0; i < low; ++i) {
    for (std::size_t j = 0; j < low; ++j) {
      for (std::size_t k = 0; k < high; ++k)
        gram[i * low + j] += tall ? x[k * columns + i] * x[k * columns + j] : x[i * columns + k] * x[j * columns + k];
    }
  }
  return gram;
}

struct Sides {
  std::size_t rows, columns;
};
constexpr Sides sides[] = {{8, 8}, {24, 8}, {8, 40}, {1, 5}, {33, 17}};

TEST(Muon, MakesAllSingularValuesNearlyOne) {
  for (const auto by : {Orthogonalizer::polar_express, Orthogonalizer::newton_schulz}) {
    for (const auto& [rows, columns] : sides) {
      Floats x = normal_numbers(rows * columns, 3), scratch(orthogonalize_scratch(rows, columns), std::nanf(""));
      orthogonalize(kernels::cpu_backend(), x.data(), rows, columns, by, scratch.data());
      const Floats gram = gram_of(x, rows, columns);
      const std::size_t low = std::min(rows, columns);
      // All singular values between 0.6 and 1.25: so is the mean of their squares, and no entry beside the diagonal is
      // larger than their spread.
      for (std::size_t i = 0; i < low; ++i) {
        for (std::size_t j = 0; j < low; ++j) {
          if (i == j) {
            EXPECT_NEAR(gram[i * low + j], 1, 0.6) << rows << "x" << columns;
          } else {
            EXPECT_NEAR(gram[i * low + j], 0, 0.35) << rows << "x" << columns;
          }
        }
      }
    }
  }
}

TEST(Muon, TurnsNothingOfADirectionThatIsOrthogonalAlready) {
  Floats x(16, 0.0f), scratch(orthogonalize_scratch(4, 4));
  for (std::size_t i = 0; i < 4; ++i) x[i * 4 + (i + 1) % 4] = 7;
  orthogonalize(kernels::cpu_backend(), x.data(), 4, 4, Orthogonalizer::polar_express, scratch.data());
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t j = 0; j < 4; ++j) EXPECT_NEAR(x[i * 4 + j], j == (i + 1) % 4 ? 1 : 0, 0.15) << i << j;
  }
}

TEST(Muon, AGradientOfNothingMovesNothing) {
  Floats weights = normal_numbers(12, 1), momentum(12), second(4), gradient(12), scratch(muon_scratch(3, 4));
  const Floats before = weights;
  muon_step(kernels::cpu_backend(), weights.data(), momentum.data(), second.data(), gradient.data(), 3, 4, {},
            scratch.data());
  for (std::size_t i = 0; i < 12; ++i) EXPECT_EQ(weights[i], before[i]);
}

// The norm of a step is that of an orthogonal matrix times the rate, whatever the gradient's size and with NorMuon.
TEST(Muon, AStepIsAsLongAsItsRateSays) {
  for (const float size : {1e-3f, 1.0f, 1e3f}) {
    for (const float beta2 : {0.0f, 0.95f}) {
      Floats weights(24 * 8), momentum(24 * 8), second(24), gradient = normal_numbers(24 * 8, 5),
                                                            scratch(muon_scratch(24, 8));
      for (float& g : gradient) g *= size;
      muon_step(kernels::cpu_backend(), weights.data(), momentum.data(), second.data(), gradient.data(), 24, 8,
                {.rate = 0.1f, .beta2 = beta2}, scratch.data());
      double squares = 0;
      for (const float w : weights) squares += static_cast<double>(w) * static_cast<double>(w);
      EXPECT_NEAR(std::sqrt(squares), 0.1 * std::sqrt(3.0) * std::sqrt(8.0), 0.1) << size << " " << beta2;
    }
  }
}

TEST(Muon, WeightsDecayOnlyWhereTheUpdateAgrees) {
  Floats plain(16), decayed(16), scratch(muon_scratch(4, 4));
  const Floats start = normal_numbers(16, 2), gradient = normal_numbers(16, 9);
  plain = decayed = start;
  const auto step = [&](Floats& weights, float decay) {
    Floats m(16), s(4);
    muon_step(kernels::cpu_backend(), weights.data(), m.data(), s.data(), gradient.data(), 4, 4,
              {.rate = 0.1f, .weight_decay = decay}, scratch.data());
  };
  step(plain, 0);
  step(decayed, 0.5f);
  std::size_t agreed = 0;
  for (std::size_t i = 0; i < 16; ++i) {
    const float update = start[i] - plain[i];
    if (update * start[i] >= 0) {
      ++agreed;
      EXPECT_NEAR(decayed[i], plain[i] - 0.05f * start[i], 1e-6);
    } else {
      EXPECT_EQ(decayed[i], plain[i]);
    }
  }
  EXPECT_GT(agreed, 2u);
  EXPECT_LT(agreed, 14u);
}

// Muon as its papers write it, in doubles: the yardstick of the one that trains.
using Doubles = std::vector<double>;
struct Plain {
  std::size_t rows, columns;
  double at(const Doubles& x, std::size_t r, std::size_t c) const { return x[r * columns + c]; }

  static double norm(const Doubles& x) {
    double sum = 0;
    for (const double one : x) sum += one * one;
    return std::sqrt(sum);
  }
  // One step of x <- a x + b (x x^T) x + c (x x^T)^2 x.
  Doubles iterate(const Doubles& x, double a, double b, double c) const {
    Doubles gram(rows * rows), square(rows * rows), next(x.size());
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < rows; ++j)
        for (std::size_t k = 0; k < columns; ++k) gram[i * rows + j] += at(x, i, k) * at(x, j, k);
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < rows; ++j)
        for (std::size_t k = 0; k < rows; ++k) square[i * rows + j] += gram[i * rows + k] * gram[k * rows + j];
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < columns; ++j) {
        next[i * columns + j] = a * at(x, i, j);
        for (std::size_t k = 0; k < rows; ++k)
          next[i * columns + j] += (b * gram[i * rows + k] + c * square[i * rows + k]) * at(x, k, j);
      }
    return next;
  }
  Doubles orthogonal(Doubles x, Orthogonalizer by) const {
    const double published[5][3] = {{8.156554524902461, -22.48329292557795, 15.878769915207462},
                                    {4.042929935166739, -2.808917465908714, 0.5000178451051316},
                                    {3.8916678022926607, -2.772484153217685, 0.5060648178503393},
                                    {3.285753657755655, -2.3681294933425376, 0.46449024233003106},
                                    {2.3465413258596377, -1.7097828382687081, 0.42323551169305323}};
    const bool polar = by == Orthogonalizer::polar_express;
    const double length = norm(x);
    for (double& one : x) one /= polar ? 1.02 * length + 1e-6 : length + 1e-6;
    for (const auto& [a, b, c] : published) x = polar ? iterate(x, a, b, c) : iterate(x, 3.4445, -4.7750, 2.0315);
    return x;
  }
  // NorMuon's: rows of a tall or square matrix, columns of a wide one.
  Doubles normalised(Doubles x, Doubles& second, double beta) const {
    const bool by_row = rows >= columns;
    const double before = norm(x);
    for (std::size_t line = 0; line < std::max(rows, columns); ++line) {
      double mean = 0;
      const std::size_t length = std::min(rows, columns);
      for (std::size_t i = 0; i < length; ++i)
        mean += std::pow(by_row ? at(x, line, i) : at(x, i, line), 2) / static_cast<double>(length);
      second[line] = beta * second[line] + (1 - beta) * mean;
    }
    for (std::size_t i = 0; i < x.size(); ++i) x[i] /= std::sqrt(second[by_row ? i / columns : i % columns]);
    const double after = norm(x);
    for (double& one : x) one *= before / after;
    return x;
  }
};

TEST(Muon, StepsAsItsPapersSayInEveryShape) {
  for (const auto by : {Orthogonalizer::polar_express, Orthogonalizer::newton_schulz}) {
    for (const auto& [rows, columns] : sides) {
      const Plain plain{rows, columns};
      const MuonSettings settings{.by = by, .rate = 0.1f, .momentum = 0.9f, .beta2 = 0.8f, .weight_decay = 0.3f};
      Floats weights = normal_numbers(rows * columns, 6), momentum(weights.size()), second(std::max(rows, columns)),
             scratch(muon_scratch(rows, columns), std::nanf(""));
      Doubles w(weights.begin(), weights.end()), m(w.size()), s(second.size());
      for (unsigned step = 0; step < 3; ++step) {
        const Floats gradient = normal_numbers(weights.size(), 20 + step);
        muon_step(kernels::cpu_backend(), weights.data(), momentum.data(), second.data(), gradient.data(), rows,
                  columns, settings, scratch.data());
        Doubles update(w.size());
        for (std::size_t i = 0; i < w.size(); ++i) {
          m[i] = 0.9 * m[i] + 0.1 * static_cast<double>(gradient[i]);
          update[i] = 0.9 * m[i] + 0.1 * static_cast<double>(gradient[i]);
        }
        // The Gram matrix is that of the shorter side: the same polynomial either way.
        update = plain.normalised(plain.orthogonal(update, by), s, 0.8);
        const double rate = 0.1 * std::sqrt(std::max(1.0, static_cast<double>(rows) / static_cast<double>(columns)));
        for (std::size_t i = 0; i < w.size(); ++i)
          w[i] -= rate * (update[i] + (update[i] * w[i] >= 0 ? 0.3 * w[i] : 0));
      }
      double off = 0;
      for (std::size_t i = 0; i < w.size(); ++i) off += std::pow(static_cast<double>(weights[i]) - w[i], 2);
      EXPECT_LT(std::sqrt(off), 1e-3 * Plain::norm(w)) << rows << "x" << columns;
    }
  }
}

TEST(Muon, FindsTheMatrixThatWasHidden) {
  const std::size_t rows = 6, columns = 5;
  const Floats hidden = normal_numbers(rows * columns, 4);
  Floats weights(rows * columns), momentum(rows * columns), second(rows), gradient(rows * columns),
      scratch(muon_scratch(rows, columns));
  for (std::size_t n = 1; n <= 400; ++n) {
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] = weights[i] - hidden[i];
    const float rate = 0.05f * static_cast<float>(401 - n) / 400;
    muon_step(kernels::cpu_backend(), weights.data(), momentum.data(), second.data(), gradient.data(), rows, columns,
              {.rate = rate}, scratch.data());
  }
  for (std::size_t i = 0; i < weights.size(); ++i) EXPECT_NEAR(weights[i], hidden[i], 0.02);
}

}  // namespace
}  // namespace overnight::workers
