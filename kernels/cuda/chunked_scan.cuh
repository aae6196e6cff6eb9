// The generalised state-space op in bfloat16 on the matrix unit, chunk by chunk (arXiv 2405.21060, section 6; what it computes, and its
// gradients, stand in reference/state_space.h and state_space.cuh). A block takes one chunk of one head, or of one group's heads one after the
// other where their gradients of queries and keys are sums; operands lie in shared memory, sums are floats. States are handed on from chunk to
// chunk by a pass of their own. All sums have a fixed order.
//
// Names: a chunk has `flat` rows (tokens times ranks); cs are sums of decays from the chunk's beginning, so that every exponential is of a number
// <= 0; H is the state that enters, G the gradient of the one that leaves, both [head_size, state].
#pragma once

#include "kernels/cuda/matrix_unit.cuh"
#include "kernels/cuda/state_space.cuh"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {
namespace scan {

inline constexpr unsigned warps = 4;
inline constexpr int strip = 16;         // rows of an output that a warp makes at once
inline constexpr int wide = 64;          // columns of it
inline constexpr std::size_t flat_max = device_chunk_rows, side_max = 128;
static_assert(flat_max <= wide);  // a row of scores is one strip's
inline constexpr std::size_t gap = 8;    // numbers behind each row in shared memory: rows then begin in other banks

__host__ __device__ inline std::size_t ld(std::size_t columns) { return columns + gap; }

__device__ inline int lane_of_warp() { return static_cast<int>(threadIdx.x % warp_threads); }
__device__ inline int warp_of_block() { return static_cast<int>(threadIdx.x / warp_threads); }

// ---- products of matrices in shared memory ----

// A strip of an output: for each eight columns four numbers of a lane, as the matrix unit leaves them.
struct Sums {
  float at[wide / 8][4];
  __device__ Sums() {
#pragma unroll
    for (int n = 0; n < wide / 8; ++n) at[n][0] = at[n][1] = at[n][2] = at[n][3] = 0;
  }
  // Rows g and g + 8 of the strip, each times a number of its own.
  __device__ void scale(float upper, float lower) {
#pragma unroll
    for (int n = 0; n < wide / 8; ++n) at[n][0] *= upper, at[n][1] *= upper, at[n][2] *= lower, at[n][3] *= lower;
  }
};

// A matrix in shared memory, rows `ld` numbers apart; `turned`: it stands there transposed.
template <bool turned>
struct Operand {
  const bfloat16* at;
  std::size_t apart;
};

// Fragments of rows [row, row + 16) and depth [k, k + 16) of a left operand [rows, depth].
template <bool turned>
__device__ void load_left(std::uint32_t (&to)[4], Operand<turned> a, std::size_t row, std::size_t k) {
  const int r = lane_of_warp() % 8, m = lane_of_warp() / 8;
  if constexpr (turned) {
    load_matrices_transposed(to, a.at + (k + m / 2 * 8 + r) * a.apart + row + m % 2 * 8);
  } else {
    load_matrices(to, a.at + (row + m % 2 * 8 + r) * a.apart + k + m / 2 * 8);
  }
}
// The same of a right operand [depth, columns], for columns [column, column + 16): two fragments.
template <bool turned>
__device__ void load_right(std::uint32_t (&to)[4], Operand<turned> b, std::size_t k, std::size_t column) {
  const int r = lane_of_warp() % 8, m = lane_of_warp() / 8;
  if constexpr (turned) {
    load_matrices(to, b.at + (column + m / 2 * 8 + r) * b.apart + k + m % 2 * 8);
  } else {
    load_matrices_transposed(to, b.at + (k + m % 2 * 8 + r) * b.apart + column + m / 2 * 8);
  }
}

// sums += a[row.., depth] b[depth, column..], for as many of the columns as there are.
template <bool a_turned, bool b_turned>
__device__ void add_product(Sums& sums, Operand<a_turned> a, Operand<b_turned> b, std::size_t row, std::size_t column, std::size_t columns, std::size_t depth) {
  for (std::size_t k = 0; k < depth; k += 16) {
    std::uint32_t left[4];
    load_left(left, a, row, k);
#pragma unroll
    for (int n = 0; n < wide / 16; ++n) {
      if (column + n * 16 >= columns) continue;
      std::uint32_t both[4];
      load_right(both, b, k, column + n * 16);
      const std::uint32_t first[2] = {both[0], both[1]}, second[2] = {both[2], both[3]};
      multiply_add(sums.at[2 * n], left, first);
      multiply_add(sums.at[2 * n + 1], left, second);
    }
  }
}

// body(row, column) for each strip of an output, by warps.
template <typename Body>
__device__ void each_strip(std::size_t rows, std::size_t columns, const Body& body) {
  for (std::size_t row = warp_of_block() * strip; row < rows; row += warps * strip)
    for (std::size_t column = 0; column < columns; column += wide) body(row, column);
}

// body(row, column, first, second) for each two numbers that this lane has of a strip.
template <typename Body>
__device__ void each_pair(const Sums& sums, std::size_t row, std::size_t column, std::size_t columns, const Body& body) {
  const std::size_t g = lane_of_warp() / 4, t = lane_of_warp() % 4;
#pragma unroll
  for (int n = 0; n < wide / 8; ++n) {
    const std::size_t at = column + n * 8 + 2 * t;
    if (column + n * 8 >= columns) continue;
    body(row + g, at, sums.at[n][0], sums.at[n][1]);
    body(row + g + 8, at, sums.at[n][2], sums.at[n][3]);
  }
}

// Over the lanes that hold one row of a strip, or one column of it.
__device__ inline float row_sum(float mine) {
  mine += __shfl_xor_sync(0xffffffffu, mine, 1);
  return mine + __shfl_xor_sync(0xffffffffu, mine, 2);
}
__device__ inline float column_sum(float mine) {
  mine += __shfl_xor_sync(0xffffffffu, mine, 4);
  mine += __shfl_xor_sync(0xffffffffu, mine, 8);
  return mine + __shfl_xor_sync(0xffffffffu, mine, 16);
}

// ---- what comes from and goes to memory ----

// to[rows, columns] = from, each row times factor(row).
template <typename Factor>
__device__ void load_rows(bfloat16* to, const bfloat16* from, std::size_t stride, std::size_t rows, std::size_t columns, const Factor& factor) {
  const std::size_t packs = columns / 8;
  for (std::size_t i = threadIdx.x; i < rows * packs; i += blockDim.x) {
    const std::size_t row = i / packs, column = i % packs * 8;
    auto pack = load<8>(from + row * stride + column);
    const float by = factor(row);
    if (by != 1) {
#pragma unroll
      for (int n = 0; n < 8; ++n) pack.at[n] = pack.at[n] * by;
    }
    store(to + row * ld(columns) + column, pack);
  }
}
__device__ inline void load_rows(bfloat16* to, const bfloat16* from, std::size_t stride, std::size_t rows, std::size_t columns) {
  load_rows(to, from, stride, rows, columns, [](std::size_t) { return 1.0f; });
}
// A state, rounded.
__device__ inline void load_state(bfloat16* to, const float* from, std::size_t rows, std::size_t columns) {
  const std::size_t packs = columns / 4;
  for (std::size_t i = threadIdx.x; i < rows * packs; i += blockDim.x) {
    const std::size_t row = i / packs, column = i % packs * 4;
    const auto pack = load<4>(from + row * columns + column);
    Pack<bfloat16, 4> rounded;
#pragma unroll
    for (int n = 0; n < 4; ++n) rounded.at[n] = pack.at[n];
    store(to + row * ld(columns) + column, rounded);
  }
}

__device__ inline void put_pair(bfloat16* to, float first, float second) { *reinterpret_cast<std::uint32_t*>(to) = packed(first, second); }

// cs of each flat row; every thread adds up the decays of its own row's tokens.
__device__ inline void make_sums_of_decays(float* cs, const Chunk<bfloat16>& c) {
  for (std::size_t i = threadIdx.x; i < c.flat; i += blockDim.x) {
    float sum = 0;
    for (std::size_t token = 0; token <= i / c.rank; ++token) sum += c.decay[token * c.heads];
    cs[i] = sum;
  }
  __syncthreads();
}

__device__ inline float no_overflow_exp(float x) { return exp(x < 0 ? x : 0.0f); }  // what is hidden by the mask may be above 0

// Takes pieces of shared memory, one after the other, on boundaries of 16 bytes.
struct Room {
  unsigned char* at;
  template <typename Number>
  __device__ Number* take(std::size_t count) {
    Number* taken = reinterpret_cast<Number*>(at);
    at += (count * sizeof(Number) + 15) / 16 * 16;
    return taken;
  }
};
inline std::size_t room_for(std::size_t count, std::size_t size) { return (count * size + 15) / 16 * 16; }

struct Sizes {
  std::size_t flat, state, head;
  explicit Sizes(const StateSpaceShape& s) : flat(s.chunk * s.rank), state(s.state), head(s.head_size) {}
  std::size_t floats_of_rows(std::size_t count) const { return count * room_for(flat, sizeof(float)); }
  std::size_t rows(std::size_t columns) const { return room_for(flat * ld(columns), sizeof(bfloat16)); }
  std::size_t states() const { return room_for(head * ld(state), sizeof(bfloat16)); }
  std::size_t of_states() const { return floats_of_rows(1) + rows(state) + rows(head); }
  std::size_t of_forward() const { return floats_of_rows(1) + 2 * rows(state) + rows(head) + states() + rows(flat); }
  std::size_t most() const { return of_forward() > of_backward() ? of_forward() : of_backward(); }
  std::size_t of_backward() const {
    return floats_of_rows(5) + 2 * room_for(flat / strip * flat, sizeof(float)) + room_for(warps, sizeof(float)) + 2 * rows(state) + 2 * rows(head) +
           2 * states() + 2 * rows(flat) + 2 * room_for(flat * state, sizeof(float));
  }
};

// ---- states between chunks ----

// What one chunk adds to the state (or, from the outputs' gradients, to the gradient of the state that enters): sum over its rows of
// x_j (f_j z_j)^T, with x of head_size and z of state numbers. It goes where the next chunk's state (the last chunk's gradient) is made of it.
template <bool backward>
__global__ void chunk_states_kernel(float* states, float* fades, const bfloat16* x, std::size_t x_stride, StateSpaceOf<const bfloat16, const float> in,
                                    StateSpaceShape s) {
  const std::size_t chunks = s.context / s.chunk, c = blockIdx.x, h = blockIdx.y, b = blockIdx.z;
  const Chunk<bfloat16> chunk = chunk_of(in, s, b, c, h);
  Room room{shared_memory<unsigned char>()};
  float* cs = room.take<float>(chunk.flat);
  bfloat16 *z = room.take<bfloat16>(chunk.flat * ld(s.state)), *left = room.take<bfloat16>(chunk.flat * ld(s.head_size));
  make_sums_of_decays(cs, chunk);
  const float end = cs[chunk.flat - 1];
  if (threadIdx.x == 0) fades[(b * chunks + c) * s.heads + h] = exp(end);
  if (backward ? c == 0 : c + 1 == chunks) return;  // nothing comes before, or after
  const bfloat16* rows = x + (b * s.context + c * s.chunk) * s.rank * x_stride + h * s.head_size;
  load_rows(left, rows, x_stride, chunk.flat, s.head_size);
  load_rows(z, backward ? chunk.q : chunk.k, chunk.qk_stride, chunk.flat, s.state,
            [&](std::size_t j) { return backward ? exp(cs[j]) : exp(end - cs[j]) * chunk.weight_of(j); });
  __syncthreads();
  float* to = states + state_at(s, b, backward ? c - 1 : c + 1, h);
  each_strip(s.head_size, s.state, [&](std::size_t row, std::size_t column) {
    Sums sums;
    add_product(sums, Operand<true>{left, ld(s.head_size)}, Operand<false>{z, ld(s.state)}, row, column, s.state, chunk.flat);
    each_pair(sums, row, column, s.state, [&](std::size_t p, std::size_t n, float first, float second) {
      store(to + p * s.state + n, Pack<float, 2>{{first, second}});
    });
  });
}

// From chunk to chunk: what a chunk got of its neighbour alone becomes the whole state, faded chunk by chunk.
template <bool backward>
void hand_on(float* states, const float* fades, const StateSpaceShape& s) {
  const std::size_t chunks = s.context / s.chunk, size = s.head_size * s.state;
  each(backward ? "chunked_scan_backward, hand on" : "chunked_scan_forward, hand on", s.batch * s.heads * size, [=] __device__(std::size_t i) {
    const std::size_t b = i / size / s.heads, h = i / size % s.heads, at = i % size;
    float state = 0;
    for (std::size_t n = 0; n < chunks; ++n) {
      const std::size_t c = backward ? chunks - 1 - n : n, before = backward ? c + 1 : c - 1;  // whose fade it takes to come here
      float& here = states[state_at(s, b, c, h) + at];
      state = n == 0 ? 0.0f : fades[(b * chunks + before) * s.heads + h] * state + here;
      here = state;
    }
  });
}

// ---- one chunk ----

__global__ static void chunk_forward_kernel(bfloat16* y, std::size_t y_stride, const float* states, StateSpaceOf<const bfloat16, const float> in,
                                            StateSpaceShape s) {
  const std::size_t c = blockIdx.x, h = blockIdx.y, b = blockIdx.z;
  const Chunk<bfloat16> chunk = chunk_of(in, s, b, c, h);
  const std::size_t flat = chunk.flat, state = s.state, head = s.head_size;
  Room room{shared_memory<unsigned char>()};
  float* cs = room.take<float>(flat);
  bfloat16 *q = room.take<bfloat16>(flat * ld(state)), *k = room.take<bfloat16>(flat * ld(state)), *v = room.take<bfloat16>(flat * ld(head)),
           *entered = room.take<bfloat16>(head * ld(state)), *scores = room.take<bfloat16>(flat * ld(flat));
  load_rows(q, chunk.q, chunk.qk_stride, flat, state);
  load_rows(k, chunk.k, chunk.qk_stride, flat, state);
  load_rows(v, chunk.v, chunk.v_stride, flat, head);
  load_state(entered, states + state_at(s, b, c, h), head, state);
  make_sums_of_decays(cs, chunk);
  each_strip(flat, flat, [&](std::size_t row, std::size_t column) {
    Sums sums;
    add_product(sums, Operand<false>{q, ld(state)}, Operand<true>{k, ld(state)}, row, column, flat, state);
    each_pair(sums, row, column, flat, [&](std::size_t i, std::size_t j, float first, float second) {
      const auto weighed = [&](float score, std::size_t at) {
        return at < chunk.reach(i) ? score * no_overflow_exp(cs[i] - cs[at]) * chunk.weight_for(i, at) : 0.0f;
      };
      put_pair(scores + i * ld(flat) + j, weighed(first, j), weighed(second, j + 1));
    });
  });
  __syncthreads();
  bfloat16* out = y + (b * s.context + c * s.chunk) * s.rank * y_stride + h * head;
  each_strip(flat, head, [&](std::size_t row, std::size_t column) {
    const std::size_t g = lane_of_warp() / 4;
    Sums sums;
    add_product(sums, Operand<false>{q, ld(state)}, Operand<true>{entered, ld(state)}, row, column, head, state);
    sums.scale(exp(cs[row + g]), exp(cs[row + g + 8]));
    add_product(sums, Operand<false>{scores, ld(flat)}, Operand<false>{v, ld(head)}, row, column, head, flat);
    each_pair(sums, row, column, head,
              [&](std::size_t i, std::size_t p, float first, float second) { put_pair(out + i * y_stride + p, first, second); });
  });
}

// What a block of backward works with, all of it in shared memory.
struct BackwardRoom {
  float *cs, *pulls, *through, *later, *own;  // of each flat row
  float *later_parts, *own_parts;             // of each strip and flat row
  float* parts;                               // of each warp
  bfloat16 *q, *k, *v, *dy, *entered, *leaving, *scores, *products;
  float *dq, *dk;  // summed over the heads of a group

