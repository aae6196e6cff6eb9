// Causal softmax attention for any numbers and any size of heads (arXiv 2307.08691): weights are never stored, the logarithm of each query's
// sum is kept. A warp owns a query (or, for their gradients, a key); keys (or queries) pass by in tiles of shared memory, one for each lane:
// a lane makes the score of its key, then all lanes together gather, each some numbers of a head. What the matrix unit takes is done by
// flash_attention.cuh.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/kernels.h"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

inline constexpr unsigned attention_warps = 8;  // queries, or keys, of a block
inline constexpr unsigned tile_tokens = warp_threads;

// Where the parts of one head lie within a sequence's rows.
struct HeadPlace {
  std::size_t stride, query_at, key_at, value_at;
};
__host__ __device__ inline HeadPlace head_place(const AttentionShape& s, std::size_t head) {
  const std::size_t key_head = head / (s.heads / s.key_heads()), key_at = s.width() + key_head * s.head_size;
  return {s.row(), head * s.head_size, key_at, key_at + s.key_heads() * s.head_size};
}

// Rows in shared memory lie one number further apart than they are long, so that lanes that read down a column meet in no bank.
__host__ __device__ inline std::size_t padded(std::size_t size) { return size + 1; }

// tile[token, size] of rows `from`, `from` + 1, ..., by the whole block, times `scale`; rows from `to` on become zeros.
template <typename Full, typename Real>
__device__ void load_tile(Full* tile, const Real* rows, std::size_t stride, std::size_t from, std::size_t to, std::size_t size, std::size_t tokens,
                          Full scale = 1) {
  for (std::size_t i = threadIdx.x + threadIdx.y * blockDim.x; i < tokens * size; i += blockDim.x * blockDim.y) {
    const std::size_t token = i / size;
    tile[token * padded(size) + i % size] = from + token < to ? static_cast<Full>(rows[(from + token) * stride + i % size]) * scale : Full(0);
  }
}

template <typename Full>
__device__ Full row_product(const Full* a, const Full* b, std::size_t size) {
  Full sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum += a[i] * b[i];
  return sum;
}

// Numbers of a head that one lane gathers.
template <typename Full, int Parts>
struct Gathered {
  Full at[Parts];
  __device__ Gathered() {
#pragma unroll
    for (int p = 0; p < Parts; ++p) at[p] = 0;
  }
  __device__ void scale(Full by) {
#pragma unroll
    for (int p = 0; p < Parts; ++p) at[p] *= by;
  }
  // += the sum over lanes of `weight` times the lane's row of a tile
  __device__ void add_rows(Full weight, const Full* tile, std::size_t size, unsigned lane) {
    for (unsigned j = 0; j < tile_tokens; ++j) {
      const Full of_j = __shfl_sync(0xffffffffu, weight, static_cast<int>(j));
#pragma unroll
      for (int p = 0; p < Parts; ++p) {
        const std::size_t i = lane + p * warp_threads;
        if (i < size) at[p] += of_j * tile[j * padded(size) + i];
      }
    }
  }
  template <typename Real>
  __device__ void put(Real* to, Full by, std::size_t size, unsigned lane) const {
#pragma unroll
    for (int p = 0; p < Parts; ++p) {
      const std::size_t i = lane + p * warp_threads;
      if (i < size) to[i] = at[p] * by;
    }
  }
};

// What a block of queries has in common: its rows, its first and last token, the keys that they see.
struct QueryBlock {
  std::size_t batch, head, begin, end, first_key;
  __device__ QueryBlock(const AttentionShape& s) : batch(blockIdx.z), head(blockIdx.y), begin(static_cast<std::size_t>(blockIdx.x) * attention_warps) {
    end = begin + attention_warps < s.context ? begin + attention_warps : s.context;
    first_key = s.first_seen(begin) / tile_tokens * tile_tokens;
  }
};

