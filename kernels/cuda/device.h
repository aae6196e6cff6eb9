// What kernels are written with: launches, numbers in packs of 16 bytes, loops, sums that are the same in every run.
// Compiled by nvcc for GPUs, and by the C++ compiler for the emulator (kernels/emulator), line by line the same.
//
// Everything is launched on the calling thread's current stream (`launching`); nothing is allocated, nothing waits. A
// launch that CUDA refuses throws DeviceError.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <utility>

// A program of tests holds both what nvcc and what the C++ compiler makes of these lines: their names differ.
#ifdef __CUDACC__
#include <cuda_runtime.h>
#define OVERNIGHT_RUN by_gpu
#else
#include "kernels/emulator/emulator.h"
#define OVERNIGHT_RUN by_emulator
#endif

#include "kernels/bfloat16.h"
#include "kernels/device.h"

namespace overnight::kernels::cuda {
inline namespace OVERNIGHT_RUN {

inline constexpr unsigned warp_threads = 32;
inline constexpr unsigned block_threads = 256;
inline constexpr unsigned blocks_max = 132 * 16;  // of a loop over numbers: enough to fill any GPU of today

// What sums of `Real` are made in.
template <typename Real>
using FullOf = std::conditional_t<std::is_same_v<Real, bfloat16>, float, Real>;

// Where a thread's launches go, and memory that each of them may use until it ends: partial sums, and what libraries
// want. Whoever owns a device sets it (cuda_device.cu).
inline constexpr std::size_t workspace_bytes = std::size_t{64} << 20;
struct Launching {
#ifdef __CUDACC__
  cudaStream_t stream = nullptr;
#endif
  void* workspace = nullptr;
  bool deterministic = true;  // false: sums may be made in any order, where that is faster
};
inline thread_local Launching launching;

#ifdef __CUDACC__
inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  const std::string why = std::string(what) + ": " + cudaGetErrorString(status);
  if (status != cudaErrorMemoryAllocation) throw DeviceError(why);
  cudaGetLastError();  // it is no failure of what comes next
  throw DeviceOutOfMemory(why);
}

template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared,
            Arguments&&... arguments) {
  if (shared > 48 * 1024)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)), name);
  kernel<<<grid, block, shared, launching.stream>>>(std::forward<Arguments>(arguments)...);
  check(cudaGetLastError(), name);
}
// Whether a block can have so much shared memory on the GPU that the calling thread uses.
inline bool shared_memory_allows(std::size_t bytes) {
  int gpu = 0, most = 0;
  return cudaGetDevice(&gpu) == cudaSuccess &&
         cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, gpu) == cudaSuccess &&
         bytes <= static_cast<std::size_t>(most);
}
inline void copy(void* to, const void* from, std::size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, launching.stream), "copy");
}
inline void zero(void* at, std::size_t bytes) { check(cudaMemsetAsync(at, 0, bytes, launching.stream), "zero"); }

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
inline bool shared_memory_allows(std::size_t bytes) { return bytes <= emulator::shared_max; }
inline void copy(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
inline void zero(void* at, std::size_t bytes) { std::memset(at, 0, bytes); }

template <typename Value>
Value* shared_memory() {
  return static_cast<Value*>(emulator::dynamic_shared());
}
#endif

__host__ __device__ constexpr std::size_t blocks_of(std::size_t count, std::size_t size) {
  return (count + size - 1) / size;
}

// Partial sums of one launch, for the next to add up.
template <typename Value>
Value* workspace() {
#ifndef __CUDACC__
  struct Room {  // that is not held before it is written
    void* at = std::calloc(workspace_bytes, 1);
    ~Room() { std::free(at); }
  };
  thread_local const Room room;
  if (launching.workspace == nullptr) launching.workspace = room.at;
#endif
  return static_cast<Value*>(launching.workspace);
}

// ---- packs ----

// Numbers that one access moves: 16 bytes, unless there are fewer.
template <typename Value, unsigned Count = 16 / sizeof(Value)>
struct alignas(sizeof(Value) * Count) Pack {
  static constexpr unsigned size = Count;
  Value at[Count];
};
template <unsigned Count, typename Value>
__device__ Pack<Value, Count> load(const Value* from) {
  return *reinterpret_cast<const Pack<Value, Count>*>(from);
}
template <typename Value, unsigned Count>
__device__ void store(Value* to, const Pack<Value, Count>& pack) {
  *reinterpret_cast<Pack<Value, Count>*>(to) = pack;
}

template <typename... Pointers>
bool on_pack_boundaries(Pointers... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

// to = from, in accesses of at most 16 bytes, on whose boundaries `from` must lie.
template <unsigned Count, typename To, typename Value>
__device__ void read(To (&to)[Count], const Value* from) {
  constexpr unsigned all = 16 / sizeof(Value), once = Count < all ? Count : all;
#pragma unroll
  for (unsigned at = 0; at < Count; at += once) {
    const auto pack = load<once>(from + at);
#pragma unroll
    for (unsigned n = 0; n < once; ++n) to[at + n] = static_cast<To>(pack.at[n]);
  }
}

template <typename Real, unsigned Count>
__device__ Pack<Real, Count> rounded(const FullOf<Real> (&from)[Count]) {
  Pack<Real, Count> made;
#pragma unroll
  for (unsigned n = 0; n < Count; ++n) made.at[n] = static_cast<Real>(from[n]);
  return made;
}

// Calls body(std::integral_constant) with how many numbers to move at once: all of a pack if `whole`, else one.
template <typename Real, typename Body>
void by_packs(bool whole, const Body& body) {
  if (whole) return body(std::integral_constant<unsigned, 16 / sizeof(Real)>{});
  body(std::integral_constant<unsigned, 1>{});
}

// ---- loops ----

inline dim3 loop_grid(std::size_t count) {
  return dim3(static_cast<unsigned>(std::min<std::size_t>(blocks_max, blocks_of(count, block_threads))));
}

template <typename Body>
__global__ void each_kernel(std::size_t count, Body body) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) body(i);
}