  __device__ BackwardRoom(unsigned char* at, std::size_t flat, std::size_t state, std::size_t head) {
    Room room{at};
    cs = room.take<float>(flat), pulls = room.take<float>(flat), through = room.take<float>(flat), later = room.take<float>(flat),
    own = room.take<float>(flat);
    later_parts = room.take<float>(flat / strip * flat), own_parts = room.take<float>(flat / strip * flat);
    parts = room.take<float>(warps);
    q = room.take<bfloat16>(flat * ld(state)), k = room.take<bfloat16>(flat * ld(state));
    v = room.take<bfloat16>(flat * ld(head)), dy = room.take<bfloat16>(flat * ld(head));
    entered = room.take<bfloat16>(head * ld(state)), leaving = room.take<bfloat16>(head * ld(state));
    scores = room.take<bfloat16>(flat * ld(flat)), products = room.take<bfloat16>(flat * ld(flat));
    dq = room.take<float>(flat * state), dk = room.take<float>(flat * state);
  }
};

// Scores and their gradients, faded and weighed, for the products that follow; their sums by row and column are what pulls at decays and weights.
__device__ inline void scores_backward(const BackwardRoom& r, const Chunk<bfloat16>& c) {
  const std::size_t flat = c.flat, lane = lane_of_warp(), g = lane / 4, t = lane % 4;
  each_strip(flat, flat, [&](std::size_t row, std::size_t column) {
    Sums scores, products;
    add_product(scores, Operand<false>{r.q, ld(c.state)}, Operand<true>{r.k, ld(c.state)}, row, column, flat, c.state);
    add_product(products, Operand<false>{r.dy, ld(c.head_size)}, Operand<true>{r.v, ld(c.head_size)}, row, column, flat, c.head_size);
    float pulls[2] = {0, 0};
#pragma unroll
    for (int n = 0; n < wide / 8; ++n) {
      if (column + n * 8 >= flat) continue;
      float of_later[2] = {0, 0}, of_own[2] = {0, 0};
#pragma unroll
      for (int m = 0; m < 4; ++m) {
        const std::size_t i = row + g + m / 2 * 8, j = column + n * 8 + 2 * t + m % 2;
        const float fade = j < c.reach(i) ? no_overflow_exp(r.cs[i] - r.cs[j]) : 0.0f, weight = c.weight_for(i, j);
        const float pull = scores.at[n][m] * products.at[n][m] * fade;
        const bool same = i / c.rank == j / c.rank;
        of_own[m % 2] += same ? pull : 0.0f;
        of_later[m % 2] += same ? 0.0f : pull;
        pulls[m / 2] += same ? 0.0f : pull * weight;
        scores.at[n][m] *= fade * weight;
        products.at[n][m] *= fade * weight;
      }
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        const float later = column_sum(of_later[m]), own = column_sum(of_own[m]);
        if (g == 0) {
          r.later_parts[row / strip * flat + column + n * 8 + 2 * t + m] = later;
          r.own_parts[row / strip * flat + column + n * 8 + 2 * t + m] = own;
        }
      }
    }
    pulls[0] = row_sum(pulls[0]), pulls[1] = row_sum(pulls[1]);
    if (t == 0) r.pulls[row + g] = pulls[0], r.pulls[row + g + 8] = pulls[1];
    each_pair(scores, row, column, flat, [&](std::size_t i, std::size_t j, float a, float b) { put_pair(r.scores + i * ld(flat) + j, a, b); });
    each_pair(products, row, column, flat, [&](std::size_t i, std::size_t j, float a, float b) { put_pair(r.products + i * ld(flat) + j, a, b); });
  });
}

