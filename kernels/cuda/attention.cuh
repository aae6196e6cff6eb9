// Causal softmax attention by blocks of queries and keys (arXiv 2307.08691): weights are never stored, the logarithm of each query's sum is
// kept. A thread owns a query (or, for their gradients, a key); keys (or queries) pass by in tiles of shared memory. Numbers of one thread stay
// in registers for heads of up to `Size` numbers.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/kernels.h"

namespace overnight::kernels::cuda {

inline constexpr unsigned attention_threads = 64;  // queries, or keys, of a block
inline constexpr unsigned tile_tokens = 32;

// Where the parts of one head lie within a sequence's rows.
struct HeadPlace {
  std::size_t stride, query_at, key_at, value_at;
};
__host__ __device__ inline HeadPlace head_place(const AttentionShape& s, std::size_t head) {
  const std::size_t key_head = head / (s.heads / s.key_heads()), key_at = s.width() + key_head * s.head_size;
  return {s.row(), head * s.head_size, key_at, key_at + s.key_heads() * s.head_size};
}

// tile[token, size] of rows `from`, `from` + 1, ..., by the whole block; rows from `to` on become zeros.
template <typename Full, typename Real>
__device__ void load_tile(Full* tile, const Real* rows, std::size_t stride, std::size_t from, std::size_t to, std::size_t size) {
  for (std::size_t i = threadIdx.x; i < tile_tokens * size; i += blockDim.x) {
    const std::size_t token = from + i / size;
    tile[i] = token < to ? static_cast<Full>(rows[token * stride + i % size]) : Full(0);
  }
}

template <typename Real, typename Full, int Size>
__global__ void attention_forward_kernel(Real* out, Full* log_sums, const Real* qkv, AttentionShape s) {
  Full* keys = shared_memory<Full>();
  Full* values = keys + tile_tokens * s.head_size;
  const std::size_t b = blockIdx.z, h = blockIdx.y, begin = static_cast<std::size_t>(blockIdx.x) * attention_threads, t = begin + threadIdx.x;
  const std::size_t end = begin + attention_threads < s.context ? begin + attention_threads : s.context;
  const HeadPlace at = head_place(s, h);
  const Real* rows = qkv + b * s.context * at.stride;
  const Full scale = 1 / sqrt(static_cast<Full>(s.head_size));
  Full q[Size], sum_of[Size];
#pragma unroll
  for (int i = 0; i < Size; ++i) {
    q[i] = t < end && static_cast<std::size_t>(i) < s.head_size ? rows[t * at.stride + at.query_at + i] * scale : Full(0);
    sum_of[i] = 0;
  }
  Full largest = -INFINITY, sum = 0;
  const std::size_t first = t < end ? s.first_seen(t) : 0;
  for (std::size_t from = s.first_seen(begin) / tile_tokens * tile_tokens; from < end; from += tile_tokens) {
    __syncthreads();
    load_tile(keys, rows + at.key_at, at.stride, from, end, s.head_size);
    load_tile(values, rows + at.value_at, at.stride, from, end, s.head_size);
    __syncthreads();
    for (std::size_t j = 0; t < end && j < tile_tokens; ++j) {
      if (from + j < first || from + j > t) continue;
      Full score = 0;
#pragma unroll
      for (int i = 0; i < Size; ++i) score += static_cast<std::size_t>(i) < s.head_size ? q[i] * keys[j * s.head_size + i] : Full(0);
      if (score > largest) {
        const Full fade = exp(largest - score);
        sum *= fade;
#pragma unroll
        for (int i = 0; i < Size; ++i) sum_of[i] *= fade;
        largest = score;
      }
      const Full weight = exp(score - largest);
      sum += weight;
#pragma unroll
      for (int i = 0; i < Size; ++i)
        if (static_cast<std::size_t>(i) < s.head_size) sum_of[i] += weight * values[j * s.head_size + i];
    }
  }
  if (t >= end) return;
  log_sums[(b * s.context + t) * s.heads + h] = largest + log(sum);
#pragma unroll
  for (int i = 0; i < Size; ++i)
    if (static_cast<std::size_t>(i) < s.head_size) out[(b * s.context + t) * s.width() + h * s.head_size + i] = sum_of[i] / sum;
}

// Gradients of queries; leaves the mean of each query's score gradients (dy . out) in `means` [batch * context, heads].
template <typename Real, typename Full, int Size>
__global__ void attention_queries_backward_kernel(Real* dqkv, Full* means, const Real* dout, const Full* log_sums, const Real* qkv, AttentionShape s) {
  Full* keys = shared_memory<Full>();
  Full* values = keys + tile_tokens * s.head_size;
  const std::size_t b = blockIdx.z, h = blockIdx.y, begin = static_cast<std::size_t>(blockIdx.x) * attention_threads, t = begin + threadIdx.x;
  const std::size_t end = begin + attention_threads < s.context ? begin + attention_threads : s.context;
  const HeadPlace at = head_place(s, h);
  const Real* rows = qkv + b * s.context * at.stride;
  const Full scale = 1 / sqrt(static_cast<Full>(s.head_size));
  Full q[Size], dy[Size], weighted[Size], keyed[Size];  // sums of p (dy . v) k and of p k: dq = scale * (weighted - mean * keyed)
#pragma unroll
  for (int i = 0; i < Size; ++i) {
    const bool in = t < end && static_cast<std::size_t>(i) < s.head_size;
    q[i] = in ? rows[t * at.stride + at.query_at + i] * scale : Full(0);
    dy[i] = in ? static_cast<Full>(dout[(b * s.context + t) * s.width() + h * s.head_size + i]) : Full(0);
    weighted[i] = keyed[i] = 0;
  }
  const std::size_t first = t < end ? s.first_seen(t) : 0, row = (b * s.context + t) * s.heads + h;
  const Full log_sum = t < end ? log_sums[row] : Full(0);
  Full mean = 0;
  for (std::size_t from = s.first_seen(begin) / tile_tokens * tile_tokens; from < end; from += tile_tokens) {
    __syncthreads();
    load_tile(keys, rows + at.key_at, at.stride, from, end, s.head_size);
    load_tile(values, rows + at.value_at, at.stride, from, end, s.head_size);
    __syncthreads();
    for (std::size_t j = 0; t < end && j < tile_tokens; ++j) {
      if (from + j < first || from + j > t) continue;
      Full score = 0, back = 0;
#pragma unroll
      for (int i = 0; i < Size; ++i) {
        if (static_cast<std::size_t>(i) >= s.head_size) continue;
        score += q[i] * keys[j * s.head_size + i];
        back += dy[i] * values[j * s.head_size + i];
      }
      const Full weight = exp(score - log_sum), both = weight * back;
      mean += both;
#pragma unroll
      for (int i = 0; i < Size; ++i) {
        if (static_cast<std::size_t>(i) >= s.head_size) continue;
        weighted[i] += both * keys[j * s.head_size + i];
        keyed[i] += weight * keys[j * s.head_size + i];
      }
    }
  }
  if (t >= end) return;
  means[row] = mean;
#pragma unroll
  for (int i = 0; i < Size; ++i)
    if (static_cast<std::size_t>(i) < s.head_size) dqkv[(b * s.context + t) * at.stride + at.query_at + i] = scale * (weighted[i] - mean * keyed[i]);
}

// Gradients of keys and values, summed over the heads that share them, in their order.
template <typename Real, typename Full, int Size>
__global__ void attention_keys_backward_kernel(Real* dqkv, const Full* means, const Real* dout, const Full* log_sums, const Real* qkv, AttentionShape s) {
  Full* queries = shared_memory<Full>();
  Full* back = queries + tile_tokens * s.head_size;
  const std::size_t b = blockIdx.z, key_head = blockIdx.y, begin = static_cast<std::size_t>(blockIdx.x) * attention_threads, j = begin + threadIdx.x;
  const std::size_t end = begin + attention_threads < s.context ? begin + attention_threads : s.context, sharing = s.heads / s.key_heads();
  const HeadPlace place = head_place(s, key_head * sharing);
  const Real* rows = qkv + b * s.context * place.stride;
  const Full scale = 1 / sqrt(static_cast<Full>(s.head_size));
  Full k[Size], v[Size], dk[Size], dv[Size];
#pragma unroll
  for (int i = 0; i < Size; ++i) {
    const bool in = j < end && static_cast<std::size_t>(i) < s.head_size;
    k[i] = in ? rows[j * place.stride + place.key_at + i] * scale : Full(0);
    v[i] = in ? static_cast<Full>(rows[j * place.stride + place.value_at + i]) : Full(0);
    dk[i] = dv[i] = 0;
  }
  const std::size_t last = s.window == 0 || end - 1 + s.window > s.context ? s.context : end - 1 + s.window;  // queries that see a key of this block
  for (std::size_t h = key_head * sharing; h < (key_head + 1) * sharing; ++h) {
    for (std::size_t from = begin / tile_tokens * tile_tokens; from < last; from += tile_tokens) {
      __syncthreads();
      load_tile(queries, rows + h * s.head_size, place.stride, from, last, s.head_size);
      load_tile(back, dout + b * s.context * s.width() + h * s.head_size, s.width(), from, last, s.head_size);
      __syncthreads();
      for (std::size_t n = 0; j < end && n < tile_tokens; ++n) {
        const std::size_t t = from + n;
        if (t >= last || t < j || s.first_seen(t) > j) continue;
        const std::size_t row = (b * s.context + t) * s.heads + h;
        Full score = 0, dot = 0;
#pragma unroll
        for (int i = 0; i < Size; ++i) {
          if (static_cast<std::size_t>(i) >= s.head_size) continue;
          score += k[i] * queries[n * s.head_size + i];
          dot += v[i] * back[n * s.head_size + i];
        }
        const Full weight = exp(score - log_sums[row]), d = weight * (dot - means[row]);
#pragma unroll
        for (int i = 0; i < Size; ++i) {
          if (static_cast<std::size_t>(i) >= s.head_size) continue;
          dk[i] += d * queries[n * s.head_size + i];
          dv[i] += weight * back[n * s.head_size + i];
        }
      }
    }
  }
  if (j >= end) return;
  Real* to = dqkv + (b * s.context + j) * place.stride;
#pragma unroll
  for (int i = 0; i < Size; ++i) {
    if (static_cast<std::size_t>(i) >= s.head_size) continue;
    to[place.key_at + i] = scale * dk[i];
    to[place.value_at + i] = dv[i];
  }
}

// Calls with_size(std::integral_constant): the smallest size that holds a head.
template <typename Body>
void with_head_size(std::size_t size, const Body& body) {
  if (size <= 32) return body(std::integral_constant<int, 32>{});
  if (size <= 64) return body(std::integral_constant<int, 64>{});
  if (size <= 128) return body(std::integral_constant<int, 128>{});
  if (size <= 256) return body(std::integral_constant<int, 256>{});
  throw DeviceError("attention: heads of more than 256 numbers");
}

template <typename Real>
void attention_forward(Real* out, FullOf<Real>* log_sums, const Real* qkv, FullOf<Real>*, AttentionShape s) {
  using Full = FullOf<Real>;
  const dim3 grid(static_cast<unsigned>(blocks_of(s.context, attention_threads)), static_cast<unsigned>(s.heads), static_cast<unsigned>(s.batch));
  with_head_size(s.head_size, [&](auto size) {
    launch("attention_forward", attention_forward_kernel<Real, Full, size()>, grid, dim3(attention_threads), 2 * tile_tokens * s.head_size * sizeof(Full), out,
           log_sums, qkv, s);
  });
}

template <typename Real>
void attention_backward(Real* dqkv, const Real* dout, const Real*, const FullOf<Real>* log_sums, const Real* qkv, FullOf<Real>* scratch,
                        AttentionShape s) {
  using Full = FullOf<Real>;
  const auto blocks = static_cast<unsigned>(blocks_of(s.context, attention_threads)), batch = static_cast<unsigned>(s.batch);
  const std::size_t shared = 2 * tile_tokens * s.head_size * sizeof(Full);
  with_head_size(s.head_size, [&](auto size) {
    launch("attention_backward, queries", attention_queries_backward_kernel<Real, Full, size()>, dim3(blocks, static_cast<unsigned>(s.heads), batch),
           dim3(attention_threads), shared, dqkv, scratch, dout, log_sums, qkv, s);
    launch("attention_backward, keys", attention_keys_backward_kernel<Real, Full, size()>, dim3(blocks, static_cast<unsigned>(s.key_heads()), batch),
           dim3(attention_threads), shared, dqkv, static_cast<const Full*>(scratch), dout, log_sums, qkv, s);
  });
}

}  // namespace overnight::kernels::cuda
