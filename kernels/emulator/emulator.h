// Runs CUDA kernels on the CPU, so that every line of kernels/cuda is tried where there is no GPU: each thread of a
// block is a fiber, blocks run one after the other, __syncthreads and warp shuffles switch between fibers. Device
// memory is ordinary memory, so AddressSanitizer sees what a kernel reads and writes. It knows what the kernels here
// use and no more, and says nothing about speed.
//
// Races: threads never run at the same time, but in no order that a kernel could count on: warps are held back at
// random (always the same random), lanes run forwards or backwards, and copies behind a thread's back are made when
// they are waited for and not before, their targets poisoned until then. A missing barrier or wait then mostly shows.
//
// Included instead of cuda_runtime.h by kernels/cuda/device.h. A kernel whose threads wait for each other for ever, or
// leave while others wait, ends the program with its name on stderr.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

// These names are CUDA's.
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // one block runs at a time

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
extern thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

void __syncthreads();
void __syncwarp(unsigned mask = 0xffffffffu);

namespace overnight::kernels::emulator {

inline constexpr std::size_t threads_max = 1024;  // of a block
inline constexpr std::size_t shared_max = 227 * 1024;

// Calls kernel() once for each thread of each block.
void run(const char* name, dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& kernel);

// Of the block that runs: what a launch asked for, filled with bytes 0xcd before each block.
void* dynamic_shared();

// What each lane of the calling warp gave, by lane. All of them must call it.
const std::uint64_t* exchange(std::uint64_t mine);
int lane();

// The same for several words at once; a barrier must follow before the next exchange.
inline constexpr std::size_t words_max = 8;
using Words = const std::uint32_t (*)[words_max];
Words exchange_words(const std::uint32_t* mine, std::size_t count);

// Copies of 16 bytes behind the calling thread's back, zeros if `from` is null; in groups (PTX: cp.async).
void copy_later(void* to, const void* from);
void close_copies();
void wait_for_copies(std::size_t open);  // all groups but the last `open` are made

// Ends the program with the kernel's name, if not.
void must(bool so, const char* why_not);

template <typename Value>
Value from_lane(Value mine, int source) {
  static_assert(sizeof(Value) <= sizeof(std::uint64_t) && std::is_trivially_copyable_v<Value>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &mine, sizeof mine);
  const std::uint64_t* all = exchange(bits);
  Value value;
  std::memcpy(&value, &all[source], sizeof value);
  __syncwarp();
  return value;
}

}  // namespace overnight::kernels::emulator

template <typename Value>
Value __shfl_xor_sync(unsigned, Value mine, int mask) {
  return overnight::kernels::emulator::from_lane(mine, overnight::kernels::emulator::lane() ^ mask);
}
template <typename Value>
Value __shfl_sync(unsigned, Value mine, int source) {
  return overnight::kernels::emulator::from_lane(mine, source & 31);
}
template <typename Value>
Value __shfl_up_sync(unsigned, Value mine, unsigned by) {
  const int lane = overnight::kernels::emulator::lane(), source = lane - static_cast<int>(by);
  return overnight::kernels::emulator::from_lane(mine, source < 0 ? lane : source);
}
template <typename Value>
Value atomicAdd(Value* at, Value by) {
  const Value before = *at;
  *at = before + by;
  return before;
}

// As in CUDA, of floats as well as of doubles without a namespace.
using std::cos, std::exp, std::fabs, std::floor, std::log, std::log1p, std::sin, std::sqrt, std::tanh;
