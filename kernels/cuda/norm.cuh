// Root-mean-square norms: of whole rows, and of the heads of queries and keys before they are turned. One warp a row.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/kernels.h"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

inline constexpr unsigned norm_warps = 8;  // rows of a block
inline constexpr double norm_epsilon = 1e-6;

// body(row, lane) for each row, by all threads of a warp.
template <typename Body>
__global__ void each_row_kernel(std::size_t rows, Body body) {
  const std::size_t row = static_cast<std::size_t>(blockIdx.x) * norm_warps + threadIdx.y;
  if (row < rows) body(row, threadIdx.x);
}
template <typename Body>
void each_row(const char* name, std::size_t rows, Body body) {
  if (rows == 0) return;
  launch(name, each_row_kernel<Body>, dim3(static_cast<unsigned>(blocks_of(rows, norm_warps))), dim3(warp_threads, norm_warps), 0, rows, body);
}

// 1 / rms, from this lane's part of the sum of squares.
template <typename Full>
__device__ Full inverse_of(Full squares, std::size_t width) {
  const Full sum = warp_sum(squares);
  if (!(sum < INFINITY)) return sum - sum;  // not a number: a row too large for a sum of squares must not pass for one of zeros
  return 1 / sqrt(sum / static_cast<Full>(width) + static_cast<Full>(norm_epsilon));
}
template <unsigned Count = 1, typename Real>
__device__ FullOf<Real> rms_inverse(const Real* x, std::size_t width, unsigned lane) {
  FullOf<Real> sum = 0;
  for (std::size_t i = lane * Count; i < width; i += warp_threads * Count) {
    const auto pack = load<Count>(x + i);
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) sum += static_cast<FullOf<Real>>(pack.at[n]) * pack.at[n];
  }
  return inverse_of(sum, width);
}

template <unsigned Count, typename Real>
void rmsnorm_forward_by(Real* out, FullOf<Real>* rstd, const Real* in, std::size_t rows, std::size_t width) {
  using Full = FullOf<Real>;
  each_row("rmsnorm_forward", rows, [=] __device__(std::size_t row, unsigned lane) {
    const Real* x = in + row * width;
    const Full inverse = rms_inverse<Count>(x, width, lane);
    if (lane == 0) rstd[row] = inverse;
    for (std::size_t i = lane * Count; i < width; i += warp_threads * Count) {
      auto pack = load<Count>(x + i);
#pragma unroll
      for (unsigned n = 0; n < Count; ++n) pack.at[n] = pack.at[n] * inverse;
      store(out + row * width + i, pack);
    }
  });
}
template <typename Real>
void rmsnorm_forward(Real* out, FullOf<Real>* rstd, const Real* in, std::size_t rows, std::size_t width) {
  by_packs<Real>(width % Pack<Real>::size == 0 && on_pack_boundaries(out, in), [&](auto size) { rmsnorm_forward_by<size()>(out, rstd, in, rows, width); });
}

// d/dx of x / rms(x): inverse * (dy - x * inverse^2 * mean(dy * x)), or with y = x / rms(x): inverse * (dy - y * mean(dy * y))
template <unsigned Count, typename Real>
void rmsnorm_backward_by(Real* din, const Real* dout, const Real* from, bool normed, const FullOf<Real>* rstd, std::size_t rows, std::size_t width,
                         const Real* plus) {
  using Full = FullOf<Real>;
  each_row("rmsnorm_backward", rows, [=] __device__(std::size_t row, unsigned lane) {
    const Real *x = from + row * width, *dy = dout + row * width, *more = plus != nullptr ? plus + row * width : nullptr;
    Real* dx = din + row * width;
    Full dot = 0;
    for (std::size_t i = lane * Count; i < width; i += warp_threads * Count) {
      const auto a = load<Count>(dy + i), b = load<Count>(x + i);
#pragma unroll
      for (unsigned n = 0; n < Count; ++n) dot += static_cast<Full>(a.at[n]) * b.at[n];
    }
    const Full inverse = rstd[row], pull = warp_sum(dot) * (normed ? Full(1) : inverse * inverse) / static_cast<Full>(width);
    for (std::size_t i = lane * Count; i < width; i += warp_threads * Count) {
      const auto a = load<Count>(dy + i), b = load<Count>(x + i);
      Pack<Real, Count> to;
      if (plus != nullptr) to = load<Count>(more + i);
#pragma unroll
      for (unsigned n = 0; n < Count; ++n) {
        const Full d = inverse * (a.at[n] - b.at[n] * pull);
        to.at[n] = plus != nullptr ? static_cast<Full>(to.at[n]) + d : d;
      }
      store(dx + i, to);
    }
  });
}
template <typename Real>
void rmsnorm_backward(Real* din, const Real* dout, const Real* from, bool normed, const FullOf<Real>* rstd, std::size_t rows, std::size_t width,
                      const Real* plus) {
  by_packs<Real>(width % Pack<Real>::size == 0 && on_pack_boundaries(din, dout, from, plus),
                 [&](auto size) { rmsnorm_backward_by<size()>(din, dout, from, normed, rstd, rows, width, plus); });
}

