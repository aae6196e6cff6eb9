// The arithmetic of the trainer, as a table of launchers: one function per op and direction, on plain memory. No CUDA
// here; a GPU backend is another table, on a GPU's memory (device.h).
//
// Numbers are of two kinds: `Real` for what is much (activations, their gradients, matrices), `Full` for what is summed
// or kept: gradients of parameters, statistics of rows, decays, states, and the parameters of few numbers. On a CPU
// both are floats, on a GPU Real may be bfloat16.
//
// Tensors are row-major; `rows` are tokens (batch x time), position t of a row is row % context. Launchers never
// allocate and use the calling thread alone: callers run several lanes side by side. Forward functions overwrite their
// outputs. Backward functions add to gradients where a parameter `add` is true, and overwrite otherwise. What each op
// means is written in reference/reference.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overnight::kernels {

struct AttentionShape {
  std::size_t batch = 0, context = 0, heads = 0, head_size = 0;
  std::size_t kv_heads = 0;  // of keys and values, each shared by as many heads; 0: one for each head
  std::size_t window = 0;    // how many tokens a token sees, itself among them; 0: all before it

  constexpr std::size_t key_heads() const { return kv_heads == 0 ? heads : kv_heads; }
  constexpr std::size_t width() const { return heads * head_size; }  // of queries, and of what comes out
  constexpr std::size_t row() const { return (heads + 2 * key_heads()) * head_size; }  // queries, keys, values
  // The first of the tokens that token `t` of a sequence sees.
  constexpr std::size_t first_seen(std::size_t t) const { return window == 0 || t + 1 < window ? 0 : t + 1 - window; }
};

std::size_t attention_scratch(AttentionShape shape);  // in Full numbers, on a CPU
// On a GPU: sums of the queries' gradients and two numbers of each query, rows rounded up to tiles.
inline constexpr std::size_t device_attention_tile = 64;
constexpr std::size_t device_attention_scratch(AttentionShape s) {
  const std::size_t tiles = (s.context + device_attention_tile - 1) / device_attention_tile;
  return s.batch * s.heads * tiles * device_attention_tile * (s.head_size + 2);
}

// The generalised state-space op, which the mixers of Mamba-2 and Mamba-3 share (reference/state_space.h). Heads of one
// group share queries and keys; a token has `rank` queries, keys and values, one row each.
struct StateSpaceShape {
  std::size_t batch = 0, context = 0, heads = 0, groups = 1, state = 0, head_size = 0;
  std::size_t rank = 1;
  std::size_t chunk = 64;  // tokens; `context` is a multiple

  constexpr std::size_t states() const { return batch * (context / chunk) * heads * head_size * state; }
};

std::size_t state_space_scratch(StateSpaceShape shape);  // in Full numbers, on a CPU
inline constexpr std::size_t device_chunk_rows = 64;  // of a chunk, that a GPU's matrix unit takes: tokens times ranks
// On a GPU: gradients of all states, and a number for each chunk and head.
constexpr std::size_t device_state_space_scratch(StateSpaceShape s) {
  return s.states() + s.batch * (s.context / s.chunk) * s.heads;
}

// Of the gradients of a table by its rows, in Full numbers: a partial sum at each end of each piece of rows.
inline constexpr std::size_t embedding_piece = 64;
constexpr std::size_t embedding_scratch(std::size_t rows, std::size_t width) {
  return (rows + embedding_piece - 1) / embedding_piece * 2 * width;
}
// Of value_embedding_backward: that, and two numbers for each row and head.
constexpr std::size_t value_embedding_scratch(std::size_t rows, AttentionShape s) {
  return embedding_scratch(rows, s.key_heads() * s.head_size) + 2 * rows * s.key_heads();
}

// Its inputs, or their gradients: q, k [rows * rank, groups * state], v [rows * rank, heads * head_size] with so many
// numbers from row to row; decay <= 0, weight and own, [rows, heads]. `own` is the weight that a token has in its own
// output; null: the same as later.
template <typename Real, typename Full = Real>
struct StateSpaceOf {
  Real *q = nullptr, *k = nullptr, *v = nullptr;
  Full *decay = nullptr, *weight = nullptr, *own = nullptr;
  std::size_t qk_stride = 0, v_stride = 0;
};

