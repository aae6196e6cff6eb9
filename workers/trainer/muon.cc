#include "workers/trainer/muon.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace overnight::workers {
namespace {

struct Polynomial {
  float a, b, c;  // x <- a x + b x^3 + c x^5, on every singular value
};

// Polar Express (arXiv 2505.16932, for singular values between 0.001 and 1, with its safety factor); the last goes on.
constexpr Polynomial polar_express[orthogonalizer_steps] = {
    {8.156554524902461f, -22.48329292557795f, 15.878769915207462f},
    {4.042929935166739f, -2.808917465908714f, 0.5000178451051316f},
    {3.8916678022926607f, -2.772484153217685f, 0.5060648178503393f},
    {3.285753657755655f, -2.3681294933425376f, 0.46449024233003106f},
    {2.3465413258596377f, -1.7097828382687081f, 0.42323551169305323f}};
constexpr Polynomial newton_schulz{3.4445f, -4.7750f, 2.0315f};
constexpr float safety = 1.02f, tiny = 1e-6f;  // Newton-Schulz needs no safety: it bears singular values above 1

struct Shape {
  std::size_t low, high;  // the shorter and the longer side
  bool tall;
};
Shape shape_of(std::size_t rows, std::size_t columns) {
  return {std::min(rows, columns), std::max(rows, columns), rows > columns};
}

void turn(float* to, const float* from, std::size_t rows, std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) to[c * rows + r] = from[r * columns + c];
  }
}

float norm(const kernels::Backend& backend, const float* values, std::size_t count) {
  return static_cast<float>(std::sqrt(backend.sum_of_squares(values, count)));
}

// NorMuon: each row's mean square (of a wide matrix, each column's) is kept as a running mean and divided by; then the
// whole is scaled back to the norm it had, so that the running mean's slow start does not matter.
void normalize(const kernels::Backend& backend, float* update, float* second, std::size_t rows, std::size_t columns,
               float beta2) {
  const bool by_row = rows >= columns;
  const std::size_t lines = by_row ? rows : columns, length = by_row ? columns : rows;
  const std::size_t line_stride = by_row ? columns : 1, stride = by_row ? 1 : columns;
  const float before = norm(backend, update, rows * columns);
  for (std::size_t line = 0; line < lines; ++line) {
    float* x = update + line * line_stride;
    float sum = 0;
    for (std::size_t i = 0; i < length; ++i) sum += x[i * stride] * x[i * stride];
    second[line] = beta2 * second[line] + (1 - beta2) * sum / static_cast<float>(length);
    const float inverse = 1 / (std::sqrt(second[line]) + 1e-10f);
    for (std::size_t i = 0; i < length; ++i) x[i * stride] *= inverse;
  }
  const float scale = before / (norm(backend, update, rows * columns) + 1e-10f);
  for (std::size_t i = 0; i < rows * columns; ++i) update[i] *= scale;
}

}  // namespace

std::size_t orthogonalize_scratch(std::size_t rows, std::size_t columns) {
  const Shape s = shape_of(rows, columns);
  return 2 * s.low * s.low + 2 * rows * columns;
}

std::size_t muon_scratch(std::size_t rows, std::size_t columns) {
  return rows * columns + orthogonalize_scratch(rows, columns);
}

double orthogonalize_flops(std::size_t rows, std::size_t columns) {
  const auto less = static_cast<double>(std::min(rows, columns)), more = static_cast<double>(std::max(rows, columns));
  return static_cast<double>(orthogonalizer_steps) * (4 * less * less * more + 2 * less * less * less);
}

void orthogonalize(const kernels::Backend& backend, float* matrix, std::size_t rows, std::size_t columns,
                   Orthogonalizer by, float* scratch) {
  const Shape s = shape_of(rows, columns);
  const std::size_t count = rows * columns, square = s.low * s.low;
  float *x = scratch, *next = x + count, *gram = next + count, *mixed = gram + square;
  if (s.tall) {
    turn(x, matrix, rows, columns);
  } else {
    std::memcpy(x, matrix, count * sizeof(float));
  }
  const float scale = 1 / ((by == Orthogonalizer::polar_express ? safety : 1) * norm(backend, x, count) + tiny);
  for (std::size_t i = 0; i < count; ++i) x[i] *= scale;
  for (std::size_t step = 0; step < orthogonalizer_steps; ++step) {
    const Polynomial p = by == Orthogonalizer::polar_express ? polar_express[step] : newton_schulz;
    backend.product(gram, s.low, {x, s.high, 1}, {x, 1, s.high}, s.low, s.low, s.high, nullptr);
    backend.product(mixed, s.low, {gram, s.low, 1}, {gram, s.low, 1}, s.low, s.low, s.low, nullptr);
    for (std::size_t i = 0; i < square; ++i) mixed[i] = p.b * gram[i] + p.c * mixed[i];
    for (std::size_t i = 0; i < count; ++i) next[i] = p.a * x[i];
    backend.product(next, s.high, {mixed, s.low, 1}, {x, s.high, 1}, s.low, s.high, s.low, next);
    std::swap(x, next);
  }
  if (s.tall) {
    turn(matrix, x, columns, rows);
  } else {
    std::memcpy(matrix, x, count * sizeof(float));
  }
}

void muon_step(const kernels::Backend& backend, float* weights, float* momentum, float* second, const float* gradient,
               std::size_t rows, std::size_t columns, const MuonSettings& settings, float* scratch) {
  const std::size_t count = rows * columns;
  float* update = scratch;
  const float beta = settings.momentum;
  for (std::size_t i = 0; i < count; ++i) {
    const float g = gradient[i] * settings.gradient_scale;
    momentum[i] = beta * momentum[i] + (1 - beta) * g;
    update[i] = beta * momentum[i] + (1 - beta) * g;  // Nesterov
  }
  orthogonalize(backend, update, rows, columns, settings.by, scratch + count);
  if (settings.beta2 > 0) normalize(backend, update, second, rows, columns, settings.beta2);
  const float ratio = static_cast<float>(rows) / static_cast<float>(columns);
  const float rate = settings.rate * std::sqrt(std::max(1.0f, ratio));
  for (std::size_t i = 0; i < count; ++i) {
    const float decay = update[i] * weights[i] >= 0 ? settings.weight_decay * weights[i] : 0;
    weights[i] -= rate * (update[i] + decay);
  }
}

}  // namespace overnight::workers
