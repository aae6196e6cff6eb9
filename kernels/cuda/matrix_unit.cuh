// The matrix unit (tensor cores) of sm_80 and later, by warps: products of small matrices of bfloat16 with sums in floats, and the loads that
// feed it. All 32 lanes call each function together. With g = lane / 4 and t = lane % 4, an operand's registers hold, two numbers each, the
// first in the lower half (PTX ISA, "Matrix Fragments for mma.m16n8k16"):
//   a[16, 16]: (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8)     (row, first column)
//   b[16, 8]:  (2t, g), (2t + 8, g)                                   (first row, column)
//   d[16, 8]:  one number each: (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
#pragma once

#include "kernels/cuda/device.h"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

#ifdef __CUDACC__
// d += a * b
__device__ inline void multiply_add(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four matrices [8, 8] from shared memory: lane i says where row i % 8 of matrix i / 8 lies (16 bytes, on a boundary of 16); register m then
// holds of matrix m the numbers (g, 2t) and (g, 2t + 1), transposed (2t, g) and (2t + 1, g).
__device__ inline void load_matrices(std::uint32_t (&to)[4], const bfloat16* row) {
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n" : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(at) : "memory");
}
__device__ inline void load_matrices_transposed(std::uint32_t (&to)[4], const bfloat16* row) {
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(at)
               : "memory");
}

// 16 bytes from global to shared memory, behind the thread's back; zeros if not `wanted`. Both on boundaries of 16.
__device__ inline void copy_async(void* shared, const void* global, bool wanted = true) {
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(at), "l"(global), "r"(wanted ? 16 : 0) : "memory");
}
// Closes a group of this thread's copies; waits until at most `Open` groups are still under way. A barrier must follow before other threads read.
__device__ inline void close_copies() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
template <int Open>
__device__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(Open) : "memory");
}
#else
inline float half_of(std::uint32_t word, unsigned which) {
  bfloat16 one;
  one.bits = static_cast<std::uint16_t>(word >> 16 * which);
  return one;
}

inline void multiply_add(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  const std::uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const emulator::Words all = emulator::exchange_words(mine, 6);
  const int lane = emulator::lane(), g = lane / 4, t = lane % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = g + i / 2 * 8, column = 2 * t + i % 2;
    float sum = d[i];
    for (int k = 0; k < 16; ++k) {
      const std::uint32_t left = all[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2], right = all[column * 4 + k % 8 / 2][4 + k / 8];
      sum += half_of(left, k % 2) * half_of(right, k % 2);
    }
    d[i] = sum;
  }
  __syncwarp();
}

inline void load_matrices_as(std::uint32_t (&to)[4], const bfloat16* row, bool transposed) {
  const auto at = reinterpret_cast<std::uintptr_t>(row);
  emulator::must(at % 16 == 0, "a row of a matrix does not lie on a boundary of 16 bytes");
  const std::uint32_t mine[2] = {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32)};
  const emulator::Words all = emulator::exchange_words(mine, 2);
  const int lane = emulator::lane(), g = lane / 4, t = lane % 4;
  for (int m = 0; m < 4; ++m) {
    const auto rows = [&](int r) {
      const auto* words = all[8 * m + r];
      return reinterpret_cast<const bfloat16*>(static_cast<std::uintptr_t>(words[0]) | static_cast<std::uintptr_t>(words[1]) << 32);
    };
    const std::uint32_t low = transposed ? rows(2 * t)[g].bits : rows(g)[2 * t].bits, high = transposed ? rows(2 * t + 1)[g].bits : rows(g)[2 * t + 1].bits;
    to[m] = low | high << 16;
  }
  __syncwarp();
}
inline void load_matrices(std::uint32_t (&to)[4], const bfloat16* row) { load_matrices_as(to, row, false); }
inline void load_matrices_transposed(std::uint32_t (&to)[4], const bfloat16* row) { load_matrices_as(to, row, true); }

inline void copy_async(void* shared, const void* global, bool wanted = true) {
  emulator::copy_later(shared, wanted ? global : nullptr);
}
inline void close_copies() { emulator::close_copies(); }
template <int Open>
void wait_for_copies() {
  emulator::wait_for_copies(Open);
}
#endif

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