// Rows g and g + 8 of a strip times the rows of a matrix in shared memory: the sum of each row's products, by all of its lanes.
struct RowSums {
  float upper, lower;
};
__device__ inline RowSums row_products(const Sums& sums, const bfloat16* rows, std::size_t apart, std::size_t row, std::size_t column, std::size_t columns) {
  const std::size_t g = lane_of_warp() / 4;
  RowSums made{0, 0};
  each_pair(sums, row, column, columns, [&](std::size_t i, std::size_t at, float first, float second) {
    const float product = first * rows[i * apart + at] + second * rows[i * apart + at + 1];
    made.upper += i == row + g ? product : 0.0f;
    made.lower += i == row + g ? 0.0f : product;
  });
  return {row_sum(made.upper), row_sum(made.lower)};
}
__device__ inline void add_row_sums(float* to, RowSums sums, std::size_t row, float upper, float lower) {
  if (lane_of_warp() % 4 != 0) return;
  const std::size_t g = lane_of_warp() / 4;
  to[row + g] += upper * sums.upper;
  to[row + g + 8] += lower * sums.lower;
}

// Gradients of queries: through the scores, and through the state that entered.
__device__ inline void queries_backward(const BackwardRoom& r, const Chunk<bfloat16>& c) {
  const std::size_t g = lane_of_warp() / 4;
  each_strip(c.flat, c.state, [&](std::size_t row, std::size_t column) {
    const float upper = exp(r.cs[row + g]), lower = exp(r.cs[row + g + 8]);
    Sums sums;
    add_product(sums, Operand<false>{r.dy, ld(c.head_size)}, Operand<false>{r.entered, ld(c.state)}, row, column, c.state, c.head_size);
    add_row_sums(r.pulls, row_products(sums, r.q, ld(c.state), row, column, c.state), row, upper, lower);
    sums.scale(upper, lower);
    add_product(sums, Operand<false>{r.products, ld(c.flat)}, Operand<false>{r.k, ld(c.state)}, row, column, c.state, c.flat);
    each_pair(sums, row, column, c.state, [&](std::size_t i, std::size_t n, float a, float b) {
      r.dq[i * c.state + n] += a;
      r.dq[i * c.state + n + 1] += b;
    });
  });
}

