// Causal softmax attention of bfloat16 on the matrix unit, for heads of 64 or 128 numbers: FlashAttention-2 (arXiv 2307.08691) with two changes,
// each explained where it is made: sums are rescaled only when they must be, and backward deals its products to two kinds of warps.
//
// What limits such kernels is shared memory, from which the matrix unit is fed: to multiply [16 M, 16] by [16, 8 N] a warp calls it M N times and
// loads four matrices M + N / 2 times. So each warp owns 32 rows (M = 2), and what one product makes becomes the left operand of the next without
// leaving its registers: both have the same layout (matrix_unit.cuh).
#pragma once

#include <bit>
#include <climits>

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/matrix_unit.cuh"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {
namespace flash {

inline constexpr int warp_rows = 32;    // queries, or keys, of a warp
inline constexpr int warps = 4;         // of a block, each with rows of its own
inline constexpr int block_rows = 128;  // theirs together
inline constexpr int other_rows = 64;   // of the tiles that pass by: keys in forward, queries in backward
inline constexpr int key_tile = 32;     // keys that pass by at once where gradients of queries have a kernel of their own
inline constexpr float log2_e = 1.44269504f;

// 2^x, 0 for what would be too small for full precision: one instruction.
__device__ inline float power_of_2(float x) {
#ifdef __CUDACC__
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
#else
  return std::exp2(x);
#endif
}

__device__ inline int lane() { return static_cast<int>(threadIdx.x % warp_threads); }

// The thread's number, read anew: else the compiler keeps what follows from it, such as places to copy from and to, in registers that loops need.
__device__ inline int thread_again() {
#ifdef __CUDACC__
  int thread;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
  return thread;
#else
  return static_cast<int>(threadIdx.x);
#endif
}

// ---- tiles: rows of `Size` numbers in shared memory ----

// Where pack `pack` (8 numbers) of a row lies. Rows of 128 or 256 bytes all begin in the same bank; so packs are permuted within a row by its
// number, and the same pack of 8 rows, which is what the matrix unit's loads want, lies in all 32 banks.
// place(row, a + b) = place(row, a) ^ 8 b if a and b have no bit in common.
template <int Size>
__device__ int place(int row, int pack) {
  return row * Size + (pack ^ row % 8) * 8;
}

// Starts copies of rows [from, from + Rows) by `Threads` threads; zeros from row `end` on.
template <int Size, int Rows, int Threads>
__device__ void load_rows(bfloat16* tile, const bfloat16* rows, std::size_t stride, int from, int end) {
  constexpr int packs = Size / 8, rows_at_once = Threads / packs;
  static_assert(rows_at_once % 8 == 0 && Rows % rows_at_once == 0);
  const int thread = thread_again(), first = thread / packs, pack = thread % packs;
  const bfloat16* source = rows + static_cast<std::size_t>(from + first) * stride + pack * 8;
#pragma unroll
  for (int row = 0; row < Rows; row += rows_at_once)
    copy_async(tile + place<Size>(first, pack) + row * Size, source + static_cast<std::size_t>(row) * stride, from + first + row < end);
}

// Rows of a tile that products have on their left again and again. The first `Kept` of their parts of 16 columns stay in registers, as many as a
// kernel has left; the others are loaded each time.
template <int Size, int M, int Kept>
struct LeftRows {
  const bfloat16* tile;
  std::uint32_t parts[Kept > 0 ? Kept : 1][M][4];

  __device__ void load(std::uint32_t (&part)[M][4], int k) const {
    const int at = place<Size>(lane() % 16, lane() / 16) ^ 16 * k;
#pragma unroll
    for (int m = 0; m < M; ++m) load_matrices(part[m], tile + at + 16 * m * Size);
  }
  // Once the tile is there.
  __device__ void keep() {
#pragma unroll
    for (int k = 0; k < Kept; ++k) load(parts[k], k);
  }
  __device__ void get(std::uint32_t (&part)[M][4], int k) const {
    if (k < Kept) {
#pragma unroll
      for (int m = 0; m < M; ++m)
#pragma unroll
        for (int i = 0; i < 4; ++i) part[m][i] = parts[k < Kept ? k : 0][m][i];
    } else {
      load(part, k);
    }
  }
};

// d[16 M, 8 N] = a[16 M, Size] b[8 N, Size]^T, both of them tiles.
template <int Size, int M, int N, int Kept>
__device__ void multiply_tiles(float (&d)[M][N][4], const LeftRows<Size, M, Kept>& a, const bfloat16* b) {
  const int b_at = place<Size>(lane() % 8 + lane() / 16 * 8, lane() / 8 % 2);
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int n = 0; n < N; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) d[m][n][i] = 0;
#pragma unroll
  for (int k = 0; k < Size / 16; ++k) {
    std::uint32_t left[M][4];
    a.get(left, k);
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      std::uint32_t both[4];
      load_matrices(both, b + (b_at ^ 16 * k) + 8 * n * Size);
      const std::uint32_t right[2][2] = {{both[0], both[1]}, {both[2], both[3]}};
#pragma unroll
      for (int m = 0; m < M; ++m) {
        multiply_add(d[m][n], left[m], right[0]);
        multiply_add(d[m][n + 1], left[m], right[1]);
      }
    }
  }
}

