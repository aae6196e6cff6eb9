// Cross-entropy with its softcap, one block a row: logits are read, and their gradients written, once where a row fits into the registers.
#pragma once

#include "kernels/cuda/device.h"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

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
// The last pack may reach beyond the row: its numbers there are none.
template <unsigned Packs, unsigned Count, typename Real, typename Full>
__global__ void cross_entropy_kernel(Full* losses, Real* logits, std::size_t stride, const std::int32_t* targets, std::size_t width, Full cap, Full scale) {
  __shared__ Full parts[block_threads / warp_threads];
  const std::size_t row = blockIdx.x;
  const auto ends = static_cast<unsigned>(width), packs = (ends + Count - 1) / Count;
  Real* x = logits + row * stride;
  const bool counted = targets[row] >= 0;
  const unsigned target = counted ? static_cast<unsigned>(targets[row]) : ends;
  Full kept[Packs * Count], largest = -INFINITY, sum = 0;
  const auto read = [&](unsigned i, Full* y) {
    const auto pack = load<Count>(x + i * Count);
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) y[n] = i * Count + n < ends ? capped(static_cast<Full>(pack.at[n]), cap) : Full(-INFINITY);
  };
  // Calls body(pack, its numbers) for all that this thread has of the row.
  const auto each_pack = [&](const auto& body) {
#pragma unroll
    for (unsigned p = 0; p < Packs; ++p)
      if (threadIdx.x + p * block_threads < packs) body(threadIdx.x + p * block_threads, kept + p * Count);
    for (unsigned i = threadIdx.x + Packs * block_threads; i < packs; i += block_threads) {
      Full again[Count];
      read(i, again);
      body(i, again);
    }
  };
#pragma unroll
  for (unsigned p = 0; p < Packs; ++p)
    if (threadIdx.x + p * block_threads < packs) read(threadIdx.x + p * block_threads, kept + p * Count);
  each_pack([&](unsigned, const Full* y) {
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) largest = y[n] > largest ? y[n] : largest;
  });
  largest = block_largest(largest, parts);
  each_pack([&](unsigned, const Full* y) {
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) sum += exp(y[n] - largest);
  });
  sum = block_sum(sum, parts);
  if (threadIdx.x == 0) losses[row] = counted ? log(sum) - (capped(static_cast<Full>(x[target]), cap) - largest) : Full(0);
  if (scale <= 0) return;
  __syncthreads();  // the target has been read before it is overwritten
  const Full factor = counted ? scale / sum : Full(0);
  each_pack([&](unsigned i, const Full* y) {
    Pack<Real, Count> d;
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) {
      const unsigned at = i * Count + n;
      d.at[n] = at < ends ? (exp(y[n] - largest) * factor - (at == target ? scale : Full(0))) * cap_slope(y[n], cap) : Full(0);
    }
    store(x + i * Count, d);
  });
}

template <typename Real>
void cross_entropy(FullOf<Real>* losses, Real* logits, std::size_t stride, const std::int32_t* targets, std::size_t rows, std::size_t width,
                   FullOf<Real> softcap, FullOf<Real> scale) {
  using Full = FullOf<Real>;
  constexpr unsigned kept_packs = 4;  // 8,192 bfloat16 of a row, 32 registers a thread
  if (rows == 0) return;
  by_packs<Real>(stride % Pack<Real>::size == 0 && on_pack_boundaries(logits), [&](auto size) {
    launch("cross_entropy", cross_entropy_kernel<kept_packs, size(), Real, Full>, dim3(static_cast<unsigned>(rows)), dim3(block_threads), 0, losses, logits,
           stride, targets, width, softcap, scale);
  });
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