// Gradients of keys: through the scores, and through the state that leaves; what that makes of each row is kept for its weight.
__device__ inline void keys_backward(const BackwardRoom& r, const Chunk<bfloat16>& c) {
  const std::size_t g = lane_of_warp() / 4;
  const float end = r.cs[c.flat - 1];
  each_strip(c.flat, c.state, [&](std::size_t row, std::size_t column) {
    const float upper = exp(end - r.cs[row + g]), lower = exp(end - r.cs[row + g + 8]);
    Sums sums;
    add_product(sums, Operand<false>{r.v, ld(c.head_size)}, Operand<false>{r.leaving, ld(c.state)}, row, column, c.state, c.head_size);
    add_row_sums(r.through, row_products(sums, r.k, ld(c.state), row, column, c.state), row, upper, lower);
    sums.scale(upper * c.weight_of(row + g), lower * c.weight_of(row + g + 8));
    add_product(sums, Operand<true>{r.products, ld(c.flat)}, Operand<false>{r.q, ld(c.state)}, row, column, c.state, c.flat);
    each_pair(sums, row, column, c.state, [&](std::size_t j, std::size_t n, float a, float b) {
      r.dk[j * c.state + n] += a;
      r.dk[j * c.state + n + 1] += b;
    });
  });
}

__device__ inline void values_backward(bfloat16* dv, std::size_t stride, const BackwardRoom& r, const Chunk<bfloat16>& c) {
  const std::size_t g = lane_of_warp() / 4;
  const float end = r.cs[c.flat - 1];
  each_strip(c.flat, c.head_size, [&](std::size_t row, std::size_t column) {
    Sums sums;
    add_product(sums, Operand<false>{r.k, ld(c.state)}, Operand<true>{r.leaving, ld(c.state)}, row, column, c.head_size, c.state);
    sums.scale(exp(end - r.cs[row + g]) * c.weight_of(row + g), exp(end - r.cs[row + g + 8]) * c.weight_of(row + g + 8));
    add_product(sums, Operand<true>{r.scores, ld(c.flat)}, Operand<false>{r.dy, ld(c.head_size)}, row, column, c.head_size, c.flat);
    each_pair(sums, row, column, c.head_size, [&](std::size_t j, std::size_t p, float a, float b) { put_pair(dv + j * stride + p, a, b); });
  });
}

