// Products of matrices in plain arithmetic, by tiles of shared memory: what is left when shapes or alignments do not suit a library, and what
// a library is checked against. Each output is one sum in the order of the depth.
#pragma once

#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/product_key.h"
#include "kernels/kernels.h"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

inline constexpr unsigned product_tile = 16;

// out = alpha a b + beta plus
template <typename Out, typename Real, typename Full>
__global__ void product_kernel(Out* out, std::size_t stride, MatrixOf<Real> a, MatrixOf<Real> b, std::size_t rows, std::size_t columns, std::size_t depth,
                               const Out* plus, Full alpha, Full beta, ProductBatch batch) {
  __shared__ Full left[product_tile][product_tile + 1], right[product_tile][product_tile + 1];
  const std::size_t row = static_cast<std::size_t>(blockIdx.x) * product_tile + threadIdx.y,
                    column = static_cast<std::size_t>(blockIdx.y) * product_tile + threadIdx.x;
  const Real *from_a = a.data + blockIdx.z * batch.a, *from_b = b.data + blockIdx.z * batch.b;
  Full sum = 0;
  for (std::size_t from = 0; from < depth; from += product_tile) {
    const std::size_t along_a = from + threadIdx.x, along_b = from + threadIdx.y;
    left[threadIdx.y][threadIdx.x] = row < rows && along_a < depth ? static_cast<Full>(from_a[row * a.row_stride + along_a * a.column_stride]) : Full(0);
    right[threadIdx.y][threadIdx.x] = column < columns && along_b < depth ? static_cast<Full>(from_b[along_b * b.row_stride + column * b.column_stride]) : Full(0);
    __syncthreads();
    for (unsigned k = 0; k < product_tile; ++k) sum += left[threadIdx.y][k] * right[k][threadIdx.x];
    __syncthreads();
  }
  if (row >= rows || column >= columns) return;
  const std::size_t at = blockIdx.z * batch.out + row * stride + column;
  out[at] = alpha * sum + (plus != nullptr ? beta * plus[at] : Full(0));
}

struct PlainProducts {
  using Batch = ProductBatch;
  template <typename Out, typename Real>
  static void batched(Out* out, std::size_t stride, MatrixOf<Real> a, MatrixOf<Real> b, std::size_t rows, std::size_t columns, std::size_t depth,
                      std::type_identity_t<const Out*> plus, FullOf<Real> alpha, FullOf<Real> beta, ProductBatch batch) {
    if (rows == 0 || columns == 0 || batch.count == 0) return;
    const dim3 grid(static_cast<unsigned>(blocks_of(rows, product_tile)), static_cast<unsigned>(blocks_of(columns, product_tile)),
                    static_cast<unsigned>(batch.count));
    launch("product", product_kernel<Out, Real, FullOf<Real>>, grid, dim3(product_tile, product_tile), 0, out, stride, a, b, rows, columns, depth, plus, alpha,
           beta, batch);
  }
};

template <typename Products, typename Real>
void product(Real* out, std::size_t stride, MatrixOf<Real> a, MatrixOf<Real> b, std::size_t rows, std::size_t columns, std::size_t depth, const Real* plus) {
  Products::batched(out, stride, a, b, rows, columns, depth, plus, FullOf<Real>(1), FullOf<Real>(1), {});
}
template <typename Products, typename Real>
void full_product(FullOf<Real>* out, std::size_t stride, MatrixOf<Real> a, MatrixOf<Real> b, std::size_t rows, std::size_t columns, std::size_t depth,
                  bool add) {
  Products::batched(out, stride, a, b, rows, columns, depth, add ? static_cast<const FullOf<Real>*>(out) : nullptr, FullOf<Real>(1), FullOf<Real>(1), {});
}

// One warp an output.
template <typename Real>
void linear_row(Real* out, const Real* in, const Real* weights, std::size_t inputs, std::size_t outputs, bool add) {
  each_row("linear_row", outputs, [=] __device__(std::size_t o, unsigned lane) {
    FullOf<Real> sum = 0;
    for (std::size_t i = lane; i < inputs; i += warp_threads) sum += static_cast<FullOf<Real>>(weights[o * inputs + i]) * in[i];
    sum = warp_sum(sum);
    if (lane == 0) out[o] = add ? out[o] + sum : sum;
  });
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
