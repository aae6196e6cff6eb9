// The generalised state-space op in chunks (arXiv 2405.21060, section 6; backward as derived in reference/state_space.h): a block for each
// chunk and head, states handed on from chunk to chunk by a pass of their own, gradients of states back by another. A flat row is one rank of
// one token, row = token * rank + r; `cs` are the sums of decays from the chunk's beginning, so that every exponential is of a number <= 0.
#pragma once

#include "kernels/cuda/loss.cuh"
#include "kernels/kernels.h"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

inline constexpr unsigned scan_threads = 128;

// One head's part of one chunk.
template <typename Real>
struct Chunk {
  using Full = FullOf<Real>;
  std::size_t rank, flat, state, head_size;
  const Real *q, *k, *v;
  std::size_t qk_stride, v_stride;
  const Full *decay, *weight, *own;  // of its first token, `heads` numbers from token to token
  std::size_t heads;

  __device__ Full weight_of(std::size_t j) const { return weight[j / rank * heads]; }
  // Of row j in what row i puts out: its own token's rows have another.
  __device__ Full weight_for(std::size_t i, std::size_t j) const {
    return own != nullptr && i / rank == j / rank ? own[j / rank * heads] : weight_of(j);
  }
  __device__ std::size_t reach(std::size_t i) const { return (i / rank + 1) * rank; }
  __device__ Full key_product(std::size_t i, std::size_t j) const {
    Full sum = 0;
    for (std::size_t n = 0; n < state; ++n) sum += static_cast<Full>(q[i * qk_stride + n]) * k[j * qk_stride + n];
    return sum;
  }
};

template <typename Real>
__device__ Chunk<Real> chunk_of(const StateSpaceOf<const Real, const FullOf<Real>>& in, const StateSpaceShape& s, std::size_t b, std::size_t c, std::size_t h) {
  const std::size_t token = b * s.context + c * s.chunk, row = token * s.rank, group = h / (s.heads / s.groups), at = token * s.heads + h;
  return {s.rank,
          s.chunk * s.rank,
          s.state,
          s.head_size,
          in.q + row * in.qk_stride + group * s.state,
          in.k + row * in.qk_stride + group * s.state,
          in.v + row * in.v_stride + h * s.head_size,
          in.qk_stride,
          in.v_stride,
          in.decay + at,
          in.weight + at,
          in.own == nullptr ? nullptr : in.own + at,
          s.heads};
}

// In [batch, chunks, heads, head_size, state].
__host__ __device__ inline std::size_t state_at(const StateSpaceShape& s, std::size_t b, std::size_t c, std::size_t h) {
  return ((b * (s.context / s.chunk) + c) * s.heads + h) * s.head_size * s.state;
}

template <typename Real>
__device__ void sum_decays(FullOf<Real>* cs, const Chunk<Real>& chunk) {
  if (threadIdx.x == 0) {
    FullOf<Real> sum = 0;
    for (std::size_t j = 0; j < chunk.flat; ++j) {
      if (j % chunk.rank == 0) sum += chunk.decay[j / chunk.rank * chunk.heads];
      cs[j] = sum;
    }
  }
  __syncthreads();
}

// States that enter each chunk, from the first to the last.
template <typename Real>
__global__ void states_forward_kernel(FullOf<Real>* states, StateSpaceOf<const Real, const FullOf<Real>> in, StateSpaceShape s) {
  using Full = FullOf<Real>;
  Full* cs = shared_memory<Full>();
  const std::size_t h = blockIdx.x, b = blockIdx.y, chunks = s.context / s.chunk, count = s.head_size * s.state;
  for (std::size_t i = threadIdx.x; i < count; i += blockDim.x) states[state_at(s, b, 0, h) + i] = 0;
  for (std::size_t c = 0; c + 1 < chunks; ++c) {
    const Chunk<Real> chunk = chunk_of(in, s, b, c, h);
    sum_decays(cs, chunk);
    const Full end = cs[chunk.flat - 1];
    const Full* before = states + state_at(s, b, c, h);
    Full* after = states + state_at(s, b, c + 1, h);
    for (std::size_t i = threadIdx.x; i < count; i += blockDim.x) {
      const std::size_t p = i / s.state, n = i % s.state;
      Full sum = exp(end) * before[i];
      for (std::size_t j = 0; j < chunk.flat; ++j)
        sum += exp(end - cs[j]) * chunk.weight_of(j) * chunk.v[j * chunk.v_stride + p] * chunk.k[j * chunk.qk_stride + n];
      after[i] = sum;
    }
    __syncthreads();
  }
}