// A table [vocabulary, key_heads, head_size] of what tokens add to their values, and the weights [key_heads, inputs] of
// the gate before it, which reads the first value_gate_inputs of a row.
inline constexpr std::size_t value_gate_inputs = 32;
template <typename Real, typename Full = Real>
struct ValueEmbeddingOf {
  Real* table = nullptr;
  Full* gate = nullptr;
};

// Of a short causal convolution, each channel by itself: weights [taps, channels], the last tap for the token itself.
template <typename Full>
struct ConvolutionOf {
  Full *weights = nullptr, *bias = nullptr;
};

// y [rows * rank, heads * head_size] from the state-space op, v what went into it, z [rows, heads * head_size].
template <typename Real>
struct GateOf {
  Real *y = nullptr, *v = nullptr, *z = nullptr;
  std::size_t v_stride = 0, z_stride = 0;
};

// skip [heads], null: 0; spread and mix [rank, heads * head_size], both null: 1.
template <typename Full>
struct GateParametersOf {
  Full *skip = nullptr, *spread = nullptr, *mix = nullptr;
};

// The parts of a token's projection that Mamba-3 reads: key and query [rank, shared_groups, state], step, rate and
// share [heads], angle [angles]; `stride` numbers from token to token.
template <typename Real>
struct Mamba3ProjectionOf {
  Real *key = nullptr, *query = nullptr, *step = nullptr, *rate = nullptr, *share = nullptr, *angle = nullptr;
  std::size_t stride = 0;
};

// step_bias [heads], gains [state], biases [heads, rank, state]
template <typename Full>
struct Mamba3ParametersOf {
  Full *step_bias = nullptr, *key_gain = nullptr, *query_gain = nullptr, *key_bias = nullptr, *query_bias = nullptr;
};

// What its state-space op reads, per head: q and k [rows * rank, heads * state], decay, weight and own [rows, heads];
// and what is kept for backward: step [rows, heads], angles [rows, heads * angles], rstd [rows, 2 * rank *
// shared_groups].
template <typename Real, typename Full = Real>
struct Mamba3Of {
  Real *q = nullptr, *k = nullptr;
  Full *decay = nullptr, *weight = nullptr, *own = nullptr;
  Full *step = nullptr, *angles = nullptr, *rstd = nullptr;
};

struct Mamba3Shape {
  StateSpaceShape scan;           // its groups are its heads: each turns keys and queries by angles of its own
  std::size_t shared_groups = 1;  // of the projection
  std::size_t angles = 0;         // at most state / 2; the rest is not turned

  // Of backward, in Full numbers.
  constexpr std::size_t scratch() const { return scan.batch * scan.context * scan.heads * angles + 2 * scan.state; }
};

// A matrix in memory: element (r, c) is data[r * row_stride + c * column_stride].
template <typename Real>
struct MatrixOf {
  const Real* data = nullptr;
  std::size_t row_stride = 0, column_stride = 1;
};

using Matrix = MatrixOf<float>;

// All launchers for one kind of numbers. On CPUs training runs on floats; tests run the same code on doubles.
template <typename Real, typename Full = Real>
struct BackendOf {
  const char* name;

  // Memory, in the order of the launches; both ends are the backend's.
  void (*copy)(void* to, const void* from, std::size_t bytes);
  void (*zero)(void* at, std::size_t bytes);

  // out[rows, columns] = a[rows, depth] * b[depth, columns], plus `plus` [rows, columns], which has the stride of `out`
  // and may be `out`, or null. One stride of each is 1.
  void (*product)(Real* out, std::size_t stride, MatrixOf<Real> a, MatrixOf<Real> b, std::size_t rows,
                  std::size_t columns, std::size_t depth, const Real* plus);
  // The same with a result in full, which is added to what is in `out` if `add`.
  void (*full_product)(Full* out, std::size_t stride, MatrixOf<Real> a, MatrixOf<Real> b, std::size_t rows,
                       std::size_t columns, std::size_t depth, bool add);

  // out[outputs] = weights[outputs, inputs] * in[inputs], plus what is in `out` if `add`: a product of one row alone.
  void (*linear_row)(Real* out, const Real* in, const Real* weights, std::size_t inputs, std::size_t outputs, bool add);