// d[16 M, Size] += a[16 M, 16 K] b[16 K, Size], a in registers and b a tile.
template <int Size, int M, int K>
__device__ void add_product(float (&d)[M][Size / 8][4], const std::uint32_t (&a)[M][K][4], const bfloat16* b) {
  const int b_at = place<Size>(lane() % 16, lane() / 16);
#pragma unroll
  for (int k = 0; k < K; ++k) {
#pragma unroll
    for (int n = 0; n < Size / 8; n += 2) {
      std::uint32_t both[4];
      load_matrices_transposed(both, b + (b_at ^ 8 * n) + 16 * k * Size);
      const std::uint32_t right[2][2] = {{both[0], both[1]}, {both[2], both[3]}};
#pragma unroll
      for (int m = 0; m < M; ++m) {
        multiply_add(d[m][n], a[m][k], right[0]);
        multiply_add(d[m][n + 1], a[m][k], right[1]);
      }
    }
  }
}

// A product's sums as the left operand of the next.
template <int M, int N>
__device__ void to_operand(std::uint32_t (&a)[M][N / 2][4], const float (&d)[M][N][4]) {
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int n = 0; n < N; ++n) {
      a[m][n / 2][n % 2 * 2] = packed(d[m][n][0], d[m][n][1]);
      a[m][n / 2][n % 2 * 2 + 1] = packed(d[m][n][2], d[m][n][3]);
    }
}

__device__ inline void store_pair(bfloat16* to, std::uint32_t both) { store(to, std::bit_cast<Pack<bfloat16, 2>>(both)); }

// Writes rows of sums, times a factor for each row, to memory, through a tile of which no other warp reads these rows any more. `count` of them
// are there.
template <int Size, int M>
__device__ void store_rows(bfloat16* rows, std::size_t stride, int count, bfloat16* tile, const float (&d)[M][Size / 8][4], const float (&factors)[M][2]) {
  __syncwarp();
  const int own = place<Size>(lane() / 4, 0) + lane() % 4 * 2;
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int n = 0; n < Size / 8; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        store_pair(tile + (own ^ 8 * n) + (16 * m + 8 * half) * Size,
                   packed(d[m][n][2 * half] * factors[m][half], d[m][n][2 * half + 1] * factors[m][half]));
  __syncwarp();
  constexpr int packs = Size / 8;
#pragma unroll
  for (int i = 0; i < 16 * M * packs; i += static_cast<int>(warp_threads)) {
    const int at = (i + lane()) / packs, pack = lane() % packs;
    if (at < count) store(rows + static_cast<std::size_t>(at) * stride + pack * 8, load<8>(tile + place<Size>(at, pack)));
  }
}

// ---- which queries see which keys ----

__host__ __device__ inline int reach_of(const AttentionShape& s) { return s.window == 0 || s.window > INT_MAX ? INT_MAX : static_cast<int>(s.window); }
// Query t sees key j if 0 <= t - j < reach.
__device__ inline bool sees(int t, int j, int reach) { return static_cast<unsigned>(t - j) < static_cast<unsigned>(reach); }
// All of queries [t, t + queries) see all of keys [j, j + keys); none of them sees one.
__device__ inline bool all_see(int t, int queries, int j, int keys, int reach) { return t >= j + keys - 1 && t + queries - 1 - j < reach; }
__device__ inline bool none_sees(int t, int queries, int j, int keys, int reach) { return t + queries - 1 < j || t - (j + keys - 1) >= reach; }

// ---- which block of rows of which head a block of threads works on ----

// Blocks that read the same keys and values run at the same time, so that the GPU's cache holds them: heads are taken so many `together`. Of these
// the blocks that have most to do start first, so that the last to start are short.
struct Task {
  std::size_t batch, head;
  int block;  // in the order in which they start
};
__device__ inline Task task_of(unsigned at, unsigned heads, unsigned all_heads, unsigned blocks, unsigned together) {
  const unsigned section = at / (together * blocks), rest = at % (together * blocks), first = section * together;
  const unsigned here = all_heads - first < together ? all_heads - first : together, one = first + rest % here;
  return {one / heads, one % heads, static_cast<int>(rest / here)};
}

// A block of queries of a head, the last blocks first, and the keys that some of them see, [seen, end), from a multiple of `Tile` on.
struct Queries {
  std::size_t batch, head;
  int begin, end, seen;
  HeadPlace at;
};
template <int Tile>
__device__ Queries queries_of_block(const AttentionShape& s, unsigned together) {
  const auto heads = static_cast<unsigned>(s.heads), blocks = static_cast<unsigned>(blocks_of(s.context, block_rows));
  const Task task = task_of(blockIdx.x, heads, heads * static_cast<unsigned>(s.batch), blocks, together);
  const int context = static_cast<int>(s.context), begin = (static_cast<int>(blocks) - 1 - task.block) * block_rows, reach = reach_of(s);
  const int end = begin + block_rows < context ? begin + block_rows : context, seen = begin + 1 > reach ? (begin + 1 - reach) / Tile * Tile : 0;
  return {task.batch, task.head, begin, end, seen, head_place(s, task.head)};
}

