// Rows of tables by token: the embedding, and what tokens add to the values of attention. Gradients of a table are sums over the rows of each
// token, in their order and so the same in every run: rows come ordered by token, in pieces; a block adds up one piece, and what lies on
// borders of pieces is added up by a second launch.
#pragma once

#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/scalar.cuh"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

template <unsigned Count, typename Real>
void embedding_forward_by(Real* out, const std::int32_t* ids, const Real* table, std::size_t rows, std::size_t width) {
  each_in_rows<Count>("embedding_forward", rows, width, [=] __device__(std::size_t row, unsigned column) {
    store(out + row * width + column, load<Count>(table + static_cast<std::size_t>(ids[row]) * width + column));
  });
}
template <typename Real>
void embedding_forward(Real* out, const std::int32_t* ids, const Real* table, std::size_t rows, std::size_t width) {
  by_packs<Real>(width % Pack<Real>::size == 0 && on_pack_boundaries(out, table),
                 [&](auto size) { embedding_forward_by<size()>(out, ids, table, rows, width); });
}

// One column of one piece of ordered rows. Sums of tokens that begin and end within it go to the table; the first token's, if it began in an
// earlier piece, and the last's, if it goes on in the next, go to `borders` [pieces, 2, width].
template <typename Full, typename Row>
__global__ void table_pieces_kernel(Full* dtable, Full* borders, const std::int32_t* ids, const std::int32_t* order, std::size_t rows, std::size_t width,
                                    Row of_row) {
  const std::size_t piece = blockIdx.x, from = piece * embedding_piece, to = from + embedding_piece < rows ? from + embedding_piece : rows;
  const bool began_before = from > 0 && ids[order[from - 1]] == ids[order[from]], goes_on = to < rows && ids[order[to]] == ids[order[to - 1]];
  for (std::size_t column = blockIdx.y * blockDim.x + threadIdx.x; column < width; column += gridDim.y * blockDim.x) {
    Full sum = 0;
    bool first = true;
    for (std::size_t i = from; i < to; ++i) {
      const std::size_t row = static_cast<std::size_t>(order[i]);
      sum += of_row(row, column);
      if (i + 1 < to && ids[order[i + 1]] == ids[row]) continue;
      const bool last = i + 1 == to;
      if (first && began_before) {
        borders[piece * 2 * width + column] = sum;
      } else if (last && goes_on) {
        borders[(piece * 2 + 1) * width + column] = sum;
      } else {
        dtable[static_cast<std::size_t>(ids[row]) * width + column] += sum;
      }
      first = false;
      sum = 0;
    }
  }
}

// The block of the piece in which a token that goes on began adds up all its parts. A piece of one token alone has one part, the first.
template <typename Full>
__global__ void table_borders_kernel(Full* dtable, const Full* borders, const std::int32_t* ids, const std::int32_t* order, std::size_t rows,
                                     std::size_t width) {
  const std::size_t piece = blockIdx.x, from = piece * embedding_piece, to = from + embedding_piece;
  if (to >= rows || ids[order[to]] != ids[order[to - 1]]) return;  // nothing goes on
  const std::int32_t id = ids[order[to - 1]];
  if (from > 0 && ids[order[from]] == id && ids[order[from - 1]] == id) return;  // it began in an earlier piece
  for (std::size_t column = blockIdx.y * blockDim.x + threadIdx.x; column < width; column += gridDim.y * blockDim.x) {
    Full sum = borders[(piece * 2 + 1) * width + column];
    for (std::size_t next = piece + 1, at = to; at < rows && ids[order[at]] == id; ++next, at += embedding_piece) sum += borders[next * 2 * width + column];
    dtable[static_cast<std::size_t>(id) * width + column] += sum;
  }
}

// of_row(row, column): what the row adds to its token's row of the table.
template <typename Full, typename Row>
void add_to_table(const char* name, Full* dtable, Full* borders, const std::int32_t* ids, const std::int32_t* order, std::size_t rows, std::size_t width,
                  Row of_row) {
  if (rows == 0 || width == 0) return;
  const dim3 grid(static_cast<unsigned>(blocks_of(rows, embedding_piece)), static_cast<unsigned>(std::min<std::size_t>(8, blocks_of(width, block_threads))));
  launch(name, table_pieces_kernel<Full, Row>, grid, dim3(block_threads), 0, dtable, borders, ids, order, rows, width, of_row);
  launch(name, table_borders_kernel<Full>, grid, dim3(block_threads), 0, dtable, static_cast<const Full*>(borders), ids, order, rows, width);
}

template <typename Real>
void embedding_backward(FullOf<Real>* dtable, const std::int32_t* ids, const std::int32_t* order, const Real* dout, FullOf<Real>* scratch, std::size_t rows,
                        std::size_t width) {
  add_to_table("embedding_backward", dtable, scratch, ids, order, rows, width,
               [=] __device__(std::size_t row, std::size_t column) { return static_cast<FullOf<Real>>(dout[row * width + column]); });
}

// Of one row and head: the gate's logit, by all lanes of a warp.
template <typename Real>
__device__ FullOf<Real> gate_logit(const Real* x, const FullOf<Real>* weights, std::size_t seen, unsigned lane) {
  FullOf<Real> sum = 0;
  for (std::size_t i = lane; i < seen; i += warp_threads) sum += x[i] * weights[i];
  return warp_sum(sum);
}

