// BackendOf's products by the library, or by PlainProducts where it has no way.
#pragma once

#include "kernels/cuda/library_product.h"
#include "kernels/cuda/product.cuh"

namespace overnight::kernels::cuda {

// The library of the device that this thread launches on (cuda_device.cu).
LibraryProducts* library_products();

struct BestProducts {
  using Batch = ProductBatch;
  template <typename Number>
  static constexpr NumberKind kind = std::is_same_v<Number, float> ? NumberKind::float32 : NumberKind::bfloat16;

  template <typename Out, typename Real>
  static void batched(Out* out, std::size_t stride, MatrixOf<Real> a, MatrixOf<Real> b, std::size_t rows,
                      std::size_t columns, std::size_t depth, std::type_identity_t<const Out*> plus, float alpha,
                      float beta, ProductBatch batch) {
    if (rows == 0 || columns == 0 || batch.count == 0) return;
    const bool a_turned = a.column_stride != 1, b_turned = b.column_stride != 1;
    const ProductKey key{.rows = rows,
                         .columns = columns,
                         .depth = depth,
                         .stride = stride,
                         .a_stride = a_turned ? a.column_stride : a.row_stride,
                         .b_stride = b_turned ? b.column_stride : b.row_stride,
                         .count = batch.count,
                         .a_apart = batch.a,
                         .b_apart = batch.b,
                         .out_apart = batch.out,
                         .in = kind<Real>,
                         .out = kind<Out>,
                         .a_turned = a_turned,
                         .b_turned = b_turned,
                         .adds = plus != nullptr,
                         .in_place = plus == out,
                         .alignment = alignment_of(out, a.data, b.data, plus)};
    LibraryProducts* library = library_products();
    if (library != nullptr && library->multiply(out, a.data, b.data, plus, alpha, plus != nullptr ? beta : 0.0f, key)) return;
    PlainProducts::batched(out, stride, a, b, rows, columns, depth, plus, alpha, beta, batch);
  }

  // The largest power of two, up to 256, on which all of them lie.
  template <typename... Pointers>
  static std::uint32_t alignment_of(Pointers... pointers) {
    const std::uintptr_t all = (reinterpret_cast<std::uintptr_t>(pointers) | ... | std::uintptr_t{256});
    return static_cast<std::uint32_t>(all & (~all + 1));
  }
};

}  // namespace overnight::kernels::cuda