// Which of a block's rows are the warp's. The compiler sees that all its lanes say the same.
__device__ inline int warp_of_block() { return __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x / warp_threads), 0); }
__device__ inline int own_rows() { return warp_of_block() * warp_rows; }

// How many heads' blocks to take together, of which each reads so much.
inline unsigned heads_together(std::size_t bytes_each) {
  constexpr std::size_t cache = std::size_t{16} << 20;
  return static_cast<unsigned>(std::max<std::size_t>(1, cache / bytes_each));
}

// ---- forward ----

// Of a lane's queries: what stands for the largest score so far, in units of log2, and the sum of weights relative to it, of the lane's columns.
struct Softmax {
  float largest[2][2], sum[2][2];
};

// Scores become weights. FlashAttention-2 rescales all sums whenever a larger score is met. But any number may stand for the largest as long as
// nothing overflows; here sums are rescaled when a weight would be more than 2^8, which is seldom after the first tiles.
template <int Size, int N>
__device__ void weigh(float (&scores)[2][N][4], Softmax& softmax, float (&out)[2][Size / 8][4], float scale) {
  constexpr float slack = 8;
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float& largest = softmax.largest[m][half];
      float& sum = softmax.sum[m][half];
      float top = -INFINITY;
#pragma unroll
      for (int n = 0; n < N; ++n) top = fmaxf(top, fmaxf(scores[m][n][2 * half], scores[m][n][2 * half + 1]));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2)) * scale;
      if (top > largest + slack) {
        const float fade = power_of_2(largest - top);
        largest = top;
        sum *= fade;
#pragma unroll
        for (int n = 0; n < Size / 8; ++n) {
          out[m][n][2 * half] *= fade;
          out[m][n][2 * half + 1] *= fade;
        }
      }
      const float less = largest == -INFINITY ? 0.0f : -largest;  // a row that has seen nothing yet
#pragma unroll
      for (int n = 0; n < N; ++n) {
        const float a = power_of_2(fmaf(scores[m][n][2 * half], scale, less)), b = power_of_2(fmaf(scores[m][n][2 * half + 1], scale, less));
        sum += a + b;
        scores[m][n][2 * half] = a;
        scores[m][n][2 * half + 1] = b;
      }
    }
}

// Scores [32, 8 N] of queries from `t` on and keys from `j` on, where the one does not see the other.
template <int N>
__device__ void mask(float (&scores)[2][N][4], int t, int j, int reach) {
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < N; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (!sees(t + 16 * m + lane() / 4 + i / 2 * 8, j + 8 * n + lane() % 4 * 2 + i % 2, reach)) scores[m][n][i] = -INFINITY;
}

// A block owns 128 queries of a head, a warp 32 of them. Keys and values have one tile each: one is copied while the other is multiplied.
template <int Size>
__global__ void __launch_bounds__(warps * warp_threads, 2)
    forward_kernel(bfloat16* out, float* log_sums, const bfloat16* qkv, AttentionShape s, unsigned together) {
  constexpr int threads = warps * static_cast<int>(warp_threads);
  bfloat16* queries = shared_memory<bfloat16>();
  bfloat16* keys = queries + block_rows * Size;
  bfloat16* values = keys + other_rows * Size;
  const auto [batch, head, begin, end, seen, at] = queries_of_block<other_rows>(s, together);
  const std::size_t first_row = batch * s.context;  // of the sequence
  const bfloat16* rows = qkv + first_row * at.stride;
  const int reach = reach_of(s), own = own_rows(), t = begin + own;
  const float scale = log2_e / sqrtf(static_cast<float>(Size));

  load_rows<Size, block_rows, threads>(queries, rows + at.query_at, at.stride, begin, end);
  load_rows<Size, other_rows, threads>(keys, rows + at.key_at, at.stride, seen, end);
  close_copies();
  LeftRows<Size, 2, Size == 64 ? 4 : 2> left{queries + own * Size, {}};
  wait_for_copies<0>();
  __syncthreads();
  left.keep();
  float sums[2][Size / 8][4] = {};
  Softmax softmax = {{{-INFINITY, -INFINITY}, {-INFINITY, -INFINITY}}, {}};
  for (int from = seen; from < end; from += other_rows) {
    const bool some = t < end && !none_sees(t, warp_rows, from, other_rows, reach);
    std::uint32_t weights[2][other_rows / 16][4];
    wait_for_copies<0>();
    __syncthreads();  // keys have come; all are done with the values before
    load_rows<Size, other_rows, threads>(values, rows + at.value_at, at.stride, from, end);
    close_copies();
    if (some) {
      float scores[2][other_rows / 8][4];
      multiply_tiles(scores, left, keys);
      if (!all_see(t, warp_rows, from, other_rows, reach)) mask(scores, t, from, reach);
      weigh<Size>(scores, softmax, sums, scale);
      to_operand(weights, scores);
    }
    wait_for_copies<0>();
    __syncthreads();  // values have come; all are done with the keys
    if (from + other_rows < end) load_rows<Size, other_rows, threads>(keys, rows + at.key_at, at.stride, from + other_rows, end);
    close_copies();
    if (some) add_product<Size>(sums, weights, values);
  }

  float inverse[2][2];
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = softmax.sum[m][half];
      sum += __shfl_xor_sync(0xffffffffu, sum, 1);
      sum += __shfl_xor_sync(0xffffffffu, sum, 2);
      inverse[m][half] = 1 / sum;
      const int row = t + 16 * m + 8 * half + lane() / 4;
      if (lane() % 4 == 0 && row < end)
        log_sums[(first_row + static_cast<std::size_t>(row)) * s.heads + head] = softmax.largest[m][half] / log2_e + logf(sum);
    }
  bfloat16* to = out + (first_row + static_cast<std::size_t>(t)) * s.width() + head * Size;
  store_rows<Size>(to, s.width(), end - t, queries + own * Size, sums, inverse);
}

