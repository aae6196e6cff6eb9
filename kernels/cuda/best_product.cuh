// BackendOf's products by the library, or by PlainProducts where it has no way.
#pragma once

#include "kernels/cuda/library_product.h"
#include "kernels/cuda/product.cuh"

namespace overnight::kernels::cuda {

// The library of the device that this thread launches on (cuda_device.cu).
LibraryProducts* library_products();

struct BestProducts {
  using Batch = ProductBatch;

  template <typename Out, typename Real>
  static void batched(Out* out, std::size_t stride, MatrixOf<Real> a, MatrixOf<Real> b, std::size_t rows,
                      std::size_t columns, std::size_t depth, std::type_identity_t<const Out*> plus, float alpha,
                      float beta, ProductBatch batch) {
    if (rows == 0 || columns == 0 || batch.count == 0) return;
    const ProductKey key = product_key(out, stride, a, b, rows, columns, depth, plus, batch);
    LibraryProducts* library = library_products();
    if (library != nullptr && library->multiply(out, a.data, b.data, plus, alpha, plus != nullptr ? beta : 0.0f, key)) return;
    PlainProducts::batched(out, stride, a, b, rows, columns, depth, plus, alpha, beta, batch);
  }
};

}  // namespace overnight::kernels::cuda
