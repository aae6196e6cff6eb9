// The number that GPUs multiply matrices of: a float's sign, exponent and upper 7 bits of fraction, in 16 bits. Only
// kept in it; arithmetic is done in floats. Rounds to nearest, ties to even, like the hardware; overflow gives
// infinity.
#pragma once

#include <bit>
#include <cstdint>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#define OVERNIGHT_ANYWHERE __host__ __device__
#else
#define OVERNIGHT_ANYWHERE
#endif

namespace overnight::kernels {

struct bfloat16 {
  std::uint16_t bits;

  bfloat16() = default;
  OVERNIGHT_ANYWHERE bfloat16(float value) : bits(rounded(value)) {}
  OVERNIGHT_ANYWHERE operator float() const { return widened(static_cast<std::uint32_t>(bits) << 16); }

 private:
#ifdef __CUDA_ARCH__
  static __device__ std::uint16_t rounded(float value) { return __bfloat16_as_ushort(__float2bfloat16_rn(value)); }
  static __device__ float widened(std::uint32_t word) { return __uint_as_float(word); }
#else
  static float widened(std::uint32_t word) { return std::bit_cast<float>(word); }
  static std::uint16_t rounded(float value) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    if ((word & 0x7fffffffu) > 0x7f800000u) return 0x7fff;  // not a number
    return static_cast<std::uint16_t>((word + 0x7fffu + (word >> 16 & 1u)) >> 16);
  }
#endif
};
static_assert(sizeof(bfloat16) == 2);

// Two of them as one register of the matrix unit holds them: the first in the lower half.
OVERNIGHT_ANYWHERE inline std::uint32_t packed(float low, float high) {
#ifdef __CUDA_ARCH__
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&both);
#else
  return static_cast<std::uint32_t>(bfloat16(low).bits) | static_cast<std::uint32_t>(bfloat16(high).bits) << 16;
#endif
}

}  // namespace overnight::kernels