// ---- heads of queries and keys ----

// Number by number by a warp for each head, whatever its size.
template <typename Real>
void qk_forward_by_warps(Real* qkv, FullOf<Real>* rstd, const FullOf<Real>* turns, AttentionShape s, std::size_t first, std::size_t rows) {
  using Full = FullOf<Real>;
  const std::size_t turned = s.heads + s.key_heads(), half = s.head_size / 2, stride = s.row();
  each_row("qk_forward", rows * turned, [=] __device__(std::size_t i, unsigned lane) {
    const std::size_t row = i / turned, head = i % turned;
    const Full *cosines = turns + (first + row) % s.context * s.head_size, *sines = cosines + half;
    Real* x = qkv + row * stride + head * s.head_size;
    const Full inverse = rms_inverse(x, s.head_size, lane);
    if (lane == 0) rstd[i] = inverse;
    for (std::size_t j = lane; j < half; j += warp_threads) {
      const Full a = x[j] * inverse, b = x[j + half] * inverse;
      x[j] = a * cosines[j] - b * sines[j];
      x[j + half] = a * sines[j] + b * cosines[j];
    }
  });
}

// Turning keeps lengths: dx = rstd * back(dy - y * mean(dy * y)), with y the turned, normalised row.
template <typename Real>
void qk_backward_by_warps(Real* dqkv, const Real* qkv, const FullOf<Real>* rstd, const FullOf<Real>* turns, AttentionShape s, std::size_t first,
                          std::size_t rows) {
  using Full = FullOf<Real>;
  const std::size_t turned = s.heads + s.key_heads(), half = s.head_size / 2, stride = s.row();
  each_row("qk_backward", rows * turned, [=] __device__(std::size_t i, unsigned lane) {
    const std::size_t row = i / turned, at = row * stride + i % turned * s.head_size;
    const Full *cosines = turns + (first + row) % s.context * s.head_size, *sines = cosines + half;
    const Real* y = qkv + at;
    Real* d = dqkv + at;
    Full dot = 0;
    for (std::size_t j = lane; j < s.head_size; j += warp_threads) dot += static_cast<Full>(d[j]) * y[j];
    const Full inverse = rstd[i], pull = warp_sum(dot) / static_cast<Full>(s.head_size);
    for (std::size_t j = lane; j < half; j += warp_threads) {
      const Full a = inverse * (d[j] - y[j] * pull), b = inverse * (d[j + half] - y[j + half] * pull);
      d[j] = a * cosines[j] + b * sines[j];
      d[j + half] = b * cosines[j] - a * sines[j];
    }
  });
}

// In packs: a thread holds one of a head's first half and the one that turns with it; the few lanes of a head add up among themselves.
template <typename Real>
struct HeadPacks {
  std::size_t turned, half, stride, lanes;
  explicit HeadPacks(AttentionShape s)
      : turned(s.heads + s.key_heads()), half(s.head_size / 2), stride(s.row()), lanes(half / Pack<Real>::size) {}
  bool fit(const Real* one, const Real* other) const {
    return half % Pack<Real>::size == 0 && stride % Pack<Real>::size == 0 && (lanes & (lanes - 1)) == 0 && lanes <= warp_threads &&
           on_pack_boundaries(one, other);
  }
};
// body(head of all rows, lane of its lanes, true) for each thread; those behind the last head get it again with false, and store nothing.
template <typename Body>
__global__ void each_head_kernel(std::size_t heads, std::size_t lanes, Body body) {
  const std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x, head = i / lanes;
  body(head < heads ? head : heads - 1, i % lanes, head < heads);
}
template <typename Full>
__device__ Full lanes_sum(Full mine, std::size_t lanes) {
  for (int by = static_cast<int>(lanes / 2); by > 0; by /= 2) mine += __shfl_xor_sync(0xffffffffu, mine, by);
  return mine;
}