// body(i) for each i below count, in no order.
template <typename Body>
void each(const char* name, std::size_t count, Body body) {
  if (count > 0) launch(name, each_kernel<Body>, loop_grid(count), dim3(block_threads), 0, count, body);
}

// body(row, column) for every `Count`th column of each row, in no order, without a division: a thread stays in its
// column. `columns` is a multiple of Count.
template <unsigned Count, typename Body>
__global__ void each_in_rows_kernel(std::size_t rows, unsigned columns, Body body) {
  const unsigned column = (blockIdx.x * blockDim.x + threadIdx.x) * Count;
  if (column >= columns) return;
  const std::size_t step = static_cast<std::size_t>(gridDim.y) * blockDim.y;
  for (std::size_t row = static_cast<std::size_t>(blockIdx.y) * blockDim.y + threadIdx.y; row < rows; row += step)
    body(row, column);
}
template <unsigned Count, typename Body>
void each_in_rows(const char* name, std::size_t rows, std::size_t columns, Body body) {
  if (rows == 0 || columns == 0) return;
  const std::size_t threads = columns / Count;
  unsigned across = block_threads;
  while (across / 2 >= threads && across > 1) across /= 2;
  const dim3 block(across, block_threads / across);
  const std::size_t beside = blocks_of(threads, across);
  const dim3 grid(
      static_cast<unsigned>(beside),
      static_cast<unsigned>(std::min(blocks_of(rows, block.y), std::max<std::size_t>(1, blocks_max / beside))));
  launch(name, each_in_rows_kernel<Count, Body>, grid, block, 0, rows, static_cast<unsigned>(columns), body);
}

