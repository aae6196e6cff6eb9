// The generalised state-space op and the mixers of Mamba-2 and Mamba-3 in the plainest C++ and in any precision: one
// token after the other, without chunks. Rows are as in kernels.h, without gaps.
#pragma once

#include <cmath>
#include <cstddef>

#include "kernels/kernels.h"
#include "kernels/reference/reference.h"

namespace overnight::kernels::reference {

template <typename R>
struct StateSpaceInputs {
  Values<R> q, k, v, decay, weight, own;  // own empty: as weight
};

// With n_t = sum_r v_{t,r} k_{t,r}^T and the state h [head_size, state]:
//   y_{t,r} = (exp(decay_t) h_{t-1} + own_t n_t) q_{t,r},   h_t = exp(decay_t) h_{t-1} + weight_t n_t
// (arXiv 2405.21060, eq. 6, where own is weight; with ranks arXiv 2603.15569, section 3.3; own: see mamba3).
template <typename R>
Values<R> state_space(const StateSpaceInputs<R>& in, StateSpaceShape s) {
  Values<R> y(in.v.size());
  for (std::size_t b = 0; b < s.batch; ++b) {
    for (std::size_t h = 0; h < s.heads; ++h) {
      const std::size_t group = h / (s.heads / s.groups);
      Values<R> state(s.head_size * s.state);
      for (std::size_t t = b * s.context; t < (b + 1) * s.context; ++t) {
        for (R& x : state) x *= std::exp(in.decay[t * s.heads + h]);
        const auto qk = [&](std::size_t r) { return (t * s.rank + r) * s.groups * s.state + group * s.state; };
        const auto v = [&](std::size_t r) { return (t * s.rank + r) * s.heads * s.head_size + h * s.head_size; };
        const std::size_t at = t * s.heads + h;
        const R own = in.own.empty() ? in.weight[at] : in.own[at];
        for (std::size_t p = 0; p < s.head_size; ++p) {
          for (std::size_t n = 0; n < s.state; ++n) {
            R added = 0;
            for (std::size_t r = 0; r < s.rank; ++r) added += in.v[v(r) + p] * in.k[qk(r) + n];
            R& x = state[p * s.state + n];
            for (std::size_t r = 0; r < s.rank; ++r) y[v(r) + p] += (x + own * added) * in.q[qk(r) + n];
            x += in.weight[at] * added;
          }
        }
      }
    }
  }
  return y;
}

template <typename R>
R silu(R x) {
  return x / (1 + std::exp(-x));
}
template <typename R>
R softplus(R x) {
  return std::log1p(std::exp(x));
}

// Each channel by itself over the last `taps` tokens of its sequence, then SiLU.
template <typename R>
Values<R> convolution(const Values<R>& in, const Values<R>& weights, const Values<R>& bias, std::size_t batch,
                      std::size_t context, std::size_t channels, std::size_t taps) {
  Values<R> out(in.size());
  for (std::size_t row = 0; row < batch * context; ++row) {
    for (std::size_t c = 0; c < channels; ++c) {
      R sum = bias[c];
      for (std::size_t back = 0; back < taps && back <= row % context; ++back)
        sum += weights[(taps - 1 - back) * channels + c] * in[(row - back) * channels + c];
      out[row * channels + c] = silu(sum);
    }
  }
  return out;
}

// out = sum_r mix_r * (y_r + skip * v_r) * silu(spread_r * z)
template <typename R>
Values<R> gate(const Values<R>& y, const Values<R>& v, const Values<R>& z, const Values<R>& skip,
               const Values<R>& spread, const Values<R>& mix, StateSpaceShape s) {
  const std::size_t width = s.heads * s.head_size;
  Values<R> out(z.size());
  for (std::size_t row = 0; row < z.size() / width; ++row) {
    for (std::size_t r = 0; r < s.rank; ++r) {
      for (std::size_t i = 0; i < width; ++i) {
        const std::size_t at = (row * s.rank + r) * width + i;
        out[row * width + i] += mix[r * width + i] * (y[at] + skip[i / s.head_size] * v[at]) *
                                silu(spread[r * width + i] * z[row * width + i]);
      }
    }
  }
  return out;
}

// The steps of Mamba-2 with their state-space op: decay -exp(log_rate) * step, weight step = softplus(raw + bias).
template <typename R>
struct Mamba2Inputs {
  Values<R> q, k, v, raw, bias, log_rate;
};

template <typename R>
Values<R> mamba2(const Mamba2Inputs<R>& in, StateSpaceShape s) {
  StateSpaceInputs<R> scan{in.q, in.k, in.v, in.raw, in.raw, {}};
  for (std::size_t i = 0; i < in.raw.size(); ++i) {
    const R step = softplus(in.raw[i] + in.bias[i % s.heads]);
    scan.weight[i] = step;
    scan.decay[i] = -std::exp(in.log_rate[i % s.heads]) * step;
  }
  return state_space(scan, s);
}

// Mamba-3 as its paper writes it (arXiv 2603.15569, propositions 1 and 4, section 3.3), one token after the other: with
// D = softplus(step + step_bias), A = -heavy_tail(rate), l = sigmoid(share), n_t = sum_r v_{t,r} k_{t,r}^T,
//   h_t = e^{DA} h_{t-1} + (1 - l) D e^{DA} n_{t-1} + l D n_t,   y_{t,r} = h_t q_{t,r},
// where keys and queries are normalised over the state, times a gain, plus a bias of each head, and turned in pairs by
// the sum of pi tanh(angle) D over all tokens so far. Pairs are (i, i + angles): any fixed pairing is the same model.
// Our op sees it as decay DA, own l D, and weight l_t D_t + (1 - l_{t+1}) D_{t+1}: all that h_{t+1} takes from token t.
template <typename R>
struct Mamba3Inputs {
  Values<R> key, query, v, step, rate, share, angle;
  Values<R> step_bias, key_gain, query_gain, key_bias, query_bias;
};

template <typename R>
R heavy_tail(R x) {
  return x >= 0 ? 1 + x : std::max(1 / (1 - x), static_cast<R>(1e-4));
}

// Row [state] of key or query `r` of token `t` for head `h`.
template <typename R>
Values<R> turned_row(const Values<R>& in, const Values<R>& gain, const Values<R>& bias, const Values<R>& angles,
                     std::size_t t, std::size_t r, std::size_t h, Mamba3Shape shape) {
  const StateSpaceShape& s = shape.scan;
  const std::size_t group = h / (s.heads / shape.shared_groups),
                    from = ((t * s.rank + r) * shape.shared_groups + group) * s.state;
  Values<R> x(in.begin() + static_cast<std::ptrdiff_t>(from), in.begin() + static_cast<std::ptrdiff_t>(from + s.state));
  x = rmsnorm(x, 1, s.state);
  for (std::size_t i = 0; i < s.state; ++i) x[i] = x[i] * gain[i] + bias[(h * s.rank + r) * s.state + i];
  for (std::size_t i = 0; i < shape.angles; ++i) {
    const R a = x[i], b = x[i + shape.angles];
    x[i] = a * std::cos(angles[i]) - b * std::sin(angles[i]);
    x[i + shape.angles] = a * std::sin(angles[i]) + b * std::cos(angles[i]);
  }
  return x;
}

template <typename R>
Values<R> mamba3(const Mamba3Inputs<R>& in, Mamba3Shape shape) {
  const StateSpaceShape& s = shape.scan;
  const R pi = static_cast<R>(3.14159265358979323846L);
  Values<R> y(in.v.size());
  for (std::size_t b = 0; b < s.batch; ++b) {
    for (std::size_t h = 0; h < s.heads; ++h) {
      Values<R> state(s.head_size * s.state), before(state.size()), angles(shape.angles);
      for (std::size_t t = b * s.context; t < (b + 1) * s.context; ++t) {
        const R step = softplus(in.step[t * s.heads + h] + in.step_bias[h]),
                fading = std::exp(-step * heavy_tail(in.rate[t * s.heads + h])),
                share = 1 / (1 + std::exp(-in.share[t * s.heads + h]));
        for (std::size_t i = 0; i < shape.angles; ++i)
          angles[i] += pi * std::tanh(in.angle[t * shape.angles + i]) * step;
        Values<R> now(state.size());
        const auto v = [&](std::size_t r) { return (t * s.rank + r) * s.heads * s.head_size + h * s.head_size; };
        for (std::size_t r = 0; r < s.rank; ++r) {
          const Values<R> k = turned_row(in.key, in.key_gain, in.key_bias, angles, t, r, h, shape);
          for (std::size_t i = 0; i < now.size(); ++i) now[i] += in.v[v(r) + i / s.state] * k[i % s.state];
        }
        for (std::size_t i = 0; i < now.size(); ++i)
          state[i] = fading * state[i] + (1 - share) * step * fading * before[i] + share * step * now[i];
        before = now;
        for (std::size_t r = 0; r < s.rank; ++r) {
          const Values<R> q = turned_row(in.query, in.query_gain, in.query_bias, angles, t, r, h, shape);
          for (std::size_t i = 0; i < now.size(); ++i) y[v(r) + i / s.state] += state[i] * q[i % s.state];
        }
      }
    }
  }
  return y;
}

}  // namespace overnight::kernels::reference
