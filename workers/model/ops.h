// The ops that models are made of: each binds a launcher of kernels.h to tensors of a graph. One maker per op.
#pragma once

#include <memory>

#include "workers/model/graph.h"

namespace overnight::workers {

std::unique_ptr<Op> embedding(const Graph& graph, TensorId out, TensorId table);  // of Memory::inputs
std::unique_ptr<Op> rmsnorm(const Graph& graph, TensorId out, TensorId rstd, TensorId in);
// out = in * weights^T, plus `residual` if there is one.
std::unique_ptr<Op> linear(const Graph& graph, TensorId out, TensorId in, TensorId weights,
                           const TensorId* residual = nullptr);
std::unique_ptr<Op> qk_norm_rotary(const Graph& graph, TensorId qk, TensorId rstd, TensorId qkv,
                                   kernels::AttentionShape shape);
std::unique_ptr<Op> attention(const Graph& graph, TensorId out, TensorId weights, TensorId scratch, TensorId qk,
                              TensorId qkv, kernels::AttentionShape shape);
std::unique_ptr<Op> relu2(const Graph& graph, TensorId out, TensorId in);
std::unique_ptr<Op> cross_entropy(const Graph& graph,
                                  TensorId logits);  // against Memory::targets; the gradient replaces the logits

}  // namespace overnight::workers
