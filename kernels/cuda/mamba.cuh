// The steps of Mamba-2, and what Mamba-3 makes of its projection for the state-space op (arXiv 2603.15569).
#pragma once

#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/scalar.cuh"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

template <typename Real>
void mamba2_forward(FullOf<Real>* step, FullOf<Real>* decay, const Real* raw, std::size_t stride, const FullOf<Real>* bias, const FullOf<Real>* log_rate,
                    std::size_t rows, std::size_t heads) {
  using Full = FullOf<Real>;
  each_in_rows<1>("mamba2_forward", rows, heads, [=] __device__(std::size_t row, unsigned h) {
    const std::size_t i = row * heads + h;
    const Full size = softplus(raw[row * stride + h] + bias[h]);
    step[i] = size;
    decay[i] = -exp(log_rate[h]) * size;
  });
}

template <typename Real>
void mamba2_backward(Real* draw, std::size_t stride, FullOf<Real>* dbias, FullOf<Real>* dlog_rate, const FullOf<Real>* ddecay, const FullOf<Real>* dweight,
                     const FullOf<Real>* step, const FullOf<Real>* log_rate, std::size_t rows, std::size_t heads) {
  const auto of = [=] __device__(std::size_t row, std::size_t h) {  // softplus' slope is known from its value
    const std::size_t i = row * heads + h;
    return (dweight[i] - exp(log_rate[h]) * ddecay[i]) * (1 - exp(-step[i]));
  };
  add_column_sums("mamba2_backward, bias", dbias, rows, heads, of);
  add_column_sums("mamba2_backward, rates", dlog_rate, rows, heads, [=] __device__(std::size_t row, std::size_t h) {
    return -exp(log_rate[h]) * step[row * heads + h] * ddecay[row * heads + h];
  });
  each_in_rows<1>("mamba2_backward", rows, heads, [=] __device__(std::size_t row, unsigned h) { draw[row * stride + h] = of(row, h); });
}

// Decay rates: -(1 + x) for x >= 0, -1 / (1 - x) below, at most -1e-4.
template <typename Real>
__device__ ValueAndSlope<Real> rate_of(Real x) {
  if (x >= 0) return {-(1 + x), Real(-1)};
  const Real inverse = 1 / (1 - x), least = static_cast<Real>(1e-4);
  if (inverse < least) return {-least, Real(0)};
  return {-inverse, -inverse * inverse};
}

template <typename Real>
__device__ Real wrapped(Real angle) {
  const Real turn = static_cast<Real>(2 * 3.14159265358979323846);
  return angle - turn * floor(angle / turn + Real(0.5));
}

inline constexpr double pi = 3.14159265358979323846;

// Sums along a sequence are one thread's: what so many tokens add is read before it is added up, so that reads wait together.
inline constexpr unsigned rows_ahead = 8;

// Steps, decays, weights and angles: a thread for each head of each sequence's beginning, since angles are sums over tokens.
template <typename Real, typename Full>
void mamba3_steps(Mamba3Of<Real, Full> out, Mamba3ProjectionOf<const Real> in, Mamba3ParametersOf<const Full> p, Mamba3Shape shape) {
  const StateSpaceShape s = shape.scan;
  const std::size_t stride = in.stride, count = shape.angles;
  const auto context = static_cast<unsigned>(s.context);
  each_in_rows<1>("mamba3_forward, steps", s.batch * s.context, s.heads, [=] __device__(std::size_t row, unsigned h) {
    const std::size_t at = row * s.heads + h;
    const bool last = static_cast<unsigned>(row + 1) % context == 0;
    const Full step = softplus(in.step[row * stride + h] + p.step_bias[h]), share = sigmoid(static_cast<Full>(in.share[row * stride + h]));
    const Full later = last ? Full(0) : (1 - sigmoid(static_cast<Full>(in.share[(row + 1) * stride + h]))) * softplus(in.step[(row + 1) * stride + h] + p.step_bias[h]);
    out.step[at] = step;
    out.decay[at] = step * rate_of(static_cast<Full>(in.rate[row * stride + h])).value;
    out.own[at] = share * step;
    out.weight[at] = share * step + later;
  });
  each("mamba3_forward, angles", s.batch * s.heads * count, [=] __device__(std::size_t i) {
    const std::size_t b = i / count / s.heads, h = i / count % s.heads, a = i % count, end = (b + 1) * s.context;
    Full angle = 0, turns[rows_ahead];
    for (std::size_t from = b * s.context; from < end; from += rows_ahead) {
#pragma unroll
      for (unsigned n = 0; n < rows_ahead; ++n) {
        const std::size_t row = from + n < end ? from + n : end - 1;
        turns[n] = static_cast<Full>(pi) * tanh(static_cast<Full>(in.angle[row * stride + a])) * out.step[row * s.heads + h];
      }
#pragma unroll
      for (unsigned n = 0; n < rows_ahead; ++n) {
        if (from + n >= end) continue;
        angle = wrapped(angle + turns[n]);
        out.angles[((from + n) * s.heads + h) * count + a] = angle;
      }
    }
  });
}

