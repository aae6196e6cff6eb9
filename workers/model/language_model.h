// A language model as a graph, from a pattern of layers (config.h): each has a mixer (attention with rotary positions
// and normalised queries and keys, Mamba-2, Mamba-3, a short convolution) and a squared-ReLU MLP, both behind a norm
// without gains and both adding to the stream; untied head.
#pragma once

#include <functional>

#include "workers/model/config.h"
#include "workers/model/graph.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {

struct LanguageModel {
  Graph graph;
  TensorId logits;  // of inference; training never has all of them at once
  TensorId losses;  // of training and scoring, by row; there behind a pass
};

// For `batch` sequences of config.context tokens. `config` must be possible (config.h). Inference gives logits, scoring
// losses; training too, and gradients.
LanguageModel make_language_model(const ModelConfig& config, std::size_t batch, ModelUse use, Walk walk = Walk::cache);

// The sum of a pass's losses, in nats; for memory that this CPU reads.
double sum_of_losses(const LanguageModel& model, const Memory& memory);

// How matrices begin (Initial::fan_in): each number drawn by itself, or the whole with rows, or columns if they are
// fewer, at right angles to each other; of variance scale^2 / columns in any case.
enum class MatrixInit { uniform, normal, orthogonal };

// Fills the parameters as their tensors say (Initial). The same on every platform for the same seed. Large orthogonal
// matrices take seconds: once `stopped` says so, what is left stays as it is.
void initialize(const Graph& graph, Full* parameters, std::uint64_t seed, MatrixInit matrices = MatrixInit::uniform,
                double scale = 1, const std::function<bool()>& stopped = {});

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
