// Cross-entropy, one block a row, and sums of squares, one block for all. Both wait for the device and add up on the host, in order.
#pragma once

#include "kernels/cuda/device.h"

namespace overnight::kernels::cuda {

inline constexpr unsigned square_blocks = 128;

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

template <typename Real>
__global__ void cross_entropy_kernel(Real* logits, const std::int32_t* targets, std::size_t width, Real scale, double* losses) {
  __shared__ Real parts[block_threads / warp_threads];
  const std::size_t row = blockIdx.x;
  Real* x = logits + row * width;
  const bool counted = targets[row] >= 0;
  const auto target = counted ? static_cast<std::size_t>(targets[row]) : width;
  Real largest = x[0], sum = 0;
  for (std::size_t i = threadIdx.x; i < width; i += blockDim.x) largest = x[i] > largest ? x[i] : largest;
  largest = block_largest(largest, parts);
  const Real at_target = counted ? x[target] - largest : Real(0);
  __syncthreads();  // the target has been read by all before it is overwritten
  for (std::size_t i = threadIdx.x; i < width; i += blockDim.x) {
    x[i] = exp(x[i] - largest);
    sum += x[i];
  }
  sum = block_sum(sum, parts);
  if (threadIdx.x == 0) losses[row] = counted ? static_cast<double>(log(sum)) - static_cast<double>(at_target) : 0;
  if (scale <= 0) return;
  const Real factor = counted ? scale / sum : Real(0);
  for (std::size_t i = threadIdx.x; i < width; i += blockDim.x) x[i] = x[i] * factor - (i == target ? scale : Real(0));
}

template <typename Real>
double cross_entropy(Real* logits, const std::int32_t* targets, std::size_t rows, std::size_t width, Real scale) {
  double total = 0;
  for (std::size_t from = 0; from < rows; from += results_max) {
    const std::size_t count = rows - from < results_max ? rows - from : results_max;
    launch("cross_entropy", cross_entropy_kernel<Real>, dim3(static_cast<unsigned>(count)), dim3(block_threads), 0, logits + from * width, targets + from,
           width, scale, results());
    total += sum_of_results(count);
  }
  return total;
}

template <typename Real>
__global__ void sum_of_squares_kernel(const Real* values, std::size_t count, double* sums) {
  __shared__ double parts[block_threads / warp_threads];
  double sum = 0;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<std::size_t>(gridDim.x) * blockDim.x)
    sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  sum = block_sum(sum, parts);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <typename Real>
double sum_of_squares(const Real* values, std::size_t count) {
  launch("sum_of_squares", sum_of_squares_kernel<Real>, dim3(square_blocks), dim3(block_threads), 0, values, count, results());
  return sum_of_results(square_blocks);
}

}  // namespace overnight::kernels::cuda