// One row of keys or queries [state] for one head: normalised, with gain and bias, turned.
template <typename Real, typename Full>
__device__ void make_turned(Real* to, const Real* from, Full inverse, const Full* gain, const Full* bias, const Full* angles, std::size_t count,
                            std::size_t state, unsigned lane) {
  const auto plain = [&](std::size_t i) { return from[i] * inverse * gain[i] + bias[i]; };
  for (std::size_t i = lane; i < count; i += warp_threads) {
    const Full c = cos(angles[i]), sn = sin(angles[i]), a = plain(i), b = plain(i + count);
    to[i] = a * c - b * sn;
    to[i + count] = a * sn + b * c;
  }
  for (std::size_t i = 2 * count + lane; i < state; i += warp_threads) to[i] = plain(i);
}

template <typename Real, typename Full = FullOf<Real>>
void mamba3_forward(Mamba3Of<Real, Full> out, Mamba3ProjectionOf<const Real> in, Mamba3ParametersOf<const Full> p, Mamba3Shape shape) {
  mamba3_steps(out, in, p, shape);
  const StateSpaceShape s = shape.scan;
  const std::size_t per_group = s.heads / shape.shared_groups, normed = s.rank * shape.shared_groups, groups = shape.shared_groups, count = shape.angles;
  each_row("mamba3_forward, keys and queries", s.batch * s.context * normed, [=] __device__(std::size_t i, unsigned lane) {
    const std::size_t row = i / normed, n = i % normed, r = n / groups, group = n % groups, from = row * in.stride + n * s.state;
    const Full of_key = rms_inverse(in.key + from, s.state, lane), of_query = rms_inverse(in.query + from, s.state, lane);
    if (lane == 0) {
      out.rstd[row * 2 * normed + n] = of_key;
      out.rstd[(row * 2 + 1) * normed + n] = of_query;
    }
    for (std::size_t h = group * per_group; h < (group + 1) * per_group; ++h) {
      const std::size_t to = ((row * s.rank + r) * s.heads + h) * s.state, bias = (h * s.rank + r) * s.state;
      const Full* angles = out.angles + (row * s.heads + h) * count;
      make_turned(out.k + to, in.key + from, of_key, p.key_gain, p.key_bias + bias, angles, count, s.state, lane);
      make_turned(out.q + to, in.query + from, of_query, p.query_gain, p.query_bias + bias, angles, count, s.state, lane);
    }
  });
}

// Turns a gradient back, in place; returns nothing that the caller needs.
template <typename Real, typename Full>
__device__ void turn_back(Real* d, const Full* angles, std::size_t i, std::size_t count) {
  const Full c = cos(angles[i]), sn = sin(angles[i]), a = d[i], b = d[i + count];
  d[i] = a * c + b * sn;
  d[i + count] = b * c - a * sn;
}