template <typename Real, typename Full, int Parts>
__global__ void attention_forward_kernel(Real* out, Full* log_sums, const Real* qkv, AttentionShape s) {
  const std::size_t size = s.head_size;
  Full *keys = shared_memory<Full>(), *values = keys + tile_tokens * padded(size), *queries = values + tile_tokens * padded(size);
  const QueryBlock block(s);
  const unsigned lane = threadIdx.x;
  const std::size_t t = block.begin + threadIdx.y;
  const HeadPlace at = head_place(s, block.head);
  const Real* rows = qkv + block.batch * s.context * at.stride;
  load_tile(queries, rows + at.query_at, at.stride, block.begin, block.end, size, attention_warps, 1 / sqrt(static_cast<Full>(size)));
  const Full* query = queries + threadIdx.y * padded(size);
  const std::size_t first = t < block.end ? s.first_seen(t) : s.context;
  Full largest = -INFINITY, sum = 0;
  Gathered<Full, Parts> gathered;
  for (std::size_t from = block.first_key; from < block.end; from += tile_tokens) {
    __syncthreads();
    load_tile(keys, rows + at.key_at, at.stride, from, block.end, size, tile_tokens);
    load_tile(values, rows + at.value_at, at.stride, from, block.end, size, tile_tokens);
    __syncthreads();
    const std::size_t j = from + lane;
    const bool seen = j >= first && j <= t;
    const Full score = seen ? row_product(query, keys + lane * padded(size), size) : -INFINITY;
    const Full most = warp_largest(score);
    if (most > largest) {
      const Full fade = largest > -INFINITY ? exp(largest - most) : Full(0);
      sum *= fade;
      gathered.scale(fade);
      largest = most;
    }
    const Full weight = seen ? exp(score - largest) : Full(0);
    sum += warp_sum(weight);
    gathered.add_rows(weight, values, size, lane);
  }
  if (t >= block.end) return;
  const std::size_t row = block.batch * s.context + t;
  if (lane == 0) log_sums[row * s.heads + block.head] = largest + log(sum);
  gathered.put(out + row * s.width() + block.head * size, 1 / sum, size, lane);
}

// Gradients of queries; leaves the mean of each query's score gradients (dy . out) in `means` [batch * context, heads].
template <typename Real, typename Full, int Parts>
__global__ void attention_queries_backward_kernel(Real* dqkv, Full* means, const Real* dout, const Full* log_sums, const Real* qkv, AttentionShape s) {
  const std::size_t size = s.head_size;
  Full *keys = shared_memory<Full>(), *values = keys + tile_tokens * padded(size), *queries = values + tile_tokens * padded(size),
       *backs = queries + attention_warps * padded(size);
  const QueryBlock block(s);
  const unsigned lane = threadIdx.x;
  const std::size_t t = block.begin + threadIdx.y, row = block.batch * s.context + t;
  const HeadPlace at = head_place(s, block.head);
  const Real* rows = qkv + block.batch * s.context * at.stride;
  const Full scale = 1 / sqrt(static_cast<Full>(size));
  load_tile(queries, rows + at.query_at, at.stride, block.begin, block.end, size, attention_warps, scale);
  load_tile(backs, dout + block.batch * s.context * s.width() + block.head * size, s.width(), block.begin, block.end, size, attention_warps);
  const Full *query = queries + threadIdx.y * padded(size), *back = backs + threadIdx.y * padded(size);
  const std::size_t first = t < block.end ? s.first_seen(t) : s.context;
  const Full log_sum = t < block.end ? log_sums[row * s.heads + block.head] : Full(0);
  Full mean = 0;
  Gathered<Full, Parts> weighted, keyed;  // sums of p (dy . v) k and of p k: dq = scale * (weighted - mean * keyed)
  for (std::size_t from = block.first_key; from < block.end; from += tile_tokens) {
    __syncthreads();
    load_tile(keys, rows + at.key_at, at.stride, from, block.end, size, tile_tokens);
    load_tile(values, rows + at.value_at, at.stride, from, block.end, size, tile_tokens);
    __syncthreads();
    const std::size_t j = from + lane;
    const bool seen = j >= first && j <= t;
    const Full weight = seen ? exp(row_product(query, keys + lane * padded(size), size) - log_sum) : Full(0);
    const Full both = seen ? weight * row_product(back, values + lane * padded(size), size) : Full(0);
    mean += warp_sum(both);
    weighted.add_rows(both, keys, size, lane);
    keyed.add_rows(weight, keys, size, lane);
  }
  if (t >= block.end) return;
  if (lane == 0) means[row * s.heads + block.head] = mean;
#pragma unroll
  for (int p = 0; p < Parts; ++p) weighted.at[p] -= mean * keyed.at[p];
  weighted.put(dqkv + row * at.stride + at.query_at, scale, size, lane);
}