  // out[rows, width] = table[ids[row], :]
  void (*embedding_forward)(Real* out, const std::int32_t* ids, const Real* table, std::size_t rows, std::size_t width);
  // dtable[ids[row], :] += dout[row, :], in a fixed order. A GPU needs `order`, the rows by their ids, those of one id
  // in their order, and a scratch of embedding_scratch(rows, width); a CPU neither.
  void (*embedding_backward)(Full* dtable, const std::int32_t* ids, const std::int32_t* order, const Real* dout,
                             Full* scratch, std::size_t rows, std::size_t width);

  // out = in / rms(in) per row, rms with epsilon 1e-6 inside the root; rstd[row] is kept for backward
  void (*rmsnorm_forward)(Real* out, Full* rstd, const Real* in, std::size_t rows, std::size_t width);
  // din = the gradient, plus `plus` where that is not null; it may be din. `from`: what forward read, or with `normed`
  // what it wrote; din may be that, too.
  void (*rmsnorm_backward)(Real* din, const Real* dout, const Real* from, bool normed, const Full* rstd,
                           std::size_t rows, std::size_t width, const Real* plus);

  // In place on rows [first, first + rows) of a batch; `qkv` [rows, AttentionShape::row()] begins at row `first`. Each
  // head of q and k is normalised (as rmsnorm), then rotated by its position (rotary embedding, halves paired);
  // rstd[rows, heads + key_heads] is kept. `turns` is what rotary_table fills.
  void (*qk_forward)(Real* qkv, Full* rstd, const Full* turns, AttentionShape shape, std::size_t first,
                     std::size_t rows);
  // In place on the gradient; `qkv` is what forward left. The values' part is not touched.
  void (*qk_backward)(Real* dqkv, const Real* qkv, const Full* rstd, const Full* turns, AttentionShape shape,
                      std::size_t first, std::size_t rows);

  // Causal softmax attention over qkv[rows, row()]; out[rows, width()]. log_sums[rows, heads] and `out` are kept for
  // backward, which computes the weights again. `scratch` holds attention_scratch(shape), on a GPU the device's.
  void (*attention_forward)(Real* out, Full* log_sums, const Real* qkv, Full* scratch, AttentionShape shape);
  void (*attention_backward)(Real* dqkv, const Real* dout, const Real* out, const Full* log_sums, const Real* qkv,
                             Full* scratch, AttentionShape shape);

  // y[rows * rank, heads * head_size]; `states` (StateSpaceShape::states), those that enter each chunk, are kept for
  // backward. `scratch` holds state_space_scratch(shape), on a GPU the device's.
  void (*state_space_forward)(Real* y, std::size_t y_stride, Full* states, StateSpaceOf<const Real, const Full> in,
                              Full* scratch, StateSpaceShape shape);
  void (*state_space_backward)(StateSpaceOf<Real, Full> gradients, const Real* dy, std::size_t dy_stride,
                               const Full* states, StateSpaceOf<const Real, const Full> in, Full* scratch,
                               StateSpaceShape shape);

  // out[rows, channels] = silu(bias + sum over taps), of `in` with `stride` numbers from row to row. Backward
  // overwrites din, adds to the parameters' gradients, needs a scratch of `channels`, and leaves nothing of use in
  // dout.
  void (*convolution_forward)(Real* out, const Real* in, std::size_t stride, ConvolutionOf<const Full> parameters,
                              std::size_t batch, std::size_t context, std::size_t channels, std::size_t taps);
  void (*convolution_backward)(Real* din, ConvolutionOf<Full> gradients, Real* dout, const Real* in, std::size_t stride,
                               ConvolutionOf<const Full> parameters, Full* scratch, std::size_t batch,
                               std::size_t context, std::size_t channels, std::size_t taps);

  // out[rows, heads * head_size] = sum over ranks of mix * (y + skip * v) * silu(spread * z). Backward overwrites the
  // gradients of y and z and adds to the parameters'. That of v goes through the state-space op too, whose backward
  // overwrites; skip_backward then adds the rest: dv += skip * dy.
  void (*gate_forward)(Real* out, GateOf<const Real> in, GateParametersOf<const Full> parameters, std::size_t rows,
                       StateSpaceShape shape);
  void (*gate_backward)(GateOf<Real> gradients, GateParametersOf<Full> parameter_gradients, const Real* dout,
                        GateOf<const Real> in, GateParametersOf<const Full> parameters, std::size_t rows,
                        StateSpaceShape shape);
  void (*skip_backward)(Real* dv, std::size_t v_stride, const Real* dy, const Full* skip, std::size_t flat_rows,
                        StateSpaceShape shape);