template <typename Real>
__global__ void scan_forward_kernel(Real* y, std::size_t y_stride, const FullOf<Real>* states, StateSpaceOf<const Real, const FullOf<Real>> in, StateSpaceShape s) {
  using Full = FullOf<Real>;
  const std::size_t c = blockIdx.x, h = blockIdx.y, b = blockIdx.z;
  const Chunk<Real> chunk = chunk_of(in, s, b, c, h);
  Full *cs = shared_memory<Full>(), *scores = cs + chunk.flat;
  sum_decays(cs, chunk);
  const Full* state = states + state_at(s, b, c, h);
  Real* out = y + (b * s.context + c * s.chunk) * s.rank * y_stride + h * s.head_size;
  for (std::size_t i = 0; i < chunk.flat; ++i) {
    for (std::size_t j = threadIdx.x; j < chunk.reach(i); j += blockDim.x)
      scores[j] = chunk.key_product(i, j) * exp(cs[i] - cs[j]) * chunk.weight_for(i, j);
    __syncthreads();
    for (std::size_t p = threadIdx.x; p < s.head_size; p += blockDim.x) {
      Full sum = 0;
      for (std::size_t n = 0; n < s.state; ++n) sum += chunk.q[i * chunk.qk_stride + n] * state[p * s.state + n];
      sum *= exp(cs[i]);
      for (std::size_t j = 0; j < chunk.reach(i); ++j) sum += scores[j] * chunk.v[j * chunk.v_stride + p];
      out[i * y_stride + p] = sum;
    }
    __syncthreads();
  }
}

template <typename Real>
void state_space_forward(Real* y, std::size_t y_stride, FullOf<Real>* states, StateSpaceOf<const Real, const FullOf<Real>> in, FullOf<Real>*, StateSpaceShape s) {
  const auto heads = static_cast<unsigned>(s.heads), batch = static_cast<unsigned>(s.batch), chunks = static_cast<unsigned>(s.context / s.chunk);
  const std::size_t flat_bytes = s.chunk * s.rank * sizeof(FullOf<Real>);
  launch("state_space_forward, states", states_forward_kernel<Real>, dim3(heads, batch), dim3(block_threads), flat_bytes, states, in, s);
  launch("state_space_forward, chunks", scan_forward_kernel<Real>, dim3(chunks, heads, batch), dim3(scan_threads), 2 * flat_bytes, y, y_stride,
         static_cast<const FullOf<Real>*>(states), in, s);
}

// Gradients of the states that leave each chunk, from the last to the first: `carried` is laid out as the states.
template <typename Real>
__global__ void states_backward_kernel(FullOf<Real>* carried, const Real* dy, std::size_t dy_stride, StateSpaceOf<const Real, const FullOf<Real>> in, StateSpaceShape s) {
  using Full = FullOf<Real>;
  Full* cs = shared_memory<Full>();
  const std::size_t h = blockIdx.x, b = blockIdx.y, chunks = s.context / s.chunk, count = s.head_size * s.state;
  for (std::size_t i = threadIdx.x; i < count; i += blockDim.x) carried[state_at(s, b, chunks - 1, h) + i] = 0;
  for (std::size_t c = chunks; c-- > 1;) {
    const Chunk<Real> chunk = chunk_of(in, s, b, c, h);
    sum_decays(cs, chunk);
    const Real* d = dy + (b * s.context + c * s.chunk) * s.rank * dy_stride + h * s.head_size;
    const Full* leaves = carried + state_at(s, b, c, h);
    Full* enters = carried + state_at(s, b, c - 1, h);
    for (std::size_t i = threadIdx.x; i < count; i += blockDim.x) {
      const std::size_t p = i / s.state, n = i % s.state;
      Full sum = exp(cs[chunk.flat - 1]) * leaves[i];
      for (std::size_t j = 0; j < chunk.flat; ++j) sum += exp(cs[j]) * static_cast<Full>(d[j * dy_stride + p]) * chunk.q[j * chunk.qk_stride + n];
      enters[i] = sum;
    }
    __syncthreads();
  }
}

