// The matrix unit's functions as the emulator does them: a product of whole matrices by fragments, loaded either way.
#include "kernels/cuda/matrix_unit.cuh"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace overnight::kernels::cuda {
namespace {

TEST(Bfloat16, RoundsToNearestAndTiesToEven) {
  EXPECT_EQ(float(bfloat16(1.0f)), 1.0f);
  EXPECT_EQ(float(bfloat16(1.0f + 0x1p-8f)), 1.0f);                // halfway, to the even one below
  EXPECT_EQ(float(bfloat16(1.0f + 3 * 0x1p-8f)), 1.0f + 0x1p-6f);  // halfway, to the even one above
  EXPECT_EQ(float(bfloat16(1.0f + 0x1.01p-8f)), 1.0f + 0x1p-7f);
  EXPECT_TRUE(std::isinf(float(bfloat16(std::numeric_limits<float>::max()))));
  EXPECT_TRUE(std::isnan(float(bfloat16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_EQ(packed(1.0f, 2.0f), 0x40003f80u);
}

// d[16, 8] = a[16, 16] * b, b lying as [16, 8] (`transposed` load) or as [8, 16].
template <bool transposed>
void product_kernel(float* d, const bfloat16* a, const bfloat16* b) {
  bfloat16* shared = shared_memory<bfloat16>();
  for (unsigned i = threadIdx.x; i < 32; i += warp_threads) copy_async(shared + 8 * i, a + 8 * i);
  for (unsigned i = threadIdx.x; i < 16; i += warp_threads) copy_async(shared + 256 + 8 * i, b + 8 * i);
  close_copies();
  wait_for_copies<0>();
  __syncthreads();
  std::uint32_t left[4], both[4];
  const unsigned lane = threadIdx.x, r = lane % 8, m = lane / 8;
  load_matrices(left, shared + (r + m % 2 * 8) * 16 + m / 2 * 8);
  if (transposed) {
    load_matrices_transposed(both, shared + 256 + (r + m % 2 * 8) * 8);
  } else {
    load_matrices(both, shared + 256 + r * 16 + m % 2 * 8);
  }
  const std::uint32_t right[2] = {both[0], both[1]};
  float sums[4] = {};
  multiply_add(sums, left, right);
  const unsigned g = lane / 4, t = lane % 4;
  for (unsigned i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

TEST(MatrixUnit, MultipliesFragmentsLoadedEitherWay) {
  alignas(16) bfloat16 a[256], b[128], b_turned[128];
  for (int i = 0; i < 256; ++i) a[i] = static_cast<float>(i % 23) - 11;
  for (int k = 0; k < 16; ++k) {
    for (int n = 0; n < 8; ++n) b[k * 8 + n] = b_turned[n * 16 + k] = static_cast<float>((k * 8 + n) % 17) - 8;
  }
  std::vector<float> d(128), e(128);
  launch("product", product_kernel<true>, dim3(1), dim3(32), 1024, d.data(), a, b);
  launch("product", product_kernel<false>, dim3(1), dim3(32), 1024, e.data(), a, b_turned);
  for (int row = 0; row < 16; ++row) {
    for (int n = 0; n < 8; ++n) {
      float sum = 0;
      for (int k = 0; k < 16; ++k) sum += float(a[row * 16 + k]) * float(b[k * 8 + n]);
      EXPECT_EQ(d[static_cast<std::size_t>(row * 8 + n)], sum);
      EXPECT_EQ(e[static_cast<std::size_t>(row * 8 + n)], sum);
    }
  }
}

}  // namespace
}  // namespace overnight::kernels::cuda