// ---- backward ----
//
// With p the weights and ds = p (dout v^T - mean), mean = sum(dout out) of each query (arXiv 2307.08691, algorithm 2):
//   dv = p^T dout, dk = scale ds^T q, dq = scale ds k

// What backward keeps between its kernels. Queries of a head are padded to whole tiles.
struct Scratch {
  float* sums;  // [batch, heads, tiles, 64 * size] of dq, in the order of fragments
  float* rows;  // [batch, heads, tiles, 2, 64]: logarithms of sums, in units of log2, and means
};
__host__ __device__ inline std::size_t tiles_of(const AttentionShape& s) { return blocks_of(s.context, other_rows); }
inline Scratch scratch_in(float* at, const AttentionShape& s) {
  return {at, at + s.batch * s.heads * tiles_of(s) * other_rows * s.head_size};
}

// A fragment [16, 8] of sums in memory, 4 numbers a lane, laid out so that a warp's additions go to whole lines.
__device__ inline void add_fragment(float* first, int at, const float (&d)[4]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("red.global.add.v4.f32 [%0], {%1, %2, %3, %4};\n" ::"l"(first + 4 * lane() + at), "f"(d[0]), "f"(d[1]), "f"(d[2]), "f"(d[3]) : "memory");
#else
#pragma unroll
  for (int i = 0; i < 4; ++i) atomicAdd(first + lane() + at + i * static_cast<int>(warp_threads), d[i]);
#endif
}
__device__ inline Pack<float, 4> load_fragment(const float* at, int of) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  return load<4>(at + 4 * of);
#else
  Pack<float, 4> d;
#pragma unroll
  for (int i = 0; i < 4; ++i) d.at[i] = at[i * static_cast<int>(warp_threads) + of];
  return d;
#endif
}

// Means and logarithms of sums of each query, and zeros to add to; a pack of a row is one thread's.
template <int Size>
__global__ void prepare_kernel(Scratch to, const bfloat16* dout, const bfloat16* out, const float* log_sums, AttentionShape s, bool with_sums) {
  constexpr int packs = Size / 8;
  const std::size_t index = static_cast<std::size_t>(blockIdx.x) * block_threads + threadIdx.x, one = index / packs;
  const std::size_t rows = tiles_of(s) * other_rows, h = one % s.heads, t = one / s.heads % rows, b = one / s.heads / rows, row = b * s.context + t;
  float sum = 0;
  if (t < s.context) {
    const std::size_t at = row * s.width() + h * Size + index % packs * 8;
    const Pack<bfloat16, 8> x = load<8>(dout + at), y = load<8>(out + at);
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += static_cast<float>(x.at[i]) * static_cast<float>(y.at[i]);
  }
#pragma unroll
  for (int by = packs / 2; by > 0; by /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, by);
  if (index % packs == 0) {
    float* both = to.rows + ((b * s.heads + h) * rows + t / other_rows * other_rows) * 2 + t % other_rows;
    both[0] = t < s.context ? log_sums[row * s.heads + h] * log2_e : 0.0f;
    both[other_rows] = sum;
  }
  if (!with_sums) return;
  store(to.sums + index * 8, Pack<float, 4>{});
  store(to.sums + index * 8 + 4, Pack<float, 4>{});
}

