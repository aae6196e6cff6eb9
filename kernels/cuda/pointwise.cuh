// What is done number by number: activations, the cap of logits, blends, gains, spreads, sums.
#pragma once

#include "kernels/cuda/loss.cuh"
#include "kernels/cuda/scalar.cuh"
#include "kernels/kernels.h"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

template <typename Real>
void relu2_forward(Real* out, const Real* in, std::size_t count) {
  using Full = FullOf<Real>;
  map("relu2_forward", out, count, [=] __device__(Full x) { return x > 0 ? x * x : Full(0); }, in);
}
template <typename Real>
void relu2_backward(Real* din, const Real* dout, const Real* out, std::size_t count) {
  using Full = FullOf<Real>;
  map("relu2_backward", din, count, [=] __device__(Full d, Full y) { return 2 * sqrt(y) * d; }, dout, out);
}

template <typename Real>
void gelu_forward(Real* out, const Real* in, std::size_t count) {
  using Full = FullOf<Real>;
  map("gelu_forward", out, count, [=] __device__(Full x) { return gelu(x).value; }, in);
}
template <typename Real>
void gelu_backward(Real* din, const Real* dout, const Real* in, std::size_t count) {
  using Full = FullOf<Real>;
  map("gelu_backward", din, count, [=] __device__(Full d, Full x) { return d * gelu(x).slope; }, dout, in);
}

template <typename Real>
void softcap_forward(Real* values, std::size_t count, FullOf<Real> cap) {
  using Full = FullOf<Real>;
  map("softcap_forward", values, count, [=] __device__(Full x) { return cap * tanh(x / cap); }, static_cast<const Real*>(values));
}

template <typename Real>
void add(Real* to, const Real* from, std::size_t count) {
  using Full = FullOf<Real>;
  map("add", to, count, [=] __device__(Full a, Full b) { return a + b; }, static_cast<const Real*>(to), from);
}

// Row by row: the gate's half of a row and what it lets through lie `width` apart.
template <unsigned Count, typename Real>
void swiglu_forward_by(Real* out, const Real* in, std::size_t rows, std::size_t width) {
  using Full = FullOf<Real>;
  each_in_rows<Count>("swiglu_forward", rows, width, [=] __device__(std::size_t row, unsigned i) {
    const Real* at = in + row * 2 * width + i;
    const auto gate = load<Count>(at), up = load<Count>(at + width);
    Pack<Real, Count> y;
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) y.at[n] = silu(static_cast<Full>(gate.at[n])).value * up.at[n];
    store(out + row * width + i, y);
  });
}
template <unsigned Count, typename Real>
void swiglu_backward_by(Real* din, const Real* dout, const Real* in, std::size_t rows, std::size_t width) {
  using Full = FullOf<Real>;
  each_in_rows<Count>("swiglu_backward", rows, width, [=] __device__(std::size_t row, unsigned i) {
    const std::size_t at = row * 2 * width + i;
    const auto gate = load<Count>(in + at), up = load<Count>(in + at + width), dy = load<Count>(dout + row * width + i);
    Pack<Real, Count> dgate, dup;
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) {
      const auto g = silu(static_cast<Full>(gate.at[n]));
      const Full d = dy.at[n];
      dgate.at[n] = d * up.at[n] * g.slope;
      dup.at[n] = d * g.value;
    }
    store(din + at, dgate);
    store(din + at + width, dup);
  });
}
template <typename Real>
void swiglu_forward(Real* out, const Real* in, std::size_t rows, std::size_t width) {
  by_packs<Real>(width % Pack<Real>::size == 0 && on_pack_boundaries(out, in), [&](auto size) { swiglu_forward_by<size()>(out, in, rows, width); });
}
template <typename Real>
void swiglu_backward(Real* din, const Real* dout, const Real* in, std::size_t rows, std::size_t width) {
  by_packs<Real>(width % Pack<Real>::size == 0 && on_pack_boundaries(din, dout, in),
                 [&](auto size) { swiglu_backward_by<size()>(din, dout, in, rows, width); });
}

template <typename Real>
void blend_forward(Real* out, const Real* a, const Real* b, const FullOf<Real>* shares, std::size_t count) {
  using Full = FullOf<Real>;
  map("blend_forward", out, count, [=] __device__(Full x, Full y) { return shares[0] * x + shares[1] * y; }, a, b);
}

// One pass: both gradients, and of each block the sums for the shares' gradients.
template <unsigned Count, typename Real, typename Full>
__global__ void blend_backward_kernel(Real* da, Real* db, Full* sums, const Real* dout, const Real* a, const Real* b, const Full* shares, std::size_t packs,
                                      bool add_a, bool add_b) {
  __shared__ Full parts[block_threads / warp_threads];
  const Full of_a = shares[0], of_b = shares[1];
  Full sum_a = 0, sum_b = 0;
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < packs; i += step) {
    const auto d = load<Count>(dout + i * Count), x = load<Count>(a + i * Count), y = load<Count>(b + i * Count);
    Pack<Real, Count> to;
    if (add_a) to = load<Count>(da + i * Count);
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) {
      const Full here = d.at[n];
      sum_a += here * x.at[n];
      sum_b += here * y.at[n];
      to.at[n] = (add_a ? static_cast<Full>(to.at[n]) : Full(0)) + of_a * here;
    }
    store(da + i * Count, to);
    if (add_b) to = load<Count>(db + i * Count);  // behind the store: a stream may be blended with itself
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) to.at[n] = (add_b ? static_cast<Full>(to.at[n]) : Full(0)) + of_b * static_cast<Full>(d.at[n]);
    store(db + i * Count, to);
  }
  sum_a = block_sum(sum_a, parts);
  sum_b = block_sum(sum_b, parts);
  if (threadIdx.x != 0) return;
  sums[2 * blockIdx.x] = sum_a;
  sums[2 * blockIdx.x + 1] = sum_b;
}
template <typename Real>
void blend_backward(Real* da, Real* db, FullOf<Real>* dshares, const Real* dout, const Real* a, const Real* b, const FullOf<Real>* shares, std::size_t count,
                    bool add_a, bool add_b) {
  using Full = FullOf<Real>;
  if (count == 0) return;
  Full* sums = workspace<Full>();
  by_packs<Real>(count % Pack<Real>::size == 0 && on_pack_boundaries(da, db, dout, a, b), [&](auto size) {
    const dim3 grid = loop_grid(count / size());
    launch("blend_backward", blend_backward_kernel<size(), Real, Full>, grid, dim3(block_threads), 0, da, db, sums, dout, a, b, shares, count / size(), add_a,
           add_b);
    add_pieces("blend_backward, shares", dshares, static_cast<const Full*>(sums), grid.x, 2);
  });
}

