// The ops that models are made of: each binds launchers of kernels.h to tensors of a graph. One maker per op. Ops that
// follow each other row by row are one op here: it walks blocks of rows that stay in the cache from the norm to the
// last product, and keeps for backward only what is dear to compute again.
#pragma once

#include <memory>
#include <optional>

#include "workers/model/graph.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {

std::unique_ptr<Op> embedding(const Graph& graph, TensorId out, TensorId table);  // of Memory::inputs
std::unique_ptr<Op> rmsnorm(const Graph& graph, TensorId out, TensorId rstd, TensorId in);

// out = residual + in * weights^T
std::unique_ptr<Op> residual_linear(const Graph& graph, TensorId out, TensorId in, TensorId weights, TensorId residual);

// What a norm leaves for backward: 1 / rms of its rows, and if they are kept, the normalised rows.
struct Norm {
  TensorId rstd;
  std::optional<TensorId> rows = std::nullopt;
};

// out = norm(in) * weights^T; `kind` as in Op::kind.
std::unique_ptr<Op> norm_linear(const Graph& graph, const char* kind, TensorId out, Norm norm, TensorId in,
                                TensorId weights);

// qkv = norm(in) * weights^T, queries and keys then normalised by head and turned by their positions (rotary embedding
// with angles that fall from 1 to 1 / base). With value embeddings, values += gate(norm(in)) * table[Memory::inputs].
struct ValueEmbedding {
  TensorId table, gate;
};
std::unique_ptr<Op> norm_qkv(Graph& graph, TensorId qkv, Norm norm, TensorId rstd_qk, TensorId in, TensorId weights,
                             kernels::AttentionShape shape, double base,
                             std::optional<ValueEmbedding> embedding = std::nullopt);

std::unique_ptr<Op> attention(const Graph& graph, TensorId out, TensorId log_sums, TensorId qkv,
                              kernels::AttentionShape shape);

// out = in + f(norm(in) * up^T) * down^T. `hidden` is kept: with relu2 what f gives, with the others what it takes,
// which for swiglu is twice as wide as what it gives.
enum class Activation { relu2, gelu, swiglu };
std::unique_ptr<Op> norm_mlp(const Graph& graph, Activation f, TensorId out, TensorId hidden, Norm norm, TensorId in,
                             TensorId up, TensorId down);

// out = shares[0] * a + shares[1] * b
std::unique_ptr<Op> blend(const Graph& graph, TensorId out, TensorId a, TensorId b, TensorId shares);

// Cross-entropy of norm(in) * weights^T against Memory::targets, in nats by row. The logits exist for a block of rows
// at a time. With gradients wanted (Memory::loss_scale above 0), backward computes losses and gradients in one pass,
// and forward nothing. `softcap` c above 0: a logit x becomes c * tanh(x / c).
std::unique_ptr<Op> norm_head_loss(const Graph& graph, TensorId losses, Norm norm, TensorId in, TensorId weights,
                                   Full softcap);
// The same logits, all of them, without a way back.
std::unique_ptr<Op> norm_head(const Graph& graph, TensorId logits, Norm norm, TensorId in, TensorId weights,
                              Full softcap);

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
