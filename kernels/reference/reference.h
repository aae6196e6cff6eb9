// What each op means, in the plainest C++ and in any precision: the yardstick of all backends. Slow on purpose.
// Signatures follow kernels.h; backward functions here always overwrite.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"

namespace overnight::kernels::reference {

template <typename R>
using Values = std::vector<R>;

template <typename R>
Values<R> rmsnorm(const Values<R>& in, std::size_t rows, std::size_t width) {
  Values<R> out(in.size());
  for (std::size_t r = 0; r < rows; ++r) {
    R sum = 0;
    for (std::size_t i = 0; i < width; ++i) sum += in[r * width + i] * in[r * width + i];
    const R inverse = 1 / std::sqrt(sum / static_cast<R>(width) + static_cast<R>(1e-6));
    for (std::size_t i = 0; i < width; ++i) out[r * width + i] = in[r * width + i] * inverse;
  }
  return out;
}

template <typename R>
Values<R> linear(const Values<R>& in, const Values<R>& weights, std::size_t rows, std::size_t inputs,
                 std::size_t outputs) {
  Values<R> out(rows * outputs);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t o = 0; o < outputs; ++o) {
      R sum = 0;
      for (std::size_t i = 0; i < inputs; ++i) sum += in[r * inputs + i] * weights[o * inputs + i];
      out[r * outputs + o] = sum;
    }
  }
  return out;
}

template <typename R>
Values<R> qk(const Values<R>& qkv, AttentionShape s) {
  const std::size_t width = s.heads * s.head_size, half = s.head_size / 2;
  Values<R> out(s.batch * s.context * 2 * width);
  for (std::size_t row = 0; row < s.batch * s.context; ++row) {
    const R t = static_cast<R>(row % s.context);
    for (std::size_t head = 0; head < 2 * s.heads; ++head) {
      Values<R> x(qkv.begin() + static_cast<std::ptrdiff_t>(row * 3 * width + head * s.head_size),
                  qkv.begin() + static_cast<std::ptrdiff_t>(row * 3 * width + (head + 1) * s.head_size));
      x = rmsnorm(x, 1, s.head_size);
      for (std::size_t i = 0; i < half; ++i) {
        const R angle = t * std::pow(static_cast<R>(10000), -static_cast<R>(i) / static_cast<R>(half));
        out[row * 2 * width + head * s.head_size + i] = x[i] * std::cos(angle) - x[i + half] * std::sin(angle);
        out[row * 2 * width + head * s.head_size + i + half] = x[i] * std::sin(angle) + x[i + half] * std::cos(angle);
      }
    }
  }
  return out;
}

template <typename R>
Values<R> attention(const Values<R>& qk_values, const Values<R>& qkv, AttentionShape s) {
  const std::size_t width = s.heads * s.head_size, T = s.context;
  Values<R> out(s.batch * T * width);
  for (std::size_t b = 0; b < s.batch; ++b) {
    for (std::size_t h = 0; h < s.heads; ++h) {
      for (std::size_t t = 0; t < T; ++t) {
        Values<R> score(t + 1);
        R largest = -1e30f, sum = 0;
        for (std::size_t j = 0; j <= t; ++j) {
          R dot = 0;
          for (std::size_t i = 0; i < s.head_size; ++i) {
            dot += qk_values[(b * T + t) * 2 * width + h * s.head_size + i] *
                   qk_values[(b * T + j) * 2 * width + width + h * s.head_size + i];
          }
          score[j] = dot / std::sqrt(static_cast<R>(s.head_size));
          largest = std::max(largest, score[j]);
        }
        for (R& x : score) sum += x = std::exp(x - largest);
        for (std::size_t j = 0; j <= t; ++j) {
          for (std::size_t i = 0; i < s.head_size; ++i) {
            out[(b * T + t) * width + h * s.head_size + i] +=
                score[j] / sum * qkv[(b * T + j) * 3 * width + 2 * width + h * s.head_size + i];
          }
        }
      }
    }
  }
  return out;
}

template <typename R>
Values<R> relu2(const Values<R>& in) {
  Values<R> out(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i] > 0 ? in[i] * in[i] : 0;
  return out;
}

// The sum in nats.
template <typename R>
R cross_entropy(const Values<R>& logits, const std::vector<std::int32_t>& targets, std::size_t width) {
  R total = 0;
  for (std::size_t r = 0; r < targets.size(); ++r) {
    if (targets[r] < 0) continue;
    R largest = logits[r * width], sum = 0;
    for (std::size_t i = 0; i < width; ++i) largest = std::max(largest, logits[r * width + i]);
    for (std::size_t i = 0; i < width; ++i) sum += std::exp(logits[r * width + i] - largest);
    total += std::log(sum) + largest - logits[r * width + static_cast<std::size_t>(targets[r])];
  }
  return total;
}

}  // namespace overnight::kernels::reference
