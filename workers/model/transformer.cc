#include "workers/model/transformer.h"

#include <cmath>
#include <numbers>
#include <random>

#include "workers/model/ops.h"

namespace overnight::workers {
namespace {

double unit(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1.0p-53; }

double normal(std::mt19937_64& random) {
  const double radius = std::sqrt(-2 * std::log(1 - unit(random)));
  return radius * std::cos(2 * std::numbers::pi * unit(random));
}

// One layer: attention and MLP, each on the normalised stream, each adding to it. Returns the new stream.
TensorId layer(Graph& g, const ModelConfig& config, std::size_t batch, std::size_t index, TensorId stream) {
  const auto rows = batch * static_cast<std::size_t>(config.context), width = static_cast<std::size_t>(config.width),
             heads = static_cast<std::size_t>(config.heads),
             inner = static_cast<std::size_t>(config.width * config.mlp_ratio),
             context = static_cast<std::size_t>(config.context);
  const kernels::AttentionShape shape{batch, context, heads, width / heads};
  const std::string at = "layers." + std::to_string(index) + ".";
  const TensorId w_qkv = g.parameter(at + "attention.qkv", 3 * width, width),
                 w_out = g.parameter(at + "attention.out", width, width);
  const TensorId w_up = g.parameter(at + "mlp.up", inner, width), w_down = g.parameter(at + "mlp.down", width, inner);

  const TensorId qkv = g.activation(at + "qkv", rows, 3 * width), rstd1 = g.activation(at + "rstd1", rows, 1, false),
                 rstd_qk = g.activation(at + "rstd_qk", rows, 2 * heads, false);
  g.add(norm_qkv(g, qkv, rstd1, rstd_qk, stream, w_qkv, shape));
  const TensorId mixed = g.activation(at + "mixed", rows, width),
                 log_sums = g.activation(at + "log_sums", rows, heads, false);
  g.add(attention(g, mixed, log_sums, qkv, shape));
  const TensorId middle = g.activation(at + "middle", rows, width);
  g.add(residual_linear(g, middle, mixed, w_out, stream));

  const TensorId out = g.activation(at + "out", rows, width), hidden = g.activation(at + "hidden", rows, inner, false),
                 rstd2 = g.activation(at + "rstd2", rows, 1, false);
  g.add(norm_mlp(g, out, hidden, rstd2, middle, w_up, w_down));
  return out;
}

}  // namespace

Transformer make_transformer(const ModelConfig& config, std::size_t batch, Graph::Purpose purpose) {
  Transformer made;
  Graph& g = made.graph;
  const auto rows = batch * static_cast<std::size_t>(config.context), width = static_cast<std::size_t>(config.width),
             vocabulary = static_cast<std::size_t>(config.vocabulary);
  const TensorId table = g.parameter("embedding", vocabulary, width);
  const TensorId embedded = g.activation("embedded", rows, width);
  g.add(embedding(g, embedded, table));
  const TensorId rstd0 = g.activation("rstd0", rows, 1, false);
  TensorId stream = g.activation("stream", rows, width);
  g.add(rmsnorm(g, stream, rstd0, embedded));
  for (std::size_t i = 0; i < static_cast<std::size_t>(config.depth); ++i) stream = layer(g, config, batch, i, stream);
  const TensorId rstd = g.activation("rstd", rows, 1, false), head = g.parameter("head", vocabulary, width);
  if (purpose == Graph::Purpose::training) {
    g.add(norm_head_loss(g, rstd, stream, head));
  } else {
    made.logits = g.activation("logits", rows, vocabulary);
    g.add(norm_linear(g, made.logits, rstd, stream, head));
  }
  g.plan(purpose);
  return made;
}

void initialize(const Graph& graph, float* parameters, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (const Tensor& tensor : graph.tensors()) {
    if (!tensor.parameter) continue;
    float* at = parameters + tensor.value_at;
    const bool zero = tensor.name.ends_with("attention.out") || tensor.name.ends_with("mlp.down");
    const double reach = std::sqrt(3.0 / static_cast<double>(tensor.columns));
    for (std::size_t i = 0; i < tensor.count(); ++i) {
      if (zero) {
        at[i] = 0;
      } else if (tensor.name == "embedding") {
        at[i] = static_cast<float>(normal(random));
      } else if (tensor.name == "head") {
        at[i] = static_cast<float>(0.001 * normal(random));
      } else {
        at[i] = static_cast<float>((2 * unit(random) - 1) * reach);
      }
    }
  }
}

}  // namespace overnight::workers