// Gradients of queries from their sums.
template <int Size>
__global__ void finish_kernel(bfloat16* dqkv, const float* sums, AttentionShape s) {
  const std::size_t index = static_cast<std::size_t>(blockIdx.x) * block_threads + threadIdx.x, fragment = index / warp_threads;
  const std::size_t rows = tiles_of(s) * other_rows / 16, n = fragment % (Size / 8), m = fragment / (Size / 8) % rows, one = fragment / (Size / 8) / rows;
  const Pack<float, 4> d = load_fragment(sums + fragment * 128, lane());
  const std::size_t t = 16 * m + static_cast<std::size_t>(lane() / 4), b = one / s.heads, h = one % s.heads;
  const float scale = 1 / sqrtf(static_cast<float>(Size));
  bfloat16* to = dqkv + (b * s.context + t) * s.row() + h * Size + n * 8 + static_cast<std::size_t>(lane() % 4 * 2);
  if (t < s.context) store_pair(to, packed(d.at[0] * scale, d.at[1] * scale));
  if (t + 8 < s.context) store_pair(to + 8 * s.row(), packed(d.at[2] * scale, d.at[3] * scale));
}

// A block owns 128 keys of a head, in quarters of 32, each of which has two warps: one for the weights and dv, one for ds and dk, each with the
// sums of 32 whole rows in its registers, which would not fit into one warp's. Both do the same with other operands:
//   a product of two tiles (k q^T; v dout^T), what comes of it (p; ds, for which it needs the other's p), sums += that * a tile (dout; q).
// Scores are [keys, queries] here, so that p and ds are left operands of those sums as they are. dq is multiplied by the second kind of warp, a
// tile later: while the first kind is busy with powers, the matrix unit is not without work.
template <int Size>
struct KeysShared {
  static constexpr int weights = 2 * warp_rows / 16 * other_rows / 16 * 2 * static_cast<int>(warp_threads);  // words of a quarter
  bfloat16 own[2][block_rows * Size];         // keys, values
  bfloat16 passing[2][2][other_rows * Size];  // by turns: queries, dout
  bfloat16 ds[block_rows * other_rows];
  std::uint32_t p[warps][weights];
  float rows[2][2][other_rows];  // by turns: logarithms of sums, means
};

// The tiles that pass by a block of keys: those of queries that see one of them, of each head that shares them.
struct Passing {
  int head, tile;
};
__device__ inline Passing passing(int i, int first, int last) {
  const auto at = static_cast<unsigned>(i), tiles = static_cast<unsigned>(last - first);
  return {static_cast<int>(at / tiles), first + static_cast<int>(at % tiles)};
}

// dq[64, Size] += ds k of one tile, a quarter of it by each of 4 warps.
template <int Size>
__device__ void add_queries(float* sums, const bfloat16* ds, const bfloat16* keys, int quarter) {
  constexpr int N = Size / 16;
  const int row = quarter % 2 * 4, column = quarter / 2 * N;  // in packs
  const int a_at = place<other_rows>(lane() % 8 + lane() / 16 * 8, row + lane() / 8 % 2), b_at = place<Size>(lane() % 16, column + lane() / 16);
  float d[2][N][4] = {};
#pragma unroll
  for (int k = 0; k < block_rows / 16; ++k) {
    std::uint32_t left[2][4];
#pragma unroll
    for (int m = 0; m < 2; ++m) load_matrices_transposed(left[m], ds + (a_at ^ 16 * m) + 16 * k * other_rows);
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      std::uint32_t both[4];
      load_matrices_transposed(both, keys + (b_at ^ 8 * n) + 16 * k * Size);
      const std::uint32_t right[2][2] = {{both[0], both[1]}, {both[2], both[3]}};
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        multiply_add(d[m][n], left[m], right[0]);
        multiply_add(d[m][n + 1], left[m], right[1]);
      }
    }
  }
  float* first = sums + (row / 2 * (Size / 8) + column) * 128;
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < N; ++n) add_fragment(first, (m * (Size / 8) + n) * 128, d[m][n]);
}

// Weights [32 keys, 64 queries] from scores.
__device__ inline void weigh_again(float (&scores)[2][other_rows / 8][4], const float* log_sums, float scale) {
#pragma unroll
  for (int n = 0; n < other_rows / 8; ++n) {
    const Pack<float, 2> less = load<2>(log_sums + 8 * n + lane() % 4 * 2);
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[m][n][i] = power_of_2(fmaf(scores[m][n][i], scale, -less.at[i % 2]));
  }
}
// The same of weights [32 keys, 64 queries].
__device__ inline void mask_turned(float (&weights)[2][other_rows / 8][4], int t, int j, int reach) {
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < other_rows / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (!sees(t + 8 * n + lane() % 4 * 2 + i % 2, j + 16 * m + lane() / 4 + i / 2 * 8, reach)) weights[m][n][i] = 0;
}

// Words of weights between the two warps of a quarter.
template <int K>
__device__ void give_weights(std::uint32_t* to, const std::uint32_t (&p)[2][K][4]) {
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int k = 0; k < K; ++k)
      store(to + ((m * K + k) * static_cast<int>(warp_threads) + lane()) * 4, Pack<std::uint32_t, 4>{{p[m][k][0], p[m][k][1], p[m][k][2], p[m][k][3]}});
}