  // v[rows, rank, width] = x[rows, width] * spread[rank, width]; backward overwrites dx and adds to dspread.
  void (*spread_forward)(Real* v, const Real* x, std::size_t stride, const Full* spread, std::size_t rows,
                         std::size_t rank, std::size_t width);
  void (*spread_backward)(Real* dx, Full* dspread, const Real* dv, const Real* x, std::size_t stride,
                          const Full* spread, std::size_t rows, std::size_t rank, std::size_t width);

  // out = in * gain, by column; backward overwrites din and adds to dgain.
  void (*gain_forward)(Real* out, const Real* in, const Full* gain, std::size_t rows, std::size_t width);
  void (*gain_backward)(Real* din, Full* dgain, const Real* dout, const Real* in, const Full* gain, std::size_t rows,
                        std::size_t width);

  // Mamba-2: step = softplus(raw + bias), which is also the weight; decay = -exp(log_rate) * step. All [rows, heads].
  // Backward overwrites draw and adds to the parameters' gradients.
  void (*mamba2_forward)(Full* step, Full* decay, const Real* raw, std::size_t stride, const Full* bias,
                         const Full* log_rate, std::size_t rows, std::size_t heads);
  void (*mamba2_backward)(Real* draw, std::size_t stride, Full* dbias, Full* dlog_rate, const Full* ddecay,
                          const Full* dweight, const Full* step, const Full* log_rate, std::size_t rows,
                          std::size_t heads);

  // Mamba-3 (arXiv 2603.15569): what the state-space op reads, from a projection. Backward overwrites the projection's
  // gradient, adds to the parameters', and leaves nothing of use in `made_gradients`.
  void (*mamba3_forward)(Mamba3Of<Real, Full> made, Mamba3ProjectionOf<const Real> in,
                         Mamba3ParametersOf<const Full> parameters, Mamba3Shape shape);
  void (*mamba3_backward)(Mamba3ProjectionOf<Real> gradients, Mamba3ParametersOf<Full> parameter_gradients,
                          Mamba3Of<Real, Full> made_gradients, Mamba3Of<const Real, const Full> made,
                          Mamba3ProjectionOf<const Real> in, Mamba3ParametersOf<const Full> parameters, Full* scratch,
                          Mamba3Shape shape);

  // out = max(in, 0)^2; backward reads what forward wrote. Both may work in place.
  void (*relu2_forward)(Real* out, const Real* in, std::size_t count);
  void (*relu2_backward)(Real* din, const Real* dout, const Real* out, std::size_t count);

  // GELU by tanh, and SwiGLU: out[rows, width] = silu(in[:, :width]) * in[:, width:]. Backward reads what forward read.
  void (*gelu_forward)(Real* out, const Real* in, std::size_t count);
  void (*gelu_backward)(Real* din, const Real* dout, const Real* in, std::size_t count);
  void (*swiglu_forward)(Real* out, const Real* in, std::size_t rows, std::size_t width);
  void (*swiglu_backward)(Real* din, const Real* dout, const Real* in, std::size_t rows, std::size_t width);

  // values = cap * tanh(values / cap) in place
  void (*softcap_forward)(Real* values, std::size_t count, Full cap);

  // out = shares[0] * a + shares[1] * b; backward adds to dshares.
  void (*blend_forward)(Real* out, const Real* a, const Real* b, const Full* shares, std::size_t count);
  void (*blend_backward)(Real* da, Real* db, Full* dshares, const Real* dout, const Real* a, const Real* b,
                         const Full* shares, std::size_t count, bool add_a, bool add_b);

  // values of qkv[rows, row()] += 2 sigmoid(gate . in) * table[ids], by key head; `in` [rows, width]. Backward adds to
  // din and to the parameters' gradients, and leaves dqkv as it is; `order` as of embedding_backward, and a scratch of
  // value_embedding_scratch(rows, shape).
  void (*value_embedding_forward)(Real* qkv, const Real* in, std::size_t width, const std::int32_t* ids,
                                  ValueEmbeddingOf<const Real, const Full> parameters, AttentionShape shape,
                                  std::size_t rows);
  void (*value_embedding_backward)(Real* din, ValueEmbeddingOf<Full> gradients, const Real* dqkv, const Real* in,
                                   std::size_t width, const std::int32_t* ids, const std::int32_t* order,
                                   ValueEmbeddingOf<const Real, const Full> parameters, Full* scratch,
                                   AttentionShape shape, std::size_t rows);

