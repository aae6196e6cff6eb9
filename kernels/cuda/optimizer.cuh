// The optimizer on all tensors at once: norms, AdamW (Loshchilov and Hutter 2019) by pieces, Muon by stacks of matrices of one shape. What
// changes from step to step is read from the device's memory, so that a recorded step can be played again. Sums have a fixed order.
#pragma once

#include "kernels/cuda/loss.cuh"
#include "kernels/cuda/product.cuh"
#include "kernels/device.h"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

inline constexpr unsigned sum_blocks = 256;

// Of each block its part of a sum of value(x), in doubles.
template <typename Value>
__global__ void sum_parts_kernel(double* parts, const float* values, std::size_t count, Value value) {
  __shared__ double room[block_threads / warp_threads];
  double sum = 0;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<std::size_t>(gridDim.x) * blockDim.x)
    sum += value(static_cast<double>(values[i]));
  sum = block_sum(sum, room);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
// One block adds the parts up, and hands the sum over.
template <typename Take>
__global__ void sum_whole_kernel(const double* parts, std::size_t count, Take take) {
  __shared__ double room[block_threads / warp_threads];
  const double sum = block_sum(threadIdx.x < count ? parts[threadIdx.x] : 0.0, room);
  if (threadIdx.x == 0) take(sum);
}
template <typename Value, typename Take>
void sum_of(const char* name, const float* values, std::size_t count, Value value, Take take) {
  static_assert(sum_blocks <= block_threads);
  double* parts = workspace<double>();
  const std::size_t blocks = std::min<std::size_t>(sum_blocks, std::max<std::size_t>(1, blocks_of(count, block_threads)));
  launch(name, sum_parts_kernel<Value>, dim3(static_cast<unsigned>(blocks)), dim3(block_threads), 0, parts, values, count, value);
  launch(name, sum_whole_kernel<Take>, dim3(1), dim3(block_threads), 0, static_cast<const double*>(parts), blocks, take);
}

inline void add_total(double* sum, const float* values, std::size_t count) {
  sum_of("add_total", values, count, [] __device__(double x) { return x; }, [=] __device__(double total) { *sum += total; });
}
inline void norm(float* to, const float* values, std::size_t count) {
  sum_of("norm", values, count, [] __device__(double x) { return x * x; }, [=] __device__(double total) { *to = static_cast<float>(sqrt(total)); });
}

inline void narrow(bfloat16* to, const float* from, std::size_t count) {
  each("narrow", count, [=] __device__(std::size_t i) { to[i] = from[i]; });
}

__device__ inline float gradient_scale(const StepNumbers& n, float norm) { return n.clip > 0 && norm > n.clip ? n.clip / norm : 1.0f; }

// What every update ends with: the weight, its copy for the matrix unit, its running mean.
__device__ inline void put_weight(const OptimizerBlocks& b, const StepNumbers& n, std::size_t at, float weight) {
  b.parameters[at] = weight;
  if (b.weights != nullptr) b.weights[at] = weight;
  if (b.mean != nullptr) b.mean[at] = n.mean_keep * b.mean[at] + (1 - n.mean_keep) * weight;
}

static __global__ void adamw_kernel(OptimizerBlocks b, const AdamWPiece* pieces, const StepNumbers* numbers, const float* norm) {
  const AdamWPiece piece = pieces[blockIdx.x];
  const StepNumbers::Group g = numbers->groups[piece.group];
  const float scale = gradient_scale(*numbers, *norm);
  for (std::size_t i = threadIdx.x; i < piece.count; i += blockDim.x) {
    const std::size_t at = piece.at + i, second_at = piece.second_at + i;
    const float d = b.gradients[at] * scale, weight = b.parameters[at], first = g.beta1 * b.first[at] + (1 - g.beta1) * d,
                second = g.beta2 * b.second[second_at] + (1 - g.beta2) * d * d;
    b.first[at] = first;
    b.second[second_at] = second;
    put_weight(b, *numbers, at, weight - g.rate * (first * g.correction1 / (sqrt(second * g.correction2) + g.epsilon) + g.decay * weight));
  }
}
inline void adamw(const OptimizerBlocks& blocks, const AdamWPiece* pieces, std::size_t count, const StepNumbers* numbers, const float* norm) {
  if (count > 0)
    launch("adamw", adamw_kernel, dim3(static_cast<unsigned>(count)), dim3(block_threads), 0, blocks, pieces, numbers, norm);
}

// ---- Muon (workers/trainer/muon.h says what it computes, one matrix after the other) ----

// x <- a x + b x^3 + c x^5 on every singular value: Polar Express (arXiv 2505.16932), whose last step goes on, or Newton-Schulz.
struct OddPolynomial {
  float a, b, c;
};
inline constexpr unsigned orthogonalizer_steps = 5;
inline constexpr OddPolynomial polar_express[orthogonalizer_steps] = {{8.156554524902461f, -22.48329292557795f, 15.878769915207462f},
                                                                      {4.042929935166739f, -2.808917465908714f, 0.5000178451051316f},
                                                                      {3.8916678022926607f, -2.772484153217685f, 0.5060648178503393f},
                                                                      {3.285753657755655f, -2.3681294933425376f, 0.46449024233003106f},
                                                                      {2.3465413258596377f, -1.7097828382687081f, 0.42323551169305323f}};