// ds = p (dout v^T - mean), as an operand.
template <int K>
__device__ void score_gradients(std::uint32_t (&ds)[2][K][4], const float (&d)[2][2 * K][4], const std::uint32_t* p, const float* means) {
#pragma unroll
  for (int k = 0; k < K; ++k) {
    const Pack<float, 2> mean[2] = {load<2>(means + 16 * k + lane() % 4 * 2), load<2>(means + 16 * k + 8 + lane() % 4 * 2)};
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      const Pack<std::uint32_t, 4> words = load<4>(p + ((m * K + k) * static_cast<int>(warp_threads) + lane()) * 4);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float low = std::bit_cast<float>(words.at[i] << 16), high = std::bit_cast<float>(words.at[i] & 0xffff0000u);
        const float(&sums)[4] = d[m][2 * k + i / 2];
        ds[m][k][i] = packed(low * (sums[i % 2 * 2] - mean[i / 2].at[0]), high * (sums[i % 2 * 2 + 1] - mean[i / 2].at[1]));
      }
    }
  }
}

// Into rows of 64 queries for add_queries.
template <int K>
__device__ void give_score_gradients(bfloat16* rows, const std::uint32_t (&ds)[2][K][4]) {
  const int own = place<other_rows>(lane() / 4, 0) + lane() % 4 * 2;
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        store_pair(rows + (own ^ (16 * k + i / 2 * 8)) + (16 * m + i % 2 * 8) * other_rows, ds[m][k][i]);
}

template <int Size, bool WithQueries>
__global__ void __launch_bounds__(2 * warps * warp_threads, 1)
    keys_kernel(bfloat16* dqkv, Scratch scratch, const bfloat16* dout, const bfloat16* qkv, AttentionShape s, unsigned together) {
  constexpr int threads = 2 * warps * static_cast<int>(warp_threads);
  auto& shared = *shared_memory<KeysShared<Size>>();
  const auto key_heads = static_cast<unsigned>(s.key_heads()), blocks = static_cast<unsigned>(blocks_of(s.context, block_rows));
  const Task task = task_of(blockIdx.x, key_heads, key_heads * static_cast<unsigned>(s.batch), blocks, together);
  const int context = static_cast<int>(s.context), begin = task.block * block_rows, reach = reach_of(s);
  const int end = begin + block_rows < context ? begin + block_rows : context, sharing = static_cast<int>(s.heads / s.key_heads());
  const int last_query = reach < context - (end - 1) ? end - 1 + reach : context;  // the one after it
  const int first = begin / other_rows, last = (last_query + other_rows - 1) / other_rows, count = (last - first) * sharing;
  const HeadPlace at = head_place(s, task.head * static_cast<std::size_t>(sharing));
  const bfloat16* rows = qkv + task.batch * s.context * at.stride;
  const bfloat16* back = dout + task.batch * s.context * s.width();
  const std::size_t first_head = task.batch * s.heads + task.head * static_cast<std::size_t>(sharing);
  const auto number_of = [&](Passing one) { return (first_head + static_cast<std::size_t>(one.head)) * tiles_of(s) + static_cast<std::size_t>(one.tile); };
  const float scale = log2_e / sqrtf(static_cast<float>(Size));

  const auto load_tile = [&](int i) {
    const Passing one = passing(i, first, last);
    const int turn = i % 2;
    const std::size_t head_at = at.query_at + static_cast<std::size_t>(one.head) * Size;
    load_rows<Size, other_rows, threads>(shared.passing[turn][0], rows + head_at, at.stride, one.tile * other_rows, context);
    load_rows<Size, other_rows, threads>(shared.passing[turn][1], back + head_at, s.width(), one.tile * other_rows, context);
    if (const int pack = thread_again(); pack < 2 * other_rows / 4)
      copy_async(&shared.rows[turn][0][0] + 4 * pack, scratch.rows + number_of(one) * (2 * other_rows) + 4 * pack);
    close_copies();
  };
  load_rows<Size, block_rows, threads>(shared.own[0], rows + at.key_at, at.stride, begin, end);
  load_rows<Size, block_rows, threads>(shared.own[1], rows + at.value_at, at.stride, begin, end);
  load_tile(0);
  if (count > 1) {
    load_tile(1);
    wait_for_copies<1>();
  } else {
    wait_for_copies<0>();
  }
  __syncthreads();

  const int warp = warp_of_block(), kind = warp / warps, quarter = warp % warps, own = quarter * warp_rows;
  const auto add_queries_of = [&](int i) {
    add_queries<Size>(scratch.sums + number_of(passing(i, first, last)) * (other_rows * Size), shared.ds, shared.own[0], quarter);
  };
  LeftRows<Size, 2, Size == 64 ? 4 : 0> left{shared.own[kind] + own * Size, {}};
  left.keep();
  float sums[2][Size / 8][4] = {};
  for (int i = 0; i < count; ++i) {
    const int turn = i % 2;
    float products[2][other_rows / 8][4];
    std::uint32_t operand[2][other_rows / 16][4];
    if (WithQueries && kind == 1 && i > 0) add_queries_of(i - 1);
    multiply_tiles(products, left, shared.passing[turn][kind]);
    if (kind == 0) {
      weigh_again(products, shared.rows[turn][0], scale);
      const int t = passing(i, first, last).tile * other_rows, j = begin + own;
      if (!all_see(t, other_rows, j, warp_rows, reach)) mask_turned(products, t, j, reach);
      to_operand(operand, products);
      give_weights(shared.p[quarter], operand);
    }
    __syncthreads();  // weights are there; all are done with ds of the tile before
    if (kind == 1) {
      score_gradients(operand, products, shared.p[quarter], shared.rows[turn][1]);
      if (WithQueries) give_score_gradients(shared.ds + own * other_rows, operand);
    }
    add_product<Size>(sums, operand, shared.passing[turn][1 - kind]);
    wait_for_copies<0>();
    __syncthreads();  // the next tile and ds are there; all are done with this tile
    if (i + 2 < count) load_tile(i + 2);
  }
  if (WithQueries && kind == 1) add_queries_of(count - 1);
  __syncthreads();

  const float factor = kind == 1 ? 1 / sqrtf(static_cast<float>(Size)) : 1.0f;
  const float factors[2][2] = {{factor, factor}, {factor, factor}};
  bfloat16* to = dqkv + (task.batch * s.context + static_cast<std::size_t>(begin + own)) * at.stride + (kind == 1 ? at.key_at : at.value_at);
  store_rows<Size>(to, at.stride, end - begin - own, shared.own[kind] + own * Size, sums, factors);
}