template <unsigned Count, typename Real, typename Full>
void value_embedding_forward_by(Real* qkv, const Real* in, std::size_t width, const std::int32_t* ids, ValueEmbeddingOf<const Real, const Full> p,
                                AttentionShape s, std::size_t rows) {
  const std::size_t shared = s.key_heads(), stride = s.row(), values_at = stride - shared * s.head_size, seen = width < value_gate_inputs ? width : value_gate_inputs;
  each_row("value_embedding_forward", rows * shared, [=] __device__(std::size_t i, unsigned lane) {
    const std::size_t row = i / shared, h = i % shared;
    const Full gate = 2 * sigmoid(gate_logit(in + row * width, p.gate + h * seen, seen, lane));
    const Real* from = p.table + (static_cast<std::size_t>(ids[row]) * shared + h) * s.head_size;
    Real* to = qkv + row * stride + values_at + h * s.head_size;
    for (std::size_t j = lane * Count; j < s.head_size; j += warp_threads * Count) {
      auto pack = load<Count>(to + j);
      const auto added = load<Count>(from + j);
#pragma unroll
      for (unsigned n = 0; n < Count; ++n) pack.at[n] = pack.at[n] + gate * added.at[n];
      store(to + j, pack);
    }
  });
}
template <typename Real, typename Full = FullOf<Real>>
void value_embedding_forward(Real* qkv, const Real* in, std::size_t width, const std::int32_t* ids, ValueEmbeddingOf<const Real, const Full> p,
                             AttentionShape s, std::size_t rows) {
  by_packs<Real>(s.head_size % Pack<Real>::size == 0 && on_pack_boundaries(qkv, p.table),
                 [&](auto size) { value_embedding_forward_by<size()>(qkv, in, width, ids, p, s, rows); });
}

// What each row and head needs: the share that its gate lets through, and the gradient of the gate's logit.
template <unsigned Count, typename Real, typename Full>
void value_embedding_gates_by(Full* shares, Full* slopes, const Real* dqkv, const Real* in, std::size_t width, const std::int32_t* ids,
                              ValueEmbeddingOf<const Real, const Full> p, AttentionShape s, std::size_t rows) {
  const std::size_t shared = s.key_heads(), size = s.head_size, stride = s.row(), values_at = stride - shared * size,
                    seen = width < value_gate_inputs ? width : value_gate_inputs;
  each_row("value_embedding_backward, gates", rows * shared, [=] __device__(std::size_t i, unsigned lane) {
    const std::size_t row = i / shared, h = i % shared;
    const Real *values = p.table + (static_cast<std::size_t>(ids[row]) * shared + h) * size, *dv = dqkv + row * stride + values_at + h * size;
    Full dot = 0;
    for (std::size_t j = lane * Count; j < size; j += warp_threads * Count) {
      const auto a = load<Count>(dv + j), b = load<Count>(values + j);
#pragma unroll
      for (unsigned n = 0; n < Count; ++n) dot += static_cast<Full>(a.at[n]) * b.at[n];
    }
    dot = warp_sum(dot);
    const Full share = sigmoid(gate_logit(in + row * width, p.gate + h * seen, seen, lane));
    if (lane != 0) return;
    shares[i] = 2 * share;
    slopes[i] = dot * 2 * share * (1 - share);
  });
}

template <typename Real, typename Full = FullOf<Real>>
void value_embedding_backward(Real* din, ValueEmbeddingOf<Full> d, const Real* dqkv, const Real* in, std::size_t width, const std::int32_t* ids,
                              const std::int32_t* order, ValueEmbeddingOf<const Real, const Full> p, Full* scratch, AttentionShape s, std::size_t rows) {
  const std::size_t shared = s.key_heads(), size = s.head_size, stride = s.row(), values_at = stride - shared * size,
                    seen = width < value_gate_inputs ? width : value_gate_inputs;
  Full *shares = scratch + embedding_scratch(rows, shared * size), *slopes = shares + rows * shared;
  // First, into the end of the scratch.
  by_packs<Real>(size % Pack<Real>::size == 0 && on_pack_boundaries(dqkv, p.table),
                 [&](auto count) { value_embedding_gates_by<count()>(shares, slopes, dqkv, in, width, ids, p, s, rows); });
  add_column_sums("value_embedding_backward, gate", d.gate, rows, shared * seen,
                  [=] __device__(std::size_t row, std::size_t i) { return slopes[row * shared + i / seen] * in[row * width + i % seen]; });
  add_to_table("value_embedding_backward, table", d.table, scratch, ids, order, rows, shared * size, [=] __device__(std::size_t row, std::size_t column) {
    return shares[row * shared + column / size] * dqkv[row * stride + values_at + column];
  });
  each_in_rows<1>("value_embedding_backward, in", rows, seen, [=] __device__(std::size_t row, unsigned column) {
    Full sum = 0;
    for (std::size_t h = 0; h < shared; ++h) sum += slopes[row * shared + h] * p.gate[h * seen + column];
    Real& to = din[row * width + column];
    to = to + sum;
  });
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
