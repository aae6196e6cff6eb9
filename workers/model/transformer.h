// A byte-level Transformer as a graph: pre-norm without gains, rotary positions with normalised queries and keys,
// squared-ReLU MLP, untied head, no biases.
#pragma once

#include "workers/model/config.h"
#include "workers/model/graph.h"

namespace overnight::workers {

struct Transformer {
  Graph graph;
  TensorId logits;  // of inference; training never has all of them at once
};

// For `batch` sequences of config.context tokens. `config` must be possible (config.h).
Transformer make_transformer(const ModelConfig& config, std::size_t batch, Graph::Purpose purpose);

// Fills the parameters: embeddings normal, matrices uniform with variance 1/inputs, those that write into the residual
// stream zero, the head small. The same on every platform for the same seed.
void initialize(const Graph& graph, float* parameters, std::uint64_t seed);

}  // namespace overnight::workers