// Gradients of queries alone: sums in a fixed order, for which scores are multiplied once more. A block owns 128 queries, a warp 32.
template <int Size>
struct QueriesShared {
  bfloat16 own[2][block_rows * Size];       // queries, dout
  bfloat16 passing[2][2][key_tile * Size];  // by turns: keys, values
};
template <int Size>
__global__ void __launch_bounds__(warps * warp_threads, 2)
    queries_kernel(bfloat16* dqkv, Scratch scratch, const bfloat16* dout, const bfloat16* qkv, AttentionShape s, unsigned together) {
  constexpr int threads = warps * static_cast<int>(warp_threads);
  auto& shared = *shared_memory<QueriesShared<Size>>();
  const auto [batch, head, begin, end, seen, at] = queries_of_block<key_tile>(s, together);
  const std::size_t first_row = batch * s.context;  // of the sequence
  const bfloat16* rows = qkv + first_row * at.stride;
  const bfloat16* back = dout + first_row * s.width();
  const int reach = reach_of(s), own = own_rows(), t = begin + own;
  const float scale = log2_e / sqrtf(static_cast<float>(Size));

  const auto load_tile = [&](int from, int turn) {
    load_rows<Size, key_tile, threads>(shared.passing[turn][0], rows + at.key_at, at.stride, from, end);
    load_rows<Size, key_tile, threads>(shared.passing[turn][1], rows + at.value_at, at.stride, from, end);
    close_copies();
  };
  load_rows<Size, block_rows, threads>(shared.own[0], rows + at.query_at, at.stride, begin, end);
  load_rows<Size, block_rows, threads>(shared.own[1], back + at.query_at, s.width(), begin, end);
  load_tile(seen, 0);
  const float* row_sums = scratch.rows + (batch * s.heads + head) * tiles_of(s) * (2 * other_rows);
  float sums[2][Size / 8][4] = {}, mean[2][2], less[2][2];
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = t + 16 * m + 8 * half + lane() / 4;
      const float* both = row_sums + row / other_rows * (2 * other_rows) + row % other_rows;
      less[m][half] = row < end ? -both[0] : 0.0f;
      mean[m][half] = row < end ? both[other_rows] : 0.0f;
    }
  LeftRows<Size, 2, Size == 64 ? 4 : 0> left[2] = {{shared.own[0] + own * Size, {}}, {shared.own[1] + own * Size, {}}};
  wait_for_copies<0>();
  __syncthreads();
  left[0].keep();
  left[1].keep();
  for (int from = seen, turn = 0; from < end; from += key_tile, turn ^= 1) {
    wait_for_copies<0>();
    __syncthreads();  // this tile has come; all are done with the one before
    if (from + key_tile < end) load_tile(from + key_tile, turn ^ 1);
    if (t >= end || none_sees(t, warp_rows, from, key_tile, reach)) continue;
    float weights[2][key_tile / 8][4], ds[2][key_tile / 8][4];
    multiply_tiles(weights, left[0], shared.passing[turn][0]);
    multiply_tiles(ds, left[1], shared.passing[turn][1]);
    if (!all_see(t, warp_rows, from, key_tile, reach)) mask(weights, t, from, reach);
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
      for (int n = 0; n < key_tile / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) ds[m][n][i] = power_of_2(fmaf(weights[m][n][i], scale, less[m][i / 2])) * (ds[m][n][i] - mean[m][i / 2]);
    std::uint32_t operand[2][key_tile / 16][4];
    to_operand(operand, ds);
    add_product<Size>(sums, operand, shared.passing[turn][0]);
  }
  const float factor = 1 / sqrtf(static_cast<float>(Size)), factors[2][2] = {{factor, factor}, {factor, factor}};
  bfloat16* to = dqkv + (first_row + static_cast<std::size_t>(t)) * at.stride + at.query_at;
  store_rows<Size>(to, at.stride, end - t, shared.own[0] + own * Size, sums, factors);
}