template <typename Real, typename Full = FullOf<Real>>
void mamba3_backward(Mamba3ProjectionOf<Real> d, Mamba3ParametersOf<Full> dp, Mamba3Of<Real, Full> dout, Mamba3Of<const Real, const Full> out,
                     Mamba3ProjectionOf<const Real> in, Mamba3ParametersOf<const Full> p, Full* turning, Mamba3Shape shape) {
  const StateSpaceShape s = shape.scan;
  const std::size_t rows = s.batch * s.context, groups = shape.shared_groups, per_group = s.heads / groups, normed = s.rank * groups, stride = in.stride,
                    count = shape.angles;
  // Of each angle at each token: how the turn there pulls; kept in `turning` [rows, heads, angles], then summed from the end of the sequence.
  const auto heads = static_cast<unsigned>(s.heads), shares = static_cast<unsigned>(normed), context = static_cast<unsigned>(s.context);
  each_in_rows<1>("mamba3_backward, turns", rows * s.heads, count, [=] __device__(std::size_t head, unsigned i) {
    const std::size_t row = static_cast<unsigned>(head) / heads, h = static_cast<unsigned>(head) % heads;
    Full pull = 0;
    for (std::size_t r = 0; r < s.rank; ++r) {
      const std::size_t from = ((row * s.rank + r) * s.heads + h) * s.state;
      const Real *k = out.k + from, *q = out.q + from;
      const Full* angles = out.angles + (row * s.heads + h) * count;
      Real *dk = dout.k + from, *dq = dout.q + from;
      pull += k[i] * dk[i + count] - k[i + count] * dk[i] + q[i] * dq[i + count] - q[i + count] * dq[i];
      turn_back(dk, angles, i, count);
      turn_back(dq, angles, i, count);
    }
    turning[head * count + i] = pull;
  });
  each("mamba3_backward, sums of turns", s.batch * s.heads * count, [=] __device__(std::size_t i) {
    const std::size_t b = i / count / s.heads, h = i / count % s.heads, a = i % count, apart = s.heads * count;
    Full* at = turning + (b * s.context * s.heads + h) * count + a;  // of the sequence's first token
    Full sum = 0, pulls[rows_ahead];
    for (std::size_t done = 0; done < s.context; done += rows_ahead) {
#pragma unroll
      for (unsigned n = 0; n < rows_ahead; ++n) pulls[n] = done + n < s.context ? at[(s.context - 1 - done - n) * apart] : Full(0);
#pragma unroll
      for (unsigned n = 0; n < rows_ahead; ++n) {
        sum += pulls[n];
        if (done + n < s.context) at[(s.context - 1 - done - n) * apart] = sum;
      }
    }
  });
  const auto bias_sum = [=](const char* name, Full* to, const Real* from) {
    add_column_sums(name, to, rows, s.heads * s.rank * s.state, [=] __device__(std::size_t row, std::size_t i) {
      const auto column = static_cast<unsigned>(i), state = static_cast<unsigned>(s.state), rank = static_cast<unsigned>(s.rank);
      const std::size_t h = column / state / rank, r = column / state % rank;
      return from[((row * s.rank + r) * s.heads + h) * s.state + column % state];
    });
  };
  bias_sum("mamba3_backward, key biases", dp.key_bias, dout.k);
  bias_sum("mamba3_backward, query biases", dp.query_bias, dout.q);
  // Summed over the heads that share a row of the projection.
  const auto shared = [=] __device__(const Real* from, std::size_t row, std::size_t n, std::size_t i) {
    const std::size_t r = n / groups, group = n % groups;
    Full sum = 0;
    for (std::size_t h = group * per_group; h < (group + 1) * per_group; ++h) sum += from[((row * s.rank + r) * s.heads + h) * s.state + i];
    return sum;
  };
  const auto through_norm = [=](const char* name, Real* din, Full* dgain, const Real* from, const Real* x, const Full* gain, std::size_t which) {
    add_column_sums(name, dgain, rows * normed, s.state, [=] __device__(std::size_t place, std::size_t i) {
      const std::size_t row = static_cast<unsigned>(place) / shares, n = static_cast<unsigned>(place) % shares;
      return shared(from, row, n, i) * x[row * stride + n * s.state + i] * out.rstd[(row * 2 + which) * normed + n];
    });
    each_row(name, rows * normed, [=] __device__(std::size_t place, unsigned lane) {
      const std::size_t row = place / normed, n = place % normed, at = row * stride + n * s.state;
      const Full inverse = out.rstd[(row * 2 + which) * normed + n];
      Full dot = 0;
      for (std::size_t i = lane; i < s.state; i += warp_threads) dot += shared(from, row, n, i) * gain[i] * x[at + i];
      const Full pull = warp_sum(dot) * inverse * inverse / static_cast<Full>(s.state);
      for (std::size_t i = lane; i < s.state; i += warp_threads) din[at + i] = inverse * (shared(from, row, n, i) * gain[i] - x[at + i] * pull);
    });
  };
  through_norm("mamba3_backward, keys", d.key, dp.key_gain, dout.k, in.key, p.key_gain, 0);
  through_norm("mamba3_backward, queries", d.query, dp.query_gain, dout.q, in.query, p.query_gain, 1);
  each_in_rows<1>("mamba3_backward, angles", rows, count, [=] __device__(std::size_t row, unsigned a) {
    const Full turned = tanh(static_cast<Full>(in.angle[row * stride + a])), slope = static_cast<Full>(pi) * (1 - turned * turned);
    Full sum = 0;
    for (std::size_t h = 0; h < s.heads; ++h) sum += turning[(row * s.heads + h) * count + a] * out.step[row * s.heads + h] * slope;
    d.angle[row * stride + a] = sum;
  });
  each_in_rows<1>("mamba3_backward, steps", rows, s.heads, [=] __device__(std::size_t row, unsigned h) {
    const std::size_t at = row * s.heads + h, place = row * stride + h;
    const Full step = out.step[at], share = sigmoid(static_cast<Full>(in.share[place]));
    const Full before = static_cast<unsigned>(row) % context == 0 ? Full(0) : dout.weight[at - s.heads], here = dout.weight[at] + dout.own[at];
    const ValueAndSlope<Full> rate = rate_of(static_cast<Full>(in.rate[place]));
    Full dstep = share * here + (1 - share) * before + rate.value * dout.decay[at];
    for (std::size_t a = 0; a < count; ++a) dstep += turning[at * count + a] * static_cast<Full>(pi) * tanh(static_cast<Full>(in.angle[row * stride + a]));
    d.rate[place] = step * rate.slope * dout.decay[at];
    d.share[place] = step * (here - before) * share * (1 - share);
    d.step[place] = dstep * (1 - exp(-step));
  });
  add_column_sums("mamba3_backward, step biases", dp.step_bias, rows, s.heads,
                  [=] __device__(std::size_t row, std::size_t h) { return d.step[row * stride + h]; });
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
