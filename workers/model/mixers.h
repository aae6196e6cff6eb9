// The mixers that carry a state from token to token, as ops: each reads a token's projection and gives what the layer's
// last product takes. An op works on one sequence at a time, so that what lies between its parts stays in the cache.
#pragma once

#include <memory>

#include "workers/model/graph.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {

// Mamba-2 (arXiv 2405.21060, section 7): a projection [z | x | B | C | step] of width
// 2 * inner + 2 * groups * state + heads, with inner = heads * head_size. x, B and C go through a short causal
// convolution and SiLU, then the state-space op; the result is gated by silu(z), normalised and multiplied by a gain.
struct Mamba2Tensors {
  TensorId out, projection;
  TensorId convolved, step, decay, y, states, rstd;           // kept for backward
  TensorId taps, taps_bias, step_bias, log_rate, skip, gain;  // parameters
};
std::unique_ptr<Op> mamba2(const Graph& graph, const Mamba2Tensors& tensors, kernels::StateSpaceShape shape,
                           std::size_t taps);

// Mamba-3 (arXiv 2603.15569): a projection [z | x | B | C | step | rate | share | angle] of width
// 2 * inner + 2 * rank * groups * state + 3 * heads + angles; no convolution and no norm. With a rank above 1 (MIMO) x
// is spread over ranks before, and their outputs are mixed behind the gate.
struct Mamba3Tensors {
  TensorId out, projection;
  TensorId keys, queries, steps, angles, rstd, y, states;  // kept; steps [4, rows * heads]: decay, weight, own, step
  TensorId step_bias, key_gain, query_gain, key_bias, query_bias, skip;
  TensorId spread, spread_gate, mix;  // of ranks; not used with rank 1
};
std::unique_ptr<Op> mamba3(const Graph& graph, const Mamba3Tensors& tensors, kernels::Mamba3Shape shape);

// A short convolution behind a gate: a projection [z | x], out = convolution(x) * silu(z).
struct ConvolutionTensors {
  TensorId out, projection;
  TensorId convolved;        // kept
  TensorId taps, taps_bias;  // parameters
};
std::unique_ptr<Op> gated_convolution(const Graph& graph, const ConvolutionTensors& tensors, std::size_t batch,
                                      std::size_t taps);

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
