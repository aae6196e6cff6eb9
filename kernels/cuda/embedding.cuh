// Rows of tables by token: the embedding, and what tokens add to the values of attention. Gradients of tables are summed in the order of
// the rows by one thread a column: the same in every run, and slow for many rows.
#pragma once

#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/scalar.cuh"

namespace overnight::kernels::cuda {

template <typename Real>
void embedding_forward(Real* out, const std::int32_t* ids, const Real* table, std::size_t rows, std::size_t width) {
  each("embedding_forward", rows * width, [=] __device__(std::size_t i) { out[i] = table[static_cast<std::size_t>(ids[i / width]) * width + i % width]; });
}
template <typename Real>
void embedding_backward(Real* dtable, const std::int32_t* ids, const Real* dout, std::size_t rows, std::size_t width) {
  each("embedding_backward", width, [=] __device__(std::size_t column) {
    for (std::size_t row = 0; row < rows; ++row) dtable[static_cast<std::size_t>(ids[row]) * width + column] += dout[row * width + column];
  });
}

// Of one row and head: the gate's logit, by all lanes of a warp.
template <typename Real>
__device__ Real gate_logit(const Real* x, const Real* weights, std::size_t seen, unsigned lane) {
  Real sum = 0;
  for (std::size_t i = lane; i < seen; i += warp_threads) sum += x[i] * weights[i];
  return warp_sum(sum);
}

template <typename Real>
void value_embedding_forward(Real* qkv, const Real* in, std::size_t width, const std::int32_t* ids, ValueEmbeddingOf<const Real> p, AttentionShape s,
                             std::size_t rows) {
  const std::size_t shared = s.key_heads(), stride = s.row(), values_at = stride - shared * s.head_size, seen = width < value_gate_inputs ? width : value_gate_inputs;
  each_row("value_embedding_forward", rows * shared, [=] __device__(std::size_t i, unsigned lane) {
    const std::size_t row = i / shared, h = i % shared;
    const Real gate = 2 * sigmoid(gate_logit(in + row * width, p.gate + h * seen, seen, lane));
    const Real* from = p.table + (static_cast<std::size_t>(ids[row]) * shared + h) * s.head_size;
    Real* to = qkv + row * stride + values_at + h * s.head_size;
    for (std::size_t j = lane; j < s.head_size; j += warp_threads) to[j] += gate * from[j];
  });
}

// Of one row and head: the share that its gate lets through, and the gradient of the gate's logit.
template <typename Real>
__device__ ValueAndSlope<Real> gate_backward_of(const Real* x, const Real* weights, const Real* values, const Real* dv, std::size_t seen, std::size_t size) {
  Real logit = 0, dot = 0;
  for (std::size_t i = 0; i < seen; ++i) logit += x[i] * weights[i];
  for (std::size_t i = 0; i < size; ++i) dot += dv[i] * values[i];
  const Real share = sigmoid(logit);
  return {2 * share, dot * 2 * share * (1 - share)};
}

template <typename Real>
void value_embedding_backward(Real* din, ValueEmbeddingOf<Real> d, const Real* dqkv, const Real* in, std::size_t width, const std::int32_t* ids,
                              ValueEmbeddingOf<const Real> p, AttentionShape s, std::size_t rows) {
  const std::size_t shared = s.key_heads(), size = s.head_size, stride = s.row(), values_at = stride - shared * size,
                    seen = width < value_gate_inputs ? width : value_gate_inputs;
  const auto of = [=] __device__(std::size_t row, std::size_t h) {
    return gate_backward_of(in + row * width, p.gate + h * seen, p.table + (static_cast<std::size_t>(ids[row]) * shared + h) * size,
                            dqkv + row * stride + values_at + h * size, seen, size);
  };
  add_column_sums("value_embedding_backward, gate", d.gate, rows, shared * seen,
                  [=] __device__(std::size_t row, std::size_t i) { return of(row, i / seen).slope * in[row * width + i % seen]; });
  each("value_embedding_backward, table", shared * size, [=] __device__(std::size_t column) {
    for (std::size_t row = 0; row < rows; ++row)
      d.table[static_cast<std::size_t>(ids[row]) * shared * size + column] += of(row, column / size).value * dqkv[row * stride + values_at + column];
  });
  each("value_embedding_backward, in", rows * seen, [=] __device__(std::size_t i) {
    const std::size_t row = i / seen, column = i % seen;
    Real sum = 0;
    for (std::size_t h = 0; h < shared; ++h) sum += of(row, h).slope * p.gate[h * seen + column];
    din[row * width + column] += sum;
  });
}

}  // namespace overnight::kernels::cuda
