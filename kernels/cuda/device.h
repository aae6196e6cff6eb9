// What kernels are written with: launches, loops over numbers, sums that are the same in every run. Compiled by nvcc
// for GPUs, and by the C++ compiler for the emulator (kernels/emulator), line by line the same.
//
// Everything is launched on the calling thread's own stream; nothing is allocated, nothing waits. A launch that CUDA
// refuses throws DeviceError.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#else
#include "kernels/emulator/emulator.h"
#endif

namespace overnight::kernels::cuda {

struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline constexpr unsigned warp_threads = 32;
inline constexpr unsigned block_threads = 256;
inline constexpr unsigned blocks_max = 132 * 16;  // of a loop over numbers: enough to fill any GPU of today

#ifdef __CUDACC__
inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw DeviceError(std::string(what) + ": " + cudaGetErrorString(status));
}

template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared,
            Arguments&&... arguments) {
  if (shared > 48 * 1024)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)), name);
  kernel<<<grid, block, shared, cudaStreamPerThread>>>(std::forward<Arguments>(arguments)...);
  check(cudaGetLastError(), name);
}

template <typename Value>
__device__ Value* shared_memory() {
  extern __shared__ __align__(16) unsigned char bytes[];
  return reinterpret_cast<Value*>(bytes);
}
#else
template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared,
            Arguments&&... arguments) {
  emulator::run(name, grid, block, shared, [&] { kernel(static_cast<Parameters>(arguments)...); });
}

template <typename Value>
Value* shared_memory() {
  return static_cast<Value*>(emulator::dynamic_shared());
}
#endif

__host__ __device__ constexpr std::size_t blocks_of(std::size_t count, std::size_t size) {
  return (count + size - 1) / size;
}

// ---- results that the host waits for ----

// Numbers that kernels write and the host reads, one room for each thread that launches.
inline constexpr std::size_t results_max = 1 << 16;
#ifdef __CUDACC__
inline double* results() {
  thread_local double* room = [] {
    double* made = nullptr;
    check(cudaMallocHost(reinterpret_cast<void**>(&made), results_max * sizeof(double)), "results");
    return made;
  }();
  return room;
}
inline void wait() { check(cudaStreamSynchronize(cudaStreamPerThread), "wait"); }
#else
inline double* results() {
  thread_local double room[results_max];
  return room;
}
inline void wait() {}
#endif

// Waits for what was launched, then adds up the first of them, in order.
inline double sum_of_results(std::size_t count) {
  wait();
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += results()[i];
  return sum;
}

// ---- loops ----

template <typename Body>
__global__ void each_kernel(std::size_t count, Body body) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) body(i);
}

// body(i) for each i below count, in no order.
template <typename Body>
void each(const char* name, std::size_t count, Body body) {
  if (count == 0) return;
  const auto blocks = static_cast<unsigned>(std::min<std::size_t>(blocks_max, blocks_of(count, block_threads)));
  launch(name, each_kernel<Body>, dim3(blocks), dim3(block_threads), 0, count, body);
}

// ---- sums within a warp or a block: every thread gets the result ----

template <typename Real>
__device__ Real warp_sum(Real mine) {
#pragma unroll
  for (int by = 16; by > 0; by /= 2) mine += __shfl_xor_sync(0xffffffffu, mine, by);
  return mine;
}
template <typename Real>
__device__ Real warp_largest(Real mine) {
#pragma unroll
  for (int by = 16; by > 0; by /= 2) {
    const Real other = __shfl_xor_sync(0xffffffffu, mine, by);
    mine = other > mine ? other : mine;
  }
  return mine;
}

// ---- sums over everything ----

// sums[column] += body(row, column) over all rows: 32 columns a block, rows by eight, always in the same order.
inline constexpr unsigned sum_rows = 8;
template <typename Real, typename Body>
__global__ void column_sums_kernel(Real* sums, std::size_t rows, std::size_t columns, Body body) {
  __shared__ Real parts[sum_rows][warp_threads];
  const std::size_t column = static_cast<std::size_t>(blockIdx.x) * warp_threads + threadIdx.x;
  Real sum = 0;
  for (std::size_t row = threadIdx.y; column < columns && row < rows; row += sum_rows) sum += body(row, column);
  parts[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= columns) return;
  for (unsigned i = 1; i < sum_rows; ++i) sum += parts[i][threadIdx.x];
  sums[column] += sum;
}
template <typename Real, typename Body>
void add_column_sums(const char* name, Real* sums, std::size_t rows, std::size_t columns, Body body) {
  if (columns == 0) return;
  launch(name, column_sums_kernel<Real, Body>, dim3(static_cast<unsigned>(blocks_of(columns, warp_threads))),
         dim3(warp_threads, sum_rows), 0, sums, rows, columns, body);
}

}  // namespace overnight::kernels::cuda