// Gradients of keys and values, summed over the heads that share them, in their order.
template <typename Real, typename Full, int Parts>
__global__ void attention_keys_backward_kernel(Real* dqkv, const Full* means, const Real* dout, const Full* log_sums, const Real* qkv, AttentionShape s) {
  const std::size_t size = s.head_size;
  Full *queries = shared_memory<Full>(), *backs = queries + tile_tokens * padded(size), *keys = backs + tile_tokens * padded(size),
       *values = keys + attention_warps * padded(size);
  const unsigned lane = threadIdx.x;
  const std::size_t b = blockIdx.z, key_head = blockIdx.y, begin = static_cast<std::size_t>(blockIdx.x) * attention_warps, j = begin + threadIdx.y;
  const std::size_t end = begin + attention_warps < s.context ? begin + attention_warps : s.context, sharing = s.heads / s.key_heads();
  const HeadPlace place = head_place(s, key_head * sharing);
  const Real* rows = qkv + b * s.context * place.stride;
  const Full scale = 1 / sqrt(static_cast<Full>(size));
  load_tile(keys, rows + place.key_at, place.stride, begin, end, size, attention_warps, scale);
  load_tile(values, rows + place.value_at, place.stride, begin, end, size, attention_warps);
  const Full *key = keys + threadIdx.y * padded(size), *value = values + threadIdx.y * padded(size);
  const std::size_t last = s.window == 0 || end - 1 + s.window > s.context ? s.context : end - 1 + s.window;  // queries that see a key of this block
  Gathered<Full, Parts> dk, dv;
  for (std::size_t h = key_head * sharing; h < (key_head + 1) * sharing; ++h) {
    for (std::size_t from = begin / tile_tokens * tile_tokens; from < last; from += tile_tokens) {
      __syncthreads();
      load_tile(queries, rows + h * size, place.stride, from, last, size, tile_tokens);
      load_tile(backs, dout + b * s.context * s.width() + h * size, s.width(), from, last, size, tile_tokens);
      __syncthreads();
      const std::size_t t = from + lane, row = (b * s.context + t) * s.heads + h;
      const bool sees = j < end && t < last && t >= j && s.first_seen(t) <= j;
      const Full weight = sees ? exp(row_product(key, queries + lane * padded(size), size) - log_sums[row]) : Full(0);
      const Full d = sees ? weight * (row_product(value, backs + lane * padded(size), size) - means[row]) : Full(0);
      dk.add_rows(d, queries, size, lane);
      dv.add_rows(weight, backs, size, lane);
    }
  }
  if (j >= end) return;
  Real* to = dqkv + (b * s.context + j) * place.stride;
  dk.put(to + place.key_at, scale, size, lane);
  dv.put(to + place.value_at, 1, size, lane);
}

// Calls body(std::integral_constant): how many numbers of a head each lane gathers, at most.
template <typename Body>
void with_head_parts(std::size_t size, const Body& body) {
  if (size <= 32) return body(std::integral_constant<int, 1>{});
  if (size <= 64) return body(std::integral_constant<int, 2>{});
  if (size <= 128) return body(std::integral_constant<int, 4>{});
  if (size <= 256) return body(std::integral_constant<int, 8>{});
  throw DeviceError("attention: heads of more than 256 numbers");
}

template <typename Full>
std::size_t attention_shared_bytes(std::size_t size, unsigned kept) {
  return (2 * tile_tokens + kept * attention_warps) * padded(size) * sizeof(Full);
}

template <typename Real>
void attention_forward(Real* out, FullOf<Real>* log_sums, const Real* qkv, FullOf<Real>*, AttentionShape s) {
  using Full = FullOf<Real>;
  const dim3 grid(static_cast<unsigned>(blocks_of(s.context, attention_warps)), static_cast<unsigned>(s.heads), static_cast<unsigned>(s.batch));
  with_head_parts(s.head_size, [&](auto parts) {
    launch("attention_forward", attention_forward_kernel<Real, Full, parts()>, grid, dim3(warp_threads, attention_warps),
           attention_shared_bytes<Full>(s.head_size, 1), out, log_sums, qkv, s);
  });
}

template <typename Real>
void attention_backward(Real* dqkv, const Real* dout, const Real*, const FullOf<Real>* log_sums, const Real* qkv, FullOf<Real>* scratch,
                        AttentionShape s) {
  using Full = FullOf<Real>;
  const auto blocks = static_cast<unsigned>(blocks_of(s.context, attention_warps)), batch = static_cast<unsigned>(s.batch);
  const std::size_t shared = attention_shared_bytes<Full>(s.head_size, 2);
  with_head_parts(s.head_size, [&](auto parts) {
    launch("attention_backward, queries", attention_queries_backward_kernel<Real, Full, parts()>, dim3(blocks, static_cast<unsigned>(s.heads), batch),
           dim3(warp_threads, attention_warps), shared, dqkv, scratch, dout, log_sums, qkv, s);
    launch("attention_backward, keys", attention_keys_backward_kernel<Real, Full, parts()>, dim3(blocks, static_cast<unsigned>(s.key_heads()), batch),
           dim3(warp_threads, attention_warps), shared, dqkv, static_cast<const Full*>(scratch), dout, log_sums, qkv, s);
  });
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
