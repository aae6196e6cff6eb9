// What each op means, in the plainest C++ and in any precision: the yardstick of all backends. Slow on purpose.
// Signatures follow kernels.h; backward functions here always overwrite.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
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

// Queries and keys of qkv[rows, s.row()], normalised by head and turned by their positions: [rows, (heads + key_heads)
// * head_size].
template <typename R>
Values<R> qk(const Values<R>& qkv, AttentionShape s, R base = 10000) {
  const std::size_t turned = s.heads + s.key_heads(), half = s.head_size / 2;
  Values<R> out(s.batch * s.context * turned * s.head_size);
  for (std::size_t row = 0; row < s.batch * s.context; ++row) {
    const R t = static_cast<R>(row % s.context);
    for (std::size_t head = 0; head < turned; ++head) {
      const auto from = qkv.begin() + static_cast<std::ptrdiff_t>(row * s.row() + head * s.head_size);
      const Values<R> x = rmsnorm(Values<R>(from, from + static_cast<std::ptrdiff_t>(s.head_size)), 1, s.head_size);
      R* to = &out[(row * turned + head) * s.head_size];
      for (std::size_t i = 0; i < half; ++i) {
        const R angle = t * std::pow(base, -static_cast<R>(i) / static_cast<R>(half));
        to[i] = x[i] * std::cos(angle) - x[i + half] * std::sin(angle);
        to[i + half] = x[i] * std::sin(angle) + x[i + half] * std::cos(angle);
      }
    }
  }
  return out;
}

// With queries and keys from `qk_values` (as `qk` gives them) and values from `qkv`.
template <typename R>
Values<R> attention(const Values<R>& qk_values, const Values<R>& qkv, AttentionShape s) {
  const std::size_t T = s.context, qk_row = (s.heads + s.key_heads()) * s.head_size,
                    values_at = s.width() + s.key_heads() * s.head_size;
  Values<R> out(s.batch * T * s.width());
  for (std::size_t b = 0; b < s.batch; ++b) {
    for (std::size_t h = 0; h < s.heads; ++h) {
      const std::size_t shared = h / (s.heads / s.key_heads()) * s.head_size;
      for (std::size_t t = 0; t < T; ++t) {
        const std::size_t first = s.first_seen(t);
        Values<R> score(t + 1);
        R largest = -1e30f, sum = 0;
        for (std::size_t j = first; j <= t; ++j) {
          R dot = 0;
          for (std::size_t i = 0; i < s.head_size; ++i)
            dot += qk_values[(b * T + t) * qk_row + h * s.head_size + i] *
                   qk_values[(b * T + j) * qk_row + s.width() + shared + i];
          score[j] = dot / std::sqrt(static_cast<R>(s.head_size));
          largest = std::max(largest, score[j]);
        }
        for (std::size_t j = first; j <= t; ++j) sum += score[j] = std::exp(score[j] - largest);
        for (std::size_t j = first; j <= t; ++j) {
          for (std::size_t i = 0; i < s.head_size; ++i)
            out[(b * T + t) * s.width() + h * s.head_size + i] +=
                score[j] / sum * qkv[(b * T + j) * s.row() + values_at + shared + i];
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

template <typename R>
Values<R> gelu(const Values<R>& in) {
  const R c = std::sqrt(static_cast<R>(2) / static_cast<R>(3.14159265358979323846L));
  Values<R> out(in.size());
  for (std::size_t i = 0; i < in.size(); ++i)
    out[i] = in[i] / 2 * (1 + std::tanh(c * (in[i] + static_cast<R>(0.044715) * in[i] * in[i] * in[i])));
  return out;
}

template <typename R>
Values<R> swiglu(const Values<R>& in, std::size_t rows, std::size_t width) {
  Values<R> out(rows * width);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < width; ++i) {
      const R gate = in[r * 2 * width + i];
      out[r * width + i] = gate / (1 + std::exp(-gate)) * in[r * 2 * width + width + i];
    }
  }
  return out;
}

template <typename R>
Values<R> softcap(const Values<R>& in, R cap) {
  Values<R> out(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = cap * std::tanh(in[i] / cap);
  return out;
}

// What the gated table adds to the values of each row: [rows, key_heads * head_size].
template <typename R>
Values<R> value_embedding(const Values<R>& in, std::span<const std::int32_t> ids, const Values<R>& table,
                          const Values<R>& gate, AttentionShape s, std::size_t width) {
  const std::size_t seen = std::min(width, value_gate_inputs), shared = s.key_heads();
  Values<R> out(ids.size() * shared * s.head_size);
  for (std::size_t row = 0; row < ids.size(); ++row) {
    for (std::size_t h = 0; h < shared; ++h) {
      R logit = 0;
      for (std::size_t i = 0; i < seen; ++i) logit += gate[h * seen + i] * in[row * width + i];
      for (std::size_t i = 0; i < s.head_size; ++i)
        out[(row * shared + h) * s.head_size + i] =
            2 / (1 + std::exp(-logit)) * table[(static_cast<std::size_t>(ids[row]) * shared + h) * s.head_size + i];
    }
  }
  return out;
}

// The sum in nats.
template <typename R>
R cross_entropy(const Values<R>& logits, std::span<const std::int32_t> targets, std::size_t width) {
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