// What a block works with in backward: numbers for each flat row in shared memory, and where gradients go.
template <typename Real>
struct BackwardChunk {
  using Full = FullOf<Real>;
  Chunk<Real> chunk;
  const Real* dy;
  const Full *state, *carried;
  std::size_t dy_stride;
  Full *cs, *scores, *products, *dcs, *dweight, *down, *parts;
  Real *dq, *dk, *dv;
  bool adds;  // gradients of queries and keys: another head of the group has begun them

  __device__ Full value_product(std::size_t i, std::size_t j) const {
    Full sum = 0;
    for (std::size_t p = 0; p < chunk.head_size; ++p) sum += static_cast<Full>(dy[i * dy_stride + p]) * chunk.v[j * chunk.v_stride + p];
    return sum;
  }
};

// Of output row i: gradients of its query, and what pulls at the sum of decays there.
template <typename Real>
__device__ void output_row_backward(const BackwardChunk<Real>& b, std::size_t i) {
  using Full = FullOf<Real>;
  const Chunk<Real>& c = b.chunk;
  Full pull = 0;
  for (std::size_t j = threadIdx.x; j < c.reach(i); j += blockDim.x) {
    const Full faded = exp(b.cs[i] - b.cs[j]) * c.weight_for(i, j), product = b.value_product(i, j);
    b.products[j] = product * faded;
    if (j / c.rank != i / c.rank) pull += product * faded * c.key_product(i, j);
  }
  __syncthreads();
  const Full decayed = exp(b.cs[i]);
  for (std::size_t n = threadIdx.x; n < c.state; n += blockDim.x) {
    Full through = 0, sum = 0;
    for (std::size_t p = 0; p < c.head_size; ++p) through += b.dy[i * b.dy_stride + p] * b.state[p * c.state + n];
    through *= decayed;
    pull += through * c.q[i * c.qk_stride + n];
    for (std::size_t j = 0; j < c.reach(i); ++j) sum += b.products[j] * c.k[j * c.qk_stride + n];
    Real& to = b.dq[i * c.qk_stride + n];
    to = (b.adds ? static_cast<Full>(to) : Full(0)) + sum + through;
  }
  pull = block_sum(pull, b.parts);
  if (threadIdx.x == 0) b.dcs[i] += pull;
  __syncthreads();
}

// Of input row j: gradients of its key and value, of its weights, and what pulls at the sums of decays there and at the end.
template <typename Real>
__device__ FullOf<Real> input_row_backward(const BackwardChunk<Real>& b, std::size_t j) {
  using Full = FullOf<Real>;
  const Chunk<Real>& c = b.chunk;
  const std::size_t first = j / c.rank * c.rank;
  const Full to_end = exp(b.cs[c.flat - 1] - b.cs[j]), weight = c.weight_of(j);
  Full later = 0, own = 0;
  for (std::size_t i = first + threadIdx.x; i < c.flat; i += blockDim.x) {
    const Full faded = exp(b.cs[i] - b.cs[j]), score = c.key_product(i, j) * faded, product = b.value_product(i, j);
    const bool same = i / c.rank == j / c.rank;
    (same ? own : later) += score * product;
    b.scores[i] = score * c.weight_for(i, j);
    b.products[i] = product * faded * c.weight_for(i, j);
  }
  __syncthreads();
  for (std::size_t p = threadIdx.x; p < c.head_size; p += blockDim.x) {
    Full sum = 0, kept = 0;
    for (std::size_t i = first; i < c.flat; ++i) sum += b.scores[i] * b.dy[i * b.dy_stride + p];
    for (std::size_t n = 0; n < c.state; ++n) kept += c.k[j * c.qk_stride + n] * b.carried[p * c.state + n];
    b.dv[j * c.v_stride + p] = sum + to_end * weight * kept;
  }
  Full through = 0;
  for (std::size_t n = threadIdx.x; n < c.state; n += blockDim.x) {
    Full sum = 0, kept = 0;
    for (std::size_t i = first; i < c.flat; ++i) sum += b.products[i] * c.q[i * c.qk_stride + n];
    for (std::size_t p = 0; p < c.head_size; ++p) kept += c.v[j * c.v_stride + p] * b.carried[p * c.state + n];
    through += to_end * kept * c.k[j * c.qk_stride + n];
    Real& to = b.dk[j * c.qk_stride + n];
    to = (b.adds ? static_cast<Full>(to) : Full(0)) + sum + to_end * weight * kept;
  }
  later = block_sum(later, b.parts), own = block_sum(own, b.parts), through = block_sum(through, b.parts);
  if (threadIdx.x == 0) {
    b.dweight[j] = later + through;
    b.down[j] = own;
    b.dcs[j] -= weight * (later + through);
  }
  __syncthreads();
  return weight * through;
}