// Of each token: its decay's gradient is the sum of what pulls at cs there and later, and of what reaches the end; its weights' gradients.
__device__ inline void tokens_backward(const StateSpaceOf<bfloat16, float>& d, const BackwardRoom& r, const Chunk<bfloat16>& c, std::size_t at, float kept) {
  const std::size_t tokens = c.flat / c.rank;
  for (std::size_t j = threadIdx.x; j < c.flat; j += blockDim.x) {
    float later = 0, own = 0;
    for (std::size_t n = 0; n < c.flat / strip; ++n) later += r.later_parts[n * c.flat + j], own += r.own_parts[n * c.flat + j];
    r.later[j] = later + r.through[j];
    r.own[j] = own;
  }
  __syncthreads();
  for (std::size_t token = threadIdx.x; token < tokens; token += blockDim.x) {
    float of_decay = kept, of_weight = 0, of_own = 0;
    for (std::size_t j = 0; j < c.flat; ++j) {
      of_decay += c.weight_of(j) * r.through[j];
      if (j / c.rank >= token) of_decay += r.pulls[j] - c.weight_of(j) * r.later[j];
      if (j / c.rank == token) of_weight += r.later[j], of_own += r.own[j];
    }
    const std::size_t place = at + token * c.heads;
    d.decay[place] = of_decay;
    d.weight[place] = d.own != nullptr ? of_weight : of_weight + of_own;
    if (d.own != nullptr) d.own[place] = of_own;
  }
}