template <typename Real>
void qk_forward(Real* qkv, FullOf<Real>* rstd, const FullOf<Real>* turns, AttentionShape s, std::size_t first, std::size_t rows) {
  using Full = FullOf<Real>;
  constexpr unsigned size = Pack<Real>::size;
  const HeadPacks<Real> packs(s);
  if (rows == 0) return;
  if (!packs.fit(qkv, qkv)) return qk_forward_by_warps(qkv, rstd, turns, s, first, rows);
  const std::size_t heads = rows * packs.turned;
  const auto body = [=] __device__(std::size_t i, std::size_t lane, bool in) {
    const std::size_t row = i / packs.turned, j = lane * size;
    Real* x = qkv + row * packs.stride + i % packs.turned * s.head_size + j;
    const Full *cosines = turns + (first + row) % s.context * s.head_size + j, *sines = cosines + packs.half;
    auto low = load<size>(x), high = load<size>(x + packs.half);
    Full squares = 0;
#pragma unroll
    for (unsigned n = 0; n < size; ++n) squares += static_cast<Full>(low.at[n]) * low.at[n] + static_cast<Full>(high.at[n]) * high.at[n];
    const Full sum = lanes_sum(squares, packs.lanes);
    const Full inverse = sum < INFINITY ? 1 / sqrt(sum / static_cast<Full>(s.head_size) + static_cast<Full>(norm_epsilon)) : sum - sum;
#pragma unroll
    for (unsigned n = 0; n < size; ++n) {
      const Full a = low.at[n] * inverse, b = high.at[n] * inverse;
      low.at[n] = a * cosines[n] - b * sines[n];
      high.at[n] = a * sines[n] + b * cosines[n];
    }
    if (!in) return;
    if (lane == 0) rstd[i] = inverse;
    store(x, low);
    store(x + packs.half, high);
  };
  launch("qk_forward", each_head_kernel<decltype(body)>, dim3(static_cast<unsigned>(blocks_of(heads * packs.lanes, block_threads))), dim3(block_threads), 0,
         heads, packs.lanes, body);
}

template <typename Real>
void qk_backward(Real* dqkv, const Real* qkv, const FullOf<Real>* rstd, const FullOf<Real>* turns, AttentionShape s, std::size_t first, std::size_t rows) {
  using Full = FullOf<Real>;
  constexpr unsigned size = Pack<Real>::size;
  const HeadPacks<Real> packs(s);
  if (rows == 0) return;
  if (!packs.fit(dqkv, qkv)) return qk_backward_by_warps(dqkv, qkv, rstd, turns, s, first, rows);
  const std::size_t heads = rows * packs.turned;
  const auto body = [=] __device__(std::size_t i, std::size_t lane, bool in) {
    const std::size_t row = i / packs.turned, j = lane * size, at = row * packs.stride + i % packs.turned * s.head_size + j;
    const Full *cosines = turns + (first + row) % s.context * s.head_size + j, *sines = cosines + packs.half;
    auto low = load<size>(dqkv + at), high = load<size>(dqkv + at + packs.half);
    const auto y_low = load<size>(qkv + at), y_high = load<size>(qkv + at + packs.half);
    Full dot = 0;
#pragma unroll
    for (unsigned n = 0; n < size; ++n) dot += static_cast<Full>(low.at[n]) * y_low.at[n] + static_cast<Full>(high.at[n]) * y_high.at[n];
    const Full inverse = rstd[i], pull = lanes_sum(dot, packs.lanes) / static_cast<Full>(s.head_size);
#pragma unroll
    for (unsigned n = 0; n < size; ++n) {
      const Full a = inverse * (low.at[n] - y_low.at[n] * pull), b = inverse * (high.at[n] - y_high.at[n] * pull);
      low.at[n] = a * cosines[n] + b * sines[n];
      high.at[n] = b * cosines[n] - a * sines[n];
    }
    if (!in) return;
    store(dqkv + at, low);
    store(dqkv + at + packs.half, high);
  };
  launch("qk_backward", each_head_kernel<decltype(body)>, dim3(static_cast<unsigned>(blocks_of(heads * packs.lanes, block_threads))), dim3(block_threads), 0,
         heads, packs.lanes, body);
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