inline constexpr OddPolynomial newton_schulz{3.4445f, -4.7750f, 2.0315f};
inline constexpr float polar_safety = 1.02f, norm_tiny = 1e-6f, second_tiny = 1e-10f;

// The scratch of a stack: matrices [count, rows, columns], squares [count, low, low], and of each matrix `sums_max` partial sums of squares and
// what each line is multiplied with.
template <typename Number>
struct MuonRoom {
  Number *x, *next, *gram, *mixed;
  float *sums, *factors;
  MuonRoom(const MuonStack& s, void* scratch) {
    const std::size_t of_matrices = s.count * s.rows * s.columns, of_squares = s.count * s.low() * s.low();
    x = static_cast<Number*>(scratch);
    next = x + of_matrices;
    gram = next + of_matrices;
    mixed = gram + of_squares;
    sums = reinterpret_cast<float*>(static_cast<unsigned char*>(scratch) + s.numbers_bytes());
    factors = sums + s.count * MuonStack::sums_max;
  }
};

// Sum of a matrix's partial sums, one of each block, by each thread for itself.
__device__ inline float sum_of_parts(const float* sums, std::size_t matrix) {
  float sum = 0;
  for (std::size_t i = 0; i < gridDim.x; ++i) sum += sums[matrix * MuonStack::sums_max + i];
  return sum;
}

// Momentum, and the update that it gives (Nesterov); partial sums of the update's squares.
template <typename Number>
__global__ void muon_momentum_kernel(OptimizerBlocks b, MuonStack s, const StepNumbers* numbers, const float* norm, MuonRoom<Number> room) {
  __shared__ float parts[block_threads / warp_threads];
  const std::size_t matrix = blockIdx.y, size = s.rows * s.columns, begin = s.at[matrix];
  const float beta = numbers->momentum, scale = gradient_scale(*numbers, *norm);
  float squares = 0;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < size; i += static_cast<std::size_t>(gridDim.x) * blockDim.x) {
    const float d = b.gradients[begin + i] * scale, momentum = beta * b.first[begin + i] + (1 - beta) * d, update = beta * momentum + (1 - beta) * d;
    b.first[begin + i] = momentum;
    room.x[matrix * size + i] = update;
    squares += update * update;
  }
  squares = block_sum(squares, parts);
  if (threadIdx.x == 0) room.sums[matrix * MuonStack::sums_max + blockIdx.x] = squares;
}

// Scaled so that no singular value is above 1.
template <typename Number>
__global__ void muon_scale_kernel(MuonStack s, MuonRoom<Number> room) {
  const std::size_t matrix = blockIdx.y, size = s.rows * s.columns;
  const float factor = 1 / ((s.polar_express ? polar_safety : 1.0f) * sqrt(sum_of_parts(room.sums, matrix)) + norm_tiny);
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < size; i += static_cast<std::size_t>(gridDim.x) * blockDim.x) {
    Number& x = room.x[matrix * size + i];
    x = x * factor;
  }
}

// NorMuon (arXiv 2510.05491): each row's mean square (of a wide matrix, each column's) goes into a running mean, and the line is divided by its
// root. A warp a line; leaves what each line is multiplied with, and its sum of squares.
template <typename Number>
__global__ void muon_lines_kernel(OptimizerBlocks b, MuonStack s, const StepNumbers* numbers, MuonRoom<Number> room) {
  const bool by_row = s.rows >= s.columns;
  const std::size_t lines = s.lines(), length = s.low(), line_stride = by_row ? s.columns : 1, stride = by_row ? 1 : s.columns, matrix = blockIdx.y,
                    line = static_cast<std::size_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (line >= lines) return;
  const Number* x = room.x + matrix * s.rows * s.columns + line * line_stride;
  float squares = 0;
  for (std::size_t i = threadIdx.x; i < length; i += warp_threads) squares += static_cast<float>(x[i * stride]) * x[i * stride];
  squares = warp_sum(squares);
  if (threadIdx.x != 0) return;
  float* factors = room.factors + matrix * 2 * lines;
  float& second = b.second[s.second_at[matrix] + line];
  second = numbers->muon_beta2 * second + (1 - numbers->muon_beta2) * squares / static_cast<float>(length);
  factors[line] = numbers->muon_beta2 > 0 ? 1 / (sqrt(second) + second_tiny) : 1.0f;
  factors[lines + line] = squares;
}

