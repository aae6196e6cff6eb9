// Cross-entropy with its softcap, one block a row: logits are read, and their gradients written, once where a row fits into the registers.
#pragma once

#include "kernels/cuda/device.h"

namespace overnight::kernels::cuda {

// Of all threads of a block; every thread gets it. `parts` holds a number for each warp.
template <typename Real>
__device__ Real block_sum(Real mine, Real* parts) {
  mine = warp_sum(mine);
  __syncthreads();
  if (threadIdx.x % warp_threads == 0) parts[threadIdx.x / warp_threads] = mine;
  __syncthreads();
  Real sum = 0;
  for (unsigned i = 0; i < blockDim.x / warp_threads; ++i) sum += parts[i];
  return sum;
}
template <typename Real>
__device__ Real block_largest(Real mine, Real* parts) {
  mine = warp_largest(mine);
  __syncthreads();
  if (threadIdx.x % warp_threads == 0) parts[threadIdx.x / warp_threads] = mine;
  __syncthreads();
  Real largest = parts[0];
  for (unsigned i = 1; i < blockDim.x / warp_threads; ++i) largest = parts[i] > largest ? parts[i] : largest;
  return largest;
}

// c * tanh(x / c) by one exponential; x itself without a cap.
template <typename Full>
__device__ Full capped(Full x, Full cap) {
  if (cap <= 0) return x;
  const Full e = exp(-2 * fabs(x) / cap), size = cap * (1 - e) / (1 + e);
  return x < 0 ? -size : size;
}
// Of the capped logit y: how much of a gradient passes.
template <typename Full>
__device__ Full cap_slope(Full y, Full cap) {
  return cap <= 0 ? Full(1) : 1 - y / cap * (y / cap);
}

// Each thread keeps `Packs` packs of its row, the rest it reads again (rows longer than Packs * block_threads packs).
template <unsigned Packs, unsigned Count, typename Real, typename Full>
__global__ void cross_entropy_kernel(Full* losses, Real* logits, const std::int32_t* targets, std::size_t width, Full cap, Full scale) {
  __shared__ Full parts[block_threads / warp_threads];
  const std::size_t row = blockIdx.x, packs = width / Count;
  Real* x = logits + row * width;
  const bool counted = targets[row] >= 0;
  const auto target = counted ? static_cast<std::size_t>(targets[row]) : width;
  Full kept[Packs * Count], largest = -INFINITY, sum = 0;
#pragma unroll
  for (unsigned p = 0; p < Packs; ++p) {
    const std::size_t i = threadIdx.x + p * block_threads;
    if (i >= packs) continue;
    const auto pack = load<Count>(x + i * Count);
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) {
      const Full y = capped(static_cast<Full>(pack.at[n]), cap);
      kept[p * Count + n] = y;
      largest = y > largest ? y : largest;
    }
  }
  for (std::size_t i = threadIdx.x + Packs * block_threads; i < packs; i += block_threads) {
    for (unsigned n = 0; n < Count; ++n) {
      const Full y = capped(static_cast<Full>(x[i * Count + n]), cap);
      largest = y > largest ? y : largest;
    }
  }
  largest = block_largest(largest, parts);
#pragma unroll
  for (unsigned p = 0; p < Packs; ++p) {
    if (threadIdx.x + p * block_threads >= packs) continue;
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) sum += exp(kept[p * Count + n] - largest);
  }
  for (std::size_t i = threadIdx.x + Packs * block_threads; i < packs; i += block_threads)
    for (unsigned n = 0; n < Count; ++n) sum += exp(capped(static_cast<Full>(x[i * Count + n]), cap) - largest);
  sum = block_sum(sum, parts);
  if (threadIdx.x == 0) losses[row] = counted ? log(sum) - (capped(static_cast<Full>(x[target]), cap) - largest) : Full(0);
  if (scale <= 0) return;
  __syncthreads();  // the target has been read before it is overwritten
  const Full factor = counted ? scale / sum : Full(0);
  const auto gradient = [&](Full y, std::size_t i) {
    return (exp(y - largest) * factor - (i == target ? scale : Full(0))) * cap_slope(y, cap);
  };
#pragma unroll
  for (unsigned p = 0; p < Packs; ++p) {
    const std::size_t i = threadIdx.x + p * block_threads;
    if (i >= packs) continue;
    Pack<Real, Count> d;
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) d.at[n] = gradient(kept[p * Count + n], i * Count + n);
    store(x + i * Count, d);
  }
  for (std::size_t i = threadIdx.x + Packs * block_threads; i < packs; i += block_threads)
    for (unsigned n = 0; n < Count; ++n) x[i * Count + n] = gradient(capped(static_cast<Full>(x[i * Count + n]), cap), i * Count + n);
}

template <typename Real>
void cross_entropy(FullOf<Real>* losses, Real* logits, const std::int32_t* targets, std::size_t rows, std::size_t width, FullOf<Real> softcap,
                   FullOf<Real> scale) {
  using Full = FullOf<Real>;
  constexpr unsigned kept_packs = 4;  // 8,192 bfloat16 of a row, 32 registers a thread
  if (rows == 0) return;
  by_packs<Real>(width % Pack<Real>::size == 0 && on_pack_boundaries(logits), [&](auto size) {
    launch("cross_entropy", cross_entropy_kernel<kept_packs, size(), Real, Full>, dim3(static_cast<unsigned>(rows)), dim3(block_threads), 0, losses, logits,
           targets, width, softcap, scale);
  });
}

}  // namespace overnight::kernels::cuda