__global__ static void chunk_backward_kernel(StateSpaceOf<bfloat16, float> d, const bfloat16* dy, std::size_t dy_stride, const float* states,
                                             const float* carried, StateSpaceOf<const bfloat16, const float> in, StateSpaceShape s) {
  const std::size_t c = blockIdx.x, group = blockIdx.y, b = blockIdx.z, per_group = s.heads / s.groups, flat = s.chunk * s.rank,
                    token = b * s.context + c * s.chunk, row = token * s.rank;
  const BackwardRoom r(shared_memory<unsigned char>(), flat, s.state, s.head_size);
  for (std::size_t i = threadIdx.x; i < flat * s.state; i += blockDim.x) r.dq[i] = r.dk[i] = 0;
  for (std::size_t h = group * per_group; h < (group + 1) * per_group; ++h) {
    const Chunk<bfloat16> chunk = chunk_of(in, s, b, c, h);
    __syncthreads();  // the head before is done with all of it
    if (h == group * per_group) {
      load_rows(r.q, chunk.q, chunk.qk_stride, flat, s.state);
      load_rows(r.k, chunk.k, chunk.qk_stride, flat, s.state);
    }
    load_rows(r.v, chunk.v, chunk.v_stride, flat, s.head_size);
    load_rows(r.dy, dy + row * dy_stride + h * s.head_size, dy_stride, flat, s.head_size);
    const float *entered = states + state_at(s, b, c, h), *leaving = carried + state_at(s, b, c, h);
    load_state(r.entered, entered, s.head_size, s.state);
    load_state(r.leaving, leaving, s.head_size, s.state);
    for (std::size_t j = threadIdx.x; j < flat; j += blockDim.x) r.through[j] = 0;
    float kept = 0;
    for (std::size_t i = threadIdx.x; i < s.head_size * s.state; i += blockDim.x) kept += entered[i] * leaving[i];
    make_sums_of_decays(r.cs, chunk);
    kept = exp(r.cs[flat - 1]) * block_sum(kept, r.parts);
    scores_backward(r, chunk);
    __syncthreads();
    queries_backward(r, chunk);
    keys_backward(r, chunk);
    values_backward(d.v + row * d.v_stride + h * s.head_size, d.v_stride, r, chunk);
    __syncthreads();
    tokens_backward(d, r, chunk, token * s.heads + h, kept);
  }
  __syncthreads();
  for (std::size_t i = threadIdx.x; i < flat * s.state / 2; i += blockDim.x) {
    const std::size_t at = 2 * i / s.state * d.qk_stride + 2 * i % s.state;
    put_pair(d.q + row * d.qk_stride + group * s.state + at, r.dq[2 * i], r.dq[2 * i + 1]);
    put_pair(d.k + row * d.qk_stride + group * s.state + at, r.dk[2 * i], r.dk[2 * i + 1]);
  }
}

}  // namespace scan