  // losses[row] = cross-entropy of logits[rows, width] against targets, in nats; 0 for a target below 0, which is not
  // counted. With a softcap c above 0, of c * tanh(logit / c). With `scale` > 0 the logits are replaced by
  // scale * d(sum of losses)/d(logits); else what is left of them is of no use. Rows lie `stride` apart; what lies
  // between them may be overwritten with anything.
  void (*cross_entropy)(Full* losses, Real* logits, std::size_t stride, const std::int32_t* targets, std::size_t rows,
                        std::size_t width, Full softcap, Full scale);

  // to += from
  void (*add)(Real* to, const Real* from, std::size_t count);

  // For optimizers on a CPU; null in tables of GPUs, whose optimizer works on all tensors at once (device.h).
  double (*sum_of_squares)(const Full* values, std::size_t count);
  // AdamW (Loshchilov and Hutter 2019): moments in place, gradient scaled by `gradient_scale` first.
  void (*adamw)(Full* weights, Full* first, Full* second, const Full* gradient, std::size_t count, Full learning_rate,
                Full beta1, Full beta2, Full correction1, Full correction2, Full epsilon, Full weight_decay,
                Full gradient_scale);
};
using Backend = BackendOf<float>;

// The best CPU table that this machine can run; the same binary runs on any x86-64.
const Backend& cpu_backend();
// A table by its name ("avx512", "avx2", "base"); null if this machine or this build has it not. For tests.
const Backend* cpu_backend_named(const char* name);

// out[rows, outputs] = in[rows, inputs] * weights[outputs, inputs]^T, plus `plus` as of BackendOf::product
template <typename Real, typename Full>
void linear_forward(const BackendOf<Real, Full>& backend, Real* out, const Real* in, const Real* weights,
                    std::size_t rows, std::size_t inputs, std::size_t outputs, const Real* plus = nullptr) {
  backend.product(out, outputs, {in, inputs, 1}, {weights, 1, inputs}, rows, outputs, inputs, plus);
}
template <typename Real, typename Full>
void linear_backward_input(const BackendOf<Real, Full>& backend, Real* din, const Real* dout, const Real* weights,
                           std::size_t rows, std::size_t inputs, std::size_t outputs, bool add) {
  backend.product(din, inputs, {dout, outputs, 1}, {weights, inputs, 1}, rows, inputs, outputs, add ? din : nullptr);
}
template <typename Real, typename Full>
void linear_backward_weights(const BackendOf<Real, Full>& backend, Full* dweights, const Real* dout, const Real* in,
                             std::size_t rows, std::size_t inputs, std::size_t outputs, bool add) {
  backend.full_product(dweights, inputs, {dout, 1, outputs}, {in, inputs, 1}, outputs, inputs, rows, add);
}

// The same product as Backend::product by OpenBLAS, on the calling thread: what ours is measured against.
void blas_product(float* out, std::size_t stride, Matrix a, Matrix b, std::size_t rows, std::size_t columns,
                  std::size_t depth, bool add);

// Numbers too small for full precision become 0 on the calling thread: they cost a hundred times as much as others.
void flush_denormals();

// Which set of matrix kernels OpenBLAS chose ("SkylakeX", "Haswell", ...), and the one that this CPU deserves; they
// differ on CPUs that are younger than the library, which it takes for ones of 2004. Empty: nothing better is known.
const char* blas_core();
const char* better_blas_core();

// Starts this program again with OPENBLAS_CORETYPE set, if a better core is known and the variable is not set. To be
// called first in main: the library reads the variable when it is loaded.
void restart_with_better_blas_core(char** argv);

// turns[context, head_size]: cosines, then sines, of head_size / 2 angles for each position.
void rotary_table(float* turns, std::size_t context, std::size_t head_size, double base);
void rotary_table(double* turns, std::size_t context, std::size_t head_size, double base);

}  // namespace overnight::kernels