template <typename Real>
__global__ void scan_backward_kernel(StateSpaceOf<Real, FullOf<Real>> d, const Real* dy, std::size_t dy_stride, const FullOf<Real>* states, const FullOf<Real>* carried,
                                     StateSpaceOf<const Real, const FullOf<Real>> in, StateSpaceShape s) {
  const std::size_t c = blockIdx.x, group = blockIdx.y, b = blockIdx.z, per_group = s.heads / s.groups, flat = s.chunk * s.rank, token = b * s.context + c * s.chunk,
                    row = token * s.rank;
  using Full = FullOf<Real>;
  Full* room = shared_memory<Full>();
  for (std::size_t h = group * per_group; h < (group + 1) * per_group; ++h) {
    const BackwardChunk<Real> work{chunk_of(in, s, b, c, h),
                                   dy + row * dy_stride + h * s.head_size,
                                   states + state_at(s, b, c, h),
                                   carried + state_at(s, b, c, h),
                                   dy_stride,
                                   room,
                                   room + flat,
                                   room + 2 * flat,
                                   room + 3 * flat,
                                   room + 4 * flat,
                                   room + 5 * flat,
                                   room + 6 * flat,
                                   d.q + row * d.qk_stride + group * s.state,
                                   d.k + row * d.qk_stride + group * s.state,
                                   d.v + row * d.v_stride + h * s.head_size,
                                   h % per_group != 0};
    sum_decays(work.cs, work.chunk);
    for (std::size_t j = threadIdx.x; j < flat; j += blockDim.x) work.dcs[j] = 0;
    __syncthreads();
    Full entered = 0;  // the same in all threads
    for (std::size_t i = 0; i < flat; ++i) output_row_backward(work, i);
    for (std::size_t j = 0; j < flat; ++j) entered += input_row_backward(work, j);
    Full kept = 0;
    for (std::size_t i = threadIdx.x; i < s.head_size * s.state; i += blockDim.x) kept += work.carried[i] * work.state[i];
    kept = exp(work.cs[flat - 1]) * block_sum(kept, work.parts);
    if (threadIdx.x == 0) {
      Full of_decay = entered + kept;
      for (std::size_t t = s.chunk; t-- > 0;) {
        Full of_weight = 0, of_own = 0;
        for (std::size_t j = t * s.rank; j < (t + 1) * s.rank; ++j) of_decay += work.dcs[j], of_weight += work.dweight[j], of_own += work.down[j];
        const std::size_t at = (token + t) * s.heads + h;
        d.decay[at] = of_decay;
        d.weight[at] = d.own != nullptr ? of_weight : of_weight + of_own;
        if (d.own != nullptr) d.own[at] = of_own;
      }
    }
    __syncthreads();
  }
}

// `scratch` holds as many numbers as the states.
template <typename Real>
void state_space_backward(StateSpaceOf<Real, FullOf<Real>> d, const Real* dy, std::size_t dy_stride, const FullOf<Real>* states, StateSpaceOf<const Real, const FullOf<Real>> in,
                          FullOf<Real>* scratch,
                          StateSpaceShape s) {
  const auto heads = static_cast<unsigned>(s.heads), groups = static_cast<unsigned>(s.groups), batch = static_cast<unsigned>(s.batch),
             chunks = static_cast<unsigned>(s.context / s.chunk);
  const std::size_t flat_bytes = s.chunk * s.rank * sizeof(FullOf<Real>);
  launch("state_space_backward, states", states_backward_kernel<Real>, dim3(heads, batch), dim3(block_threads), flat_bytes, scratch, dy, dy_stride, in, s);
  launch("state_space_backward, chunks", scan_backward_kernel<Real>, dim3(chunks, groups, batch), dim3(scan_threads),
         6 * flat_bytes + scan_threads / warp_threads * sizeof(FullOf<Real>), d, dy, dy_stride, states, static_cast<const FullOf<Real>*>(scratch), in, s);
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