// out = in * gain, by column; both directions.
template <unsigned Count, typename Real>
void times_gain_by(const char* name, Real* out, const Real* in, const FullOf<Real>* gain, std::size_t rows, std::size_t width) {
  each_in_rows<Count>(name, rows, width, [=] __device__(std::size_t row, unsigned i) {
    FullOf<Real> by[Count];
    read(by, gain + i);
    auto pack = load<Count>(in + row * width + i);
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) pack.at[n] = pack.at[n] * by[n];
    store(out + row * width + i, pack);
  });
}
template <typename Real>
void times_gain(const char* name, Real* out, const Real* in, const FullOf<Real>* gain, std::size_t rows, std::size_t width) {
  by_packs<Real>(width % Pack<Real>::size == 0 && on_pack_boundaries(out, in, gain),
                 [&](auto size) { times_gain_by<size()>(name, out, in, gain, rows, width); });
}
template <typename Real>
void gain_forward(Real* out, const Real* in, const FullOf<Real>* gain, std::size_t rows, std::size_t width) {
  times_gain("gain_forward", out, in, gain, rows, width);
}
template <typename Real>
void gain_backward(Real* din, FullOf<Real>* dgain, const Real* dout, const Real* in, const FullOf<Real>* gain, std::size_t rows, std::size_t width) {
  add_column_sums("gain_backward, gain", dgain, rows, width,
                  [=] __device__(std::size_t row, std::size_t i) { return dout[row * width + i] * in[row * width + i]; });
  times_gain("gain_backward", din, dout, gain, rows, width);
}

template <unsigned Count, typename Real>
void spread_forward_by(Real* v, const Real* x, std::size_t stride, const FullOf<Real>* spread, std::size_t rows, std::size_t rank, std::size_t width) {
  each_in_rows<Count>("spread_forward", rows, width, [=] __device__(std::size_t row, unsigned i) {
    const auto from = load<Count>(x + row * stride + i);
    for (std::size_t r = 0; r < rank; ++r) {
      FullOf<Real> by[Count];
      read(by, spread + r * width + i);
#pragma unroll
      for (unsigned n = 0; n < Count; ++n) by[n] *= from.at[n];
      store(v + (row * rank + r) * width + i, rounded<Real>(by));
    }
  });
}
template <unsigned Count, typename Real>
void spread_backward_by(Real* dx, const Real* dv, std::size_t stride, const FullOf<Real>* spread, std::size_t rows, std::size_t rank, std::size_t width) {
  each_in_rows<Count>("spread_backward", rows, width, [=] __device__(std::size_t row, unsigned i) {
    FullOf<Real> sums[Count] = {};
    for (std::size_t r = 0; r < rank; ++r) {
      FullOf<Real> by[Count], d[Count];
      read(by, spread + r * width + i);
      read(d, dv + (row * rank + r) * width + i);
#pragma unroll
      for (unsigned n = 0; n < Count; ++n) sums[n] += d[n] * by[n];
    }
    store(dx + row * stride + i, rounded<Real>(sums));
  });
}
template <typename Real>
bool spread_in_packs(const Real* v, const Real* x, std::size_t stride, const FullOf<Real>* spread, std::size_t width) {
  return width % Pack<Real>::size == 0 && stride % Pack<Real>::size == 0 && on_pack_boundaries(v, x, spread);
}
template <typename Real>
void spread_forward(Real* v, const Real* x, std::size_t stride, const FullOf<Real>* spread, std::size_t rows, std::size_t rank, std::size_t width) {
  by_packs<Real>(spread_in_packs(v, x, stride, spread, width), [&](auto size) { spread_forward_by<size()>(v, x, stride, spread, rows, rank, width); });
}
template <typename Real>
void spread_backward(Real* dx, FullOf<Real>* dspread, const Real* dv, const Real* x, std::size_t stride, const FullOf<Real>* spread, std::size_t rows,
                     std::size_t rank, std::size_t width) {
  add_column_sums("spread_backward, spread", dspread, rows, rank * width, [=] __device__(std::size_t row, std::size_t i) {
    return dv[row * rank * width + i] * x[row * stride + static_cast<unsigned>(i) % static_cast<unsigned>(width)];
  });
  by_packs<Real>(spread_in_packs(dv, dx, stride, spread, width), [&](auto size) { spread_backward_by<size()>(dx, dv, stride, spread, rows, rank, width); });
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
