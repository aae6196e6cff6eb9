// Root-mean-square norms: of whole rows, and of the heads of queries and keys before they are turned. One warp a row.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/kernels.h"

namespace overnight::kernels::cuda {

inline constexpr unsigned norm_warps = 8;  // rows of a block
inline constexpr double norm_epsilon = 1e-6;

// body(row) for each row, by all threads of a warp.
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

template <typename Real>
__device__ Real rms_inverse(const Real* x, std::size_t width, unsigned lane) {
  Real sum = 0;
  for (std::size_t i = lane; i < width; i += warp_threads) sum += x[i] * x[i];
  sum = warp_sum(sum);
  if (!(sum < INFINITY)) return sum - sum;  // not a number: a row too large for a sum of squares must not pass for one of zeros
  return 1 / sqrt(sum / static_cast<Real>(width) + static_cast<Real>(norm_epsilon));
}

template <typename Real>
void rmsnorm_forward(Real* out, Real* rstd, const Real* in, std::size_t rows, std::size_t width) {
  each_row("rmsnorm_forward", rows, [=] __device__(std::size_t row, unsigned lane) {
    const Real* x = in + row * width;
    const Real inverse = rms_inverse(x, width, lane);
    if (lane == 0) rstd[row] = inverse;
    for (std::size_t i = lane; i < width; i += warp_threads) out[row * width + i] = x[i] * inverse;
  });
}

// d/dx of x / rms(x): inverse * (dy - x * inverse^2 * mean(dy * x))
template <typename Real>
void rmsnorm_backward(Real* din, const Real* dout, const Real* in, const Real* rstd, std::size_t rows, std::size_t width, bool add) {
  each_row("rmsnorm_backward", rows, [=] __device__(std::size_t row, unsigned lane) {
    const Real *x = in + row * width, *dy = dout + row * width;
    Real* dx = din + row * width;
    Real dot = 0;
    for (std::size_t i = lane; i < width; i += warp_threads) dot += dy[i] * x[i];
    const Real inverse = rstd[row], pull = warp_sum(dot) * inverse * inverse / static_cast<Real>(width);
    for (std::size_t i = lane; i < width; i += warp_threads) {
      const Real d = inverse * (dy[i] - x[i] * pull);
      dx[i] = add ? dx[i] + d : d;
    }
  });
}

// In place, each head of queries and keys by a warp of its own.
template <typename Real>
void qk_forward(Real* qkv, Real* rstd, const Real* turns, AttentionShape s, std::size_t first, std::size_t rows) {
  const std::size_t turned = s.heads + s.key_heads(), half = s.head_size / 2, stride = s.row();
  each_row("qk_forward", rows * turned, [=] __device__(std::size_t i, unsigned lane) {
    const std::size_t row = i / turned, head = i % turned;
    const Real *cosines = turns + (first + row) % s.context * s.head_size, *sines = cosines + half;
    Real* x = qkv + row * stride + head * s.head_size;
    const Real inverse = rms_inverse(x, s.head_size, lane);
    if (lane == 0) rstd[i] = inverse;
    for (std::size_t j = lane; j < half; j += warp_threads) {
      const Real a = x[j] * inverse, b = x[j + half] * inverse;
      x[j] = a * cosines[j] - b * sines[j];
      x[j + half] = a * sines[j] + b * cosines[j];
    }
  });
}

// Turning keeps lengths: dx = rstd * back(dy - y * mean(dy * y)), with y the turned, normalised row.
template <typename Real>
void qk_backward(Real* dqkv, const Real* qkv, const Real* rstd, const Real* turns, AttentionShape s, std::size_t first, std::size_t rows) {
  const std::size_t turned = s.heads + s.key_heads(), half = s.head_size / 2, stride = s.row();
  each_row("qk_backward", rows * turned, [=] __device__(std::size_t i, unsigned lane) {
    const std::size_t row = i / turned, at = row * stride + i % turned * s.head_size;
    const Real *cosines = turns + (first + row) % s.context * s.head_size, *sines = cosines + half, *y = qkv + at;
    Real* d = dqkv + at;
    Real dot = 0;
    for (std::size_t j = lane; j < s.head_size; j += warp_threads) dot += d[j] * y[j];
    const Real inverse = rstd[i], pull = warp_sum(dot) / static_cast<Real>(s.head_size);
    for (std::size_t j = lane; j < half; j += warp_threads) {
      const Real a = inverse * (d[j] - y[j] * pull), b = inverse * (d[j + half] - y[j + half] * pull);
      d[j] = a * cosines[j] + b * sines[j];
      d[j + half] = b * cosines[j] - a * sines[j];
    }
  });
}

}  // namespace overnight::kernels::cuda