template <typename Body>
void with_size(const AttentionShape& s, const Body& body) {
  if (s.head_size == 64) return body(std::integral_constant<int, 64>{});
  if (s.head_size == 128) return body(std::integral_constant<int, 128>{});
  throw DeviceError("flash attention: heads of neither 64 nor 128 numbers");
}

}  // namespace flash

// Whether these shapes, and the GPU that the calling thread uses, can have it: some have too little shared memory for heads of 128. Rows and parts
// of a head then lie on boundaries of 16 bytes, if the tensors do.
inline bool flash_suits(const AttentionShape& s) {
  if (s.head_size != 64 && s.head_size != 128) return false;
  if (s.key_heads() == 0 || s.heads % s.key_heads() != 0 || s.context > INT_MAX / 2) return false;
  return shared_memory_allows(s.head_size == 64 ? sizeof(flash::KeysShared<64>) : sizeof(flash::KeysShared<128>));
}

// Of backward, in floats.
static_assert(flash::other_rows == device_attention_tile);
inline std::size_t flash_scratch(AttentionShape s) { return device_attention_scratch(s); }

inline void flash_forward(bfloat16* out, float* log_sums, const bfloat16* qkv, AttentionShape s) {
  if (s.batch * s.context * s.heads == 0) return;
  const std::size_t blocks = blocks_of(s.context, flash::block_rows);
  const unsigned together = flash::heads_together(s.context * s.head_size * 2 * sizeof(bfloat16));
  flash::with_size(s, [&](auto size) {
    launch("flash_forward", flash::forward_kernel<size()>, dim3(static_cast<unsigned>(s.batch * s.heads * blocks)), dim3(flash::warps * warp_threads),
           (flash::block_rows + 2 * flash::other_rows) * s.head_size * sizeof(bfloat16), out, log_sums, qkv, s, together);
  });
}

// Sums of queries' gradients are added to in any order, unless `deterministic`, which multiplies 7 matrices for each tile and not 5.
inline void flash_backward(bfloat16* dqkv, const bfloat16* dout, const bfloat16* out, const float* log_sums, const bfloat16* qkv, float* scratch,
                           AttentionShape s, bool deterministic) {
  if (s.batch * s.context * s.heads == 0) return;
  const flash::Scratch parts = flash::scratch_in(scratch, s);
  const std::size_t blocks = blocks_of(s.context, flash::block_rows), packs = s.batch * s.heads * flash::tiles_of(s) * flash::other_rows * s.head_size / 8;
  const dim3 pack_grid(static_cast<unsigned>(packs / block_threads)), fragment_grid(static_cast<unsigned>(packs * 2 / block_threads));
  const dim3 key_grid(static_cast<unsigned>(s.batch * s.key_heads() * blocks)), query_grid(static_cast<unsigned>(s.batch * s.heads * blocks));
  const unsigned together = flash::heads_together(s.context * s.head_size * 2 * sizeof(bfloat16)),
                 keys_together = flash::heads_together(s.context * s.head_size * (2 * sizeof(bfloat16) + sizeof(float)) * (s.heads / s.key_heads()));
  flash::with_size(s, [&](auto size) {
    using flash::KeysShared, flash::QueriesShared;
    const dim3 keys_block(2 * flash::warps * warp_threads), queries_block(flash::warps * warp_threads);
    const std::size_t keys_shared = sizeof(KeysShared<size()>), queries_shared = sizeof(QueriesShared<size()>);
    launch("flash_backward, rows", flash::prepare_kernel<size()>, pack_grid, dim3(block_threads), 0, parts, dout, out, log_sums, s, !deterministic);
    const auto keys_kernel = deterministic ? flash::keys_kernel<size(), false> : flash::keys_kernel<size(), true>;
    launch("flash_backward, keys", keys_kernel, key_grid, keys_block, keys_shared, dqkv, parts, dout, qkv, s, keys_together);
    if (deterministic) {
      launch("flash_backward, queries", flash::queries_kernel<size()>, query_grid, queries_block, queries_shared, dqkv, parts, dout, qkv, s, together);
    } else {
      const float* sums = parts.sums;
      launch("flash_backward, sums", flash::finish_kernel<size()>, fragment_grid, dim3(block_threads), 0, dqkv, sums, s);
    }
  });
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