// Whether these shapes, and the GPU that the calling thread uses, can have it, forward and backward alike.
inline bool chunked_scan_suits(const StateSpaceShape& s) {
  const std::size_t flat = s.chunk * s.rank;
  const auto fits = [](std::size_t size, std::size_t most) { return size % 16 == 0 && size > 0 && size <= most; };
  return fits(flat, scan::flat_max) && fits(s.state, scan::side_max) && fits(s.head_size, scan::side_max) && s.heads <= 65535 && s.batch <= 65535 &&
         shared_memory_allows(scan::Sizes(s).most());
}
// Tensors, too, must lie as packs do; `out` is what is read or written besides.
inline bool chunked_scan_suits(const StateSpaceShape& s, const StateSpaceOf<const bfloat16, const float>& in, const bfloat16* out, std::size_t out_stride) {
  return chunked_scan_suits(s) && in.qk_stride % 8 == 0 && in.v_stride % 8 == 0 && out_stride % 8 == 0 && on_pack_boundaries(in.q, in.k, in.v, out);
}

// `scratch`: a number for each chunk and head.
inline void chunked_scan_forward(bfloat16* y, std::size_t y_stride, float* states, StateSpaceOf<const bfloat16, const float> in, float* scratch,
                                 StateSpaceShape s) {
  const dim3 grid(static_cast<unsigned>(s.context / s.chunk), static_cast<unsigned>(s.heads), static_cast<unsigned>(s.batch)), block(scan::warps * warp_threads);
  const scan::Sizes sizes(s);
  launch("chunked_scan_forward, states", scan::chunk_states_kernel<false>, grid, block, sizes.of_states(), states, scratch, in.v, in.v_stride, in, s);
  scan::hand_on<false>(states, scratch, s);
  launch("chunked_scan_forward", scan::chunk_forward_kernel, grid, block, sizes.of_forward(), y, y_stride, static_cast<const float*>(states), in, s);
}

// `scratch`: as many numbers as the states, and one for each chunk and head.
inline void chunked_scan_backward(StateSpaceOf<bfloat16, float> d, const bfloat16* dy, std::size_t dy_stride, const float* states,
                                  StateSpaceOf<const bfloat16, const float> in, float* scratch, StateSpaceShape s) {
  const auto chunks = static_cast<unsigned>(s.context / s.chunk), batch = static_cast<unsigned>(s.batch);
  const dim3 block(scan::warps * warp_threads);
  const scan::Sizes sizes(s);
  float* fades = scratch + s.states();
  launch("chunked_scan_backward, states", scan::chunk_states_kernel<true>, dim3(chunks, static_cast<unsigned>(s.heads), batch), block, sizes.of_states(), scratch,
         fades, dy, dy_stride, in, s);
  scan::hand_on<true>(scratch, fades, s);
  launch("chunked_scan_backward", scan::chunk_backward_kernel, dim3(chunks, static_cast<unsigned>(s.groups), batch), block, sizes.of_backward(), d, dy, dy_stride,
         states, static_cast<const float*>(scratch), in, s);
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
