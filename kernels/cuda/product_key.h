// Which products of matrices are of one kind, so that a plan for one serves the others. Nothing here needs CUDA.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/kernels.h"

namespace overnight::kernels::cuda {

enum class NumberKind : std::uint32_t { float32, bfloat16 };

// All that a plan depends on. In rows and columns as BackendOf::product has them.
struct ProductKey {
  std::uint64_t rows = 0, columns = 0, depth = 0;
  std::uint64_t stride = 0, a_stride = 0, b_stride = 0;
  std::uint64_t count = 1, a_apart = 0, b_apart = 0, out_apart = 0;
  NumberKind in = NumberKind::float32, out = NumberKind::float32;
  std::uint32_t a_turned = 0, b_turned = 0, adds = 0, in_place = 0, alignment = 256;
  auto operator<=>(const ProductKey&) const = default;
};

// How far apart the matrices of a batch lie, in numbers: those of a, of b, and of out and plus.
struct ProductBatch {
  std::size_t count = 1, a = 0, b = 0, out = 0;
};

// The largest power of two, up to 256, on which all of them lie.
template <typename... Pointers>
std::uint32_t alignment_of(Pointers... pointers) {
  const std::uintptr_t all = (reinterpret_cast<std::uintptr_t>(pointers) | ... | std::uintptr_t{256});
  return static_cast<std::uint32_t>(all & (~all + 1));
}

template <typename Number>
constexpr NumberKind kind_of = std::is_same_v<Number, float> ? NumberKind::float32 : NumberKind::bfloat16;

// Of BackendOf::product, once for each matrix of a batch.
template <typename Out, typename Real>
ProductKey product_key(const Out* out, std::size_t stride, MatrixOf<Real> a, MatrixOf<Real> b, std::size_t rows,
                       std::size_t columns, std::size_t depth, const Out* plus, ProductBatch batch) {
  const bool a_turned = a.column_stride != 1, b_turned = b.column_stride != 1;
  return {.rows = rows,
          .columns = columns,
          .depth = depth,
          .stride = stride,
          .a_stride = a_turned ? a.column_stride : a.row_stride,
          .b_stride = b_turned ? b.column_stride : b.row_stride,
          .count = batch.count,
          .a_apart = batch.a,
          .b_apart = batch.b,
          .out_apart = batch.out,
          .in = kind_of<Real>,
          .out = kind_of<Out>,
          .a_turned = a_turned,
          .b_turned = b_turned,
          .adds = plus != nullptr,
          .in_place = plus == out,
          .alignment = alignment_of(out, a.data, b.data, plus)};
}

}  // namespace overnight::kernels::cuda