template <typename Real, unsigned Count, typename Function, typename... Packs>
__device__ Pack<Real, Count> mapped(const Function& function, const Packs&... packs) {
  Pack<Real, Count> made;
#pragma unroll
  for (unsigned n = 0; n < Count; ++n)
    made.at[n] = static_cast<Real>(function(static_cast<FullOf<Real>>(packs.at[n])...));
  return made;
}
template <unsigned Count, typename Real, typename Function, typename... Inputs>
__global__ void map_kernel(Real* out, std::size_t packs, Function function, const Inputs*... in) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < packs; i += step)
    store(out + i * Count, mapped<Real, Count>(function, load<Count>(in + i * Count)...));
}

// out[i] = function(in[i]...) for each i below count, in packs where they fit. `out` may be one of the inputs.
template <typename Real, typename Function, typename... Inputs>
void map(const char* name, Real* out, std::size_t count, Function function, const Inputs*... in) {
  static_assert((std::is_same_v<Real, Inputs> && ...));
  if (count == 0) return;
  by_packs<Real>(count % (16 / sizeof(Real)) == 0 && on_pack_boundaries(out, in...), [&](auto size) {
    launch(name, map_kernel<size(), Real, Function, Inputs...>, loop_grid(count / size()), dim3(block_threads), 0, out,
           count / size(), function, in...);
  });
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

// Behind what add_column_sums uses of the workspace: sums of columns that a further launch adds up.
inline constexpr std::size_t column_sums_bytes = std::size_t{48} << 20;
template <typename Full>
Full* sums_behind(std::size_t count) {
  if (column_sums_bytes + count * sizeof(Full) > workspace_bytes)
    throw DeviceError("too many columns for the workspace");
  return workspace<Full>() + column_sums_bytes / sizeof(Full);
}

// sums[column] += body(row, column) over all rows. 32 columns a block, rows in pieces of which each block adds up one,
// then all pieces in order: the same in every run.
inline constexpr unsigned sum_rows = 8;
inline constexpr std::size_t piece_rows_min = 256, pieces_max = 512;
template <typename Full, typename Body>
__global__ void column_pieces_kernel(Full* pieces, std::size_t rows, std::size_t columns, std::size_t piece_rows,
                                     Body body) {
  __shared__ Full parts[sum_rows][warp_threads];
  const std::size_t column = static_cast<std::size_t>(blockIdx.x) * warp_threads + threadIdx.x,
                    from = blockIdx.y * piece_rows, to = from + piece_rows < rows ? from + piece_rows : rows;
  Full sum = 0;
  for (std::size_t row = from + threadIdx.y; column < columns && row < to; row += sum_rows) sum += body(row, column);
  parts[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= columns) return;
  for (unsigned i = 1; i < sum_rows; ++i) sum += parts[i][threadIdx.x];
  pieces[blockIdx.y * columns + column] = sum;
}
template <typename Full>
void add_pieces(const char* name, Full* sums, const Full* pieces, std::size_t count, std::size_t columns) {
  each(name, columns, [=] __device__(std::size_t column) {
    Full sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += pieces[i * columns + column];
    sums[column] += sum;
  });
}
template <typename Full, typename Body>
void add_column_sums(const char* name, Full* sums, std::size_t rows, std::size_t columns, Body body) {
  if (columns == 0 || rows == 0) return;
  const std::size_t fit = std::max<std::size_t>(1, std::min(pieces_max, column_sums_bytes / sizeof(Full) / columns)),
                    piece_rows = std::max(piece_rows_min, blocks_of(rows, fit)), count = blocks_of(rows, piece_rows);
  if (count * columns > column_sums_bytes / sizeof(Full))
    throw DeviceError(std::string(name) + ": too many sums for the workspace");
  Full* pieces = workspace<Full>();
  launch(name, column_pieces_kernel<Full, Body>,
         dim3(static_cast<unsigned>(blocks_of(columns, warp_threads)), static_cast<unsigned>(count)),
         dim3(warp_threads, sum_rows), 0, pieces, rows, columns, piece_rows, body);
  add_pieces(name, sums, static_cast<const Full*>(pieces), count, columns);
}

}  // namespace OVERNIGHT_RUN
}  // namespace overnight::kernels::cuda