// The whole is scaled back to the norm it had, so that the running mean's slow start does not matter. A block a matrix.
template <typename Number>
__global__ void muon_rescale_kernel(MuonStack s, MuonRoom<Number> room) {
  __shared__ float parts[block_threads / warp_threads];
  const std::size_t matrix = blockIdx.x, lines = s.lines();
  const float* factors = room.factors + matrix * 2 * lines;
  float before = 0, after = 0;
  for (std::size_t line = threadIdx.x; line < lines; line += blockDim.x) {
    before += factors[lines + line];
    after += factors[lines + line] * factors[line] * factors[line];
  }
  before = block_sum(before, parts);
  after = block_sum(after, parts);
  if (threadIdx.x == 0) room.sums[matrix * MuonStack::sums_max] = sqrt(before) / (sqrt(after) + second_tiny);
}

// Cautious decay (arXiv 2510.12402): a weight decays only where the update does not push it the other way.
template <typename Number>
__global__ void muon_apply_kernel(OptimizerBlocks b, MuonStack s, const StepNumbers* numbers, MuonRoom<Number> room) {
  const bool by_row = s.rows >= s.columns;
  const std::size_t matrix = blockIdx.y, size = s.rows * s.columns, begin = s.at[matrix];
  const float scale = room.sums[matrix * MuonStack::sums_max], ratio = static_cast<float>(s.rows) / static_cast<float>(s.columns),
              rate = numbers->muon_rate * sqrt(ratio > 1 ? ratio : 1.0f);
  const float* factors = room.factors + matrix * 2 * s.lines();
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < size; i += static_cast<std::size_t>(gridDim.x) * blockDim.x) {
    const std::size_t line = by_row ? i / s.columns : i % s.columns;
    const float update = room.x[matrix * size + i] * factors[line] * scale, weight = b.parameters[begin + i];
    put_weight(b, *numbers, begin + i, weight - rate * (update + (update * weight >= 0 ? numbers->muon_decay * weight : 0.0f)));
  }
}

// x = a x + (b g + c g g) x with g the product of x with itself turned, over its shorter side: all matrices of the stack at once.
template <typename Products, typename Number>
void orthogonalize_step(const MuonStack& s, MuonRoom<Number>& room, OddPolynomial p) {
  using Batch = typename Products::Batch;
  const std::size_t size = s.rows * s.columns, low = s.low(), square = low * low;
  const bool tall = s.rows > s.columns;
  const MatrixOf<Number> across{room.x, tall ? 1 : s.columns, tall ? s.columns : 1}, along{room.x, tall ? s.columns : 1, tall ? 1 : s.columns};
  const MatrixOf<Number> gram{room.gram, low, 1}, mixed{room.mixed, low, 1}, x{room.x, s.columns, 1};
  Products::batched(room.gram, low, across, along, low, low, s.lines(), nullptr, 1, 0, Batch{s.count, size, size, square});
  Products::batched(room.mixed, low, gram, gram, low, low, low, room.gram, p.c, p.b, Batch{s.count, square, square, square});
  if (tall) {
    Products::batched(room.next, s.columns, x, mixed, s.rows, s.columns, low, room.x, 1, p.a, Batch{s.count, size, square, size});
  } else {
    Products::batched(room.next, s.columns, mixed, x, s.rows, s.columns, low, room.x, 1, p.a, Batch{s.count, square, size, size});
  }
  std::swap(room.x, room.next);
}

template <typename Products, typename Number>
void muon_in(const OptimizerBlocks& blocks, const MuonStack& s, const StepNumbers* numbers, const float* norm, void* scratch) {
  MuonRoom<Number> room(s, scratch);
  const auto count = static_cast<unsigned>(s.count);
  const dim3 grid(static_cast<unsigned>(std::min(MuonStack::sums_max, blocks_of(s.rows * s.columns, block_threads))), count);
  launch("muon, momentum", muon_momentum_kernel<Number>, grid, dim3(block_threads), 0, blocks, s, numbers, norm, room);
  launch("muon, scale", muon_scale_kernel<Number>, grid, dim3(block_threads), 0, s, room);
  for (const OddPolynomial& step : polar_express) orthogonalize_step<Products>(s, room, s.polar_express ? step : newton_schulz);
  launch("muon, lines", muon_lines_kernel<Number>, dim3(static_cast<unsigned>(blocks_of(s.lines(), norm_warps)), count), dim3(warp_threads, norm_warps), 0,
         blocks, s, numbers, room);
  launch("muon, rescale", muon_rescale_kernel<Number>, dim3(count), dim3(block_threads), 0, s, room);
  launch("muon, apply", muon_apply_kernel<Number>, grid, dim3(block_threads), 0, blocks, s, numbers, room);
}
template <typename Products>
void muon(const OptimizerBlocks& blocks, const MuonStack& s, const StepNumbers* numbers, const float* norm, void* scratch) {
  if (s.count == 0) return;
  if (s.rounded) {
    muon_in<Products, bfloat16>(blocks, s, numbers, norm, scratch);
  } else {
    muon_in<Products, float>(blocks, s, numbers, norm, scratch);
  }
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
