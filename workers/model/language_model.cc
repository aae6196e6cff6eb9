#include "workers/model/language_model.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
#include <numeric>
#include <random>
#include <vector>

#include "workers/model/mixers.h"
#include "workers/model/ops.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {
namespace {

double unit(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1.0p-53; }

double normal(std::mt19937_64& random) {
  const double radius = std::sqrt(-2 * std::log(1 - unit(random)));
  return radius * std::cos(2 * std::numbers::pi * unit(random));
}

// Builds a model's layers: the sizes they share, and the graph they go to.
struct Builder {
  Graph& g;
  const ModelConfig& config;
  std::size_t batch;
  bool training;
  std::size_t context = static_cast<std::size_t>(config.context), rows = batch * context,
              width = static_cast<std::size_t>(config.width), inner = static_cast<std::size_t>(config.inner()),
              taps = static_cast<std::size_t>(config.taps);

  TensorId kept(const std::string& name, std::size_t columns) { return g.activation(name, rows, columns, false); }
  TensorId statistics(const std::string& name, std::size_t columns) { return g.statistics(name, rows, columns); }
  // On a device a training keeps what a norm makes (rows.h).
  Norm norm(const std::string& name) {
    Norm made{statistics(name, 1)};
    if (training && g.walk() == Walk::device) made.rows = kept(name + "_rows", width);
    return made;
  }
  TensorId scalars(const std::string& name, std::size_t count, Initial initial) {
    return g.parameter(name, 1, count, initial, ParameterGroup::scalar);
  }

  kernels::StateSpaceShape scan() const {
    return {.batch = batch,
            .context = context,
            .heads = static_cast<std::size_t>(config.mamba_heads()),
            .groups = static_cast<std::size_t>(config.mamba_groups),
            .state = static_cast<std::size_t>(config.state),
            .head_size = static_cast<std::size_t>(config.mamba_head),
            .rank = 1,
            .chunk = static_cast<std::size_t>(config.chunk)};
  }

  // A GPU works on so many rows of a chunk at once: a longer one is cut in halves, which gives the same sums.
  void fit_chunk(kernels::StateSpaceShape& shape) const {
    while (g.walk() == Walk::device && shape.chunk * shape.rank > kernels::device_chunk_rows && shape.chunk % 2 == 0)
      shape.chunk /= 2;
  }

  TensorId project(const std::string& at, TensorId stream, std::size_t columns) {
    const TensorId weights = g.parameter(at + "in", columns, width, Initial::fan_in);
    // On a GPU rows begin where packs and products like it.
    constexpr std::size_t boundary = 64;
    const std::size_t apart = g.walk() == Walk::device ? (columns + boundary - 1) / boundary * boundary : columns;
    const TensorId projection = g.activation(at + "projection", rows, apart);
    g.add(norm_linear(g, "mixer in", projection, norm(at + "rstd_in"), stream, weights));
    return projection;
  }

  TensorId project_out(const std::string& at, TensorId mixed, TensorId stream) {
    const TensorId weights = g.parameter(at + "out", width, g.tensor(mixed).columns, Initial::zero);
    const TensorId out = g.activation(at + "stream", rows, width);
    g.add(residual_linear(g, out, mixed, weights, stream));
    return out;
  }

  std::optional<ValueEmbedding> value_embedding(std::size_t index, const std::string& at,
                                                const kernels::AttentionShape& shape) {
    if (!config.embeds_values(index)) return std::nullopt;
    return ValueEmbedding{
        g.parameter(at + "value_table", static_cast<std::size_t>(config.vocabulary),
                    shape.key_heads() * shape.head_size, Initial::fan_in, ParameterGroup::embedding),
        g.parameter(at + "value_gate", shape.key_heads(), std::min(width, kernels::value_gate_inputs), Initial::zero)};
  }

  TensorId attend(std::size_t index, const std::string& at, TensorId stream) {
    const auto heads = static_cast<std::size_t>(config.heads);
    const kernels::AttentionShape shape{.batch = batch,
                                        .context = context,
                                        .heads = heads,
                                        .head_size = width / heads,
                                        .kv_heads = static_cast<std::size_t>(config.key_heads()),
                                        .window = static_cast<std::size_t>(config.window_of(index))};
    const TensorId weights = g.parameter(at + "qkv", shape.row(), width, Initial::fan_in);
    const TensorId qkv = g.activation(at + "qkv_rows", rows, shape.row()),
                   rstd_qk = statistics(at + "rstd_qk", heads + shape.key_heads());
    g.add(norm_qkv(g, qkv, norm(at + "rstd_in"), rstd_qk, stream, weights, shape, config.rope_base,
                   value_embedding(index, at, shape)));
    const TensorId mixed = g.activation(at + "mixed", rows, width), log_sums = statistics(at + "log_sums", heads);
    g.add(attention(g, mixed, log_sums, qkv, shape));
    return project_out(at, mixed, stream);
  }

  TensorId mix_by_mamba2(const std::string& at, TensorId stream) {
    kernels::StateSpaceShape shape = scan();
    fit_chunk(shape);
    const std::size_t channels = inner + 2 * shape.groups * shape.state, heads = shape.heads;
    Mamba2Tensors t;
    t.projection = project(at, stream, inner + channels + heads);
    t.taps = g.parameter(at + "taps", taps, channels, Initial::taps, ParameterGroup::scalar);
    t.taps_bias = scalars(at + "taps_bias", channels, Initial::zero);
    t.step_bias = scalars(at + "step_bias", heads, Initial::steps);
    t.log_rate = scalars(at + "log_rate", heads, Initial::log_rates);
    t.skip = scalars(at + "skip", heads, Initial::one);
    t.gain = scalars(at + "gain", inner, Initial::one);
    t.out = g.activation(at + "mixed", rows, inner);
    t.convolved = kept(at + "convolved", channels);
    t.step = statistics(at + "step", heads);
    t.decay = statistics(at + "decay", heads);
    t.y = kept(at + "y", inner);
    t.states = g.statistics(at + "states", 1, shape.states());
    t.rstd = statistics(at + "rstd", 1);
    g.add(mamba2(g, t, shape, taps));
    return project_out(at, t.out, stream);
  }

  TensorId mix_by_mamba3(const std::string& at, TensorId stream) {
    kernels::Mamba3Shape shape{.scan = scan(),
                               .shared_groups = static_cast<std::size_t>(config.mamba_groups),
                               .angles = static_cast<std::size_t>(config.angles())};
    kernels::StateSpaceShape& s = shape.scan;
    s.groups = s.heads;
    s.rank = static_cast<std::size_t>(config.mamba_rank);
    fit_chunk(s);
    const std::size_t keys = s.rank * shape.shared_groups * s.state, turned = s.rank * s.heads * s.state;
    Mamba3Tensors t;
    t.projection = project(at, stream, 2 * inner + 2 * keys + 3 * s.heads + shape.angles);
    t.step_bias = scalars(at + "step_bias", s.heads, Initial::steps);
    t.key_gain = scalars(at + "key_gain", s.state, Initial::one);
    t.query_gain = scalars(at + "query_gain", s.state, Initial::one);
    t.key_bias = scalars(at + "key_bias", turned, Initial::one);
    t.query_bias = scalars(at + "query_bias", turned, Initial::one);
    t.skip = scalars(at + "skip", s.heads, Initial::one);
    if (s.rank > 1) {
      t.spread = g.parameter(at + "spread", s.rank, inner, Initial::per_rank, ParameterGroup::scalar);
      t.spread_gate = g.parameter(at + "spread_gate", s.rank, inner, Initial::one, ParameterGroup::scalar);
      t.mix = g.parameter(at + "mix", s.rank, inner, Initial::per_rank, ParameterGroup::scalar);
    }
    t.out = g.activation(at + "mixed", rows, inner);
    t.keys = kept(at + "keys", turned);
    t.queries = kept(at + "queries", turned);
    t.steps = statistics(at + "steps", 4 * s.heads);
    t.angles = statistics(at + "angles", s.heads * shape.angles);
    t.rstd = statistics(at + "rstd", 2 * s.rank * shape.shared_groups);
    t.y = kept(at + "y", s.rank * inner);
    t.states = g.statistics(at + "states", 1, s.states());
    g.add(mamba3(g, t, shape));
    return project_out(at, t.out, stream);
  }

  TensorId mix_by_convolution(const std::string& at, TensorId stream) {
    ConvolutionTensors t;
    t.projection = project(at, stream, 2 * inner);
    t.taps = g.parameter(at + "taps", taps, inner, Initial::taps, ParameterGroup::scalar);
    t.taps_bias = scalars(at + "taps_bias", inner, Initial::zero);
    t.out = g.activation(at + "mixed", rows, inner);
    t.convolved = kept(at + "convolved", inner);
    g.add(gated_convolution(g, t, batch, taps));
    return project_out(at, t.out, stream);
  }

  TensorId mix(std::size_t index, TensorId stream) {
    const std::string at = "layers." + std::to_string(index) + ".";
    switch (config.mixer_of(index)) {
      case Mixer::attention:
        return attend(index, at + "attention.", stream);
      case Mixer::mamba2:
        return mix_by_mamba2(at + "mamba2.", stream);
      case Mixer::mamba3:
        return mix_by_mamba3(at + "mamba3.", stream);
      case Mixer::convolution:
        break;
    }
    return mix_by_convolution(at + "convolution.", stream);
  }

  TensorId blend_in(std::size_t index, TensorId stream, TensorId beginning) {
    const std::string at = "layers." + std::to_string(index) + ".";
    const TensorId shares = scalars(at + "shares", 2, Initial::first_share),
                   out = g.activation(at + "blend", rows, width);
    g.add(blend(g, out, stream, beginning, shares));
    return out;
  }

  TensorId think(std::size_t index, TensorId stream) {
    const std::string at = "layers." + std::to_string(index) + ".mlp.";
    const auto inside = static_cast<std::size_t>(config.width * config.mlp_ratio);
    const Activation f = config.mlp == "relu2"  ? Activation::relu2
                         : config.mlp == "gelu" ? Activation::gelu
                                                : Activation::swiglu;
    const std::size_t before = f == Activation::swiglu ? 2 * inside : inside;
    const TensorId up = g.parameter(at + "up", before, width, Initial::fan_in),
                   down = g.parameter(at + "down", width, inside, Initial::zero);
    const TensorId out = g.activation(at + "stream", rows, width), hidden = kept(at + "hidden", before);
    g.add(norm_mlp(g, f, out, hidden, norm(at + "rstd"), stream, up, down));
    return out;
  }
};

}  // namespace

LanguageModel make_language_model(const ModelConfig& config, std::size_t batch, ModelUse use, Walk walk) {
  LanguageModel made{.graph = Graph(walk)};
  Graph& g = made.graph;
  Builder builder{g, config, batch, use == ModelUse::training};
  const std::size_t rows = builder.rows, width = builder.width,
                    vocabulary = static_cast<std::size_t>(config.vocabulary);
  const TensorId table = g.parameter("embedding", vocabulary, width, config.tied == 1 ? Initial::tied : Initial::normal,
                                     ParameterGroup::embedding);
  const TensorId embedded = g.activation("embedded", rows, width);
  g.add(embedding(g, embedded, table));
  TensorId stream = g.activation("stream", rows, width);
  g.add(rmsnorm(g, stream, builder.statistics("rstd0", 1), embedded));
  const TensorId beginning = stream;
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(config.depth); ++layer) {
    if (config.residual_mix == 1) stream = builder.blend_in(layer, stream, beginning);
    stream = builder.mix(layer, stream);
    if (config.mlp_ratio > 0) stream = builder.think(layer, stream);
  }
  const TensorId head =
      config.tied == 1 ? table : g.parameter("head", vocabulary, width, Initial::small_normal, ParameterGroup::head);
  const Norm norm{builder.statistics("rstd", 1)};  // its rows are made once: loss and gradients come together
  const auto softcap = static_cast<Full>(config.softcap);
  if (use == ModelUse::inference) {
    made.logits = g.activation("logits", rows, vocabulary);
    g.add(norm_head(g, made.logits, norm, stream, head, softcap));
  } else {
    made.losses = builder.statistics("losses", 1);
    g.keep_to_the_end(made.losses);
    g.add(norm_head_loss(g, made.losses, norm, stream, head, softcap));
  }
  g.plan(use == ModelUse::training ? Graph::Purpose::training : Graph::Purpose::inference);
  return made;
}

double sum_of_losses(const LanguageModel& model, const Memory& memory) {
  const Full* losses = model.graph.read_full(memory, model.losses);
  double sum = 0;
  for (std::size_t i = 0; i < model.graph.tensor(model.losses).rows; ++i) sum += static_cast<double>(losses[i]);
  return sum;
}

namespace {

double drawn(const Tensor& tensor, std::size_t index, std::mt19937_64& random) {
  switch (tensor.initial) {
    case Initial::zero:
      return 0;
    case Initial::one:
      return 1;
    case Initial::per_rank:
      return 1 / static_cast<double>(tensor.rows);
    case Initial::normal:
      return normal(random);
    case Initial::small_normal:
      return 0.001 * normal(random);
    case Initial::tied:
      return 0.02 * normal(random);
    case Initial::first_share:
      return index == 0 ? 1 : 0.1;
    case Initial::fan_in:
      return (2 * unit(random) - 1) * std::sqrt(3.0 / static_cast<double>(tensor.columns));
    case Initial::taps:
      return (2 * unit(random) - 1) / std::sqrt(static_cast<double>(tensor.rows));
    case Initial::log_rates:
      return std::log(1 + 15 * unit(random));
    case Initial::steps:
      break;
  }
  const double step = std::exp(std::log(1e-3) + unit(random) * (std::log(1e-1) - std::log(1e-3)));
  return step + std::log(-std::expm1(-step));
}

}  // namespace

namespace {

double inner_product(const double* a, const double* b, std::size_t size) {
  constexpr std::size_t sums = 8;  // side by side: the order of a single sum would leave vectors unused
  double parts[sums] = {};
  for (std::size_t i = 0; i < size / sums * sums; i += sums) {
    for (std::size_t j = 0; j < sums; ++j) parts[j] += a[i + j] * b[i + j];
  }
  for (std::size_t i = size / sums * sums; i < size; ++i) parts[0] += a[i] * b[i];
  return std::accumulate(std::begin(parts), std::end(parts), 0.0);
}

// Gram-Schmidt on vectors of a normal distribution, in doubles: `count` of them of length `size`, each of norm 1.
std::vector<double> at_right_angles(std::size_t count, std::size_t size, std::mt19937_64& random,
                                    const std::function<bool()>& stopped) {
  std::vector<double> vectors(count * size);
  for (double& one : vectors) one = normal(random);
  for (std::size_t v = 0; v < count && !(stopped && stopped()); ++v) {
    double* now = &vectors[v * size];
    for (std::size_t before = 0; before < v; ++before) {
      const double* other = &vectors[before * size];
      const double share = inner_product(now, other, size);
      for (std::size_t i = 0; i < size; ++i) now[i] -= share * other[i];
    }
    const double length = std::sqrt(inner_product(now, now, size));
    for (std::size_t i = 0; i < size; ++i) now[i] /= length;
  }
  return vectors;
}

void draw_matrix(const Tensor& tensor, Full* at, std::mt19937_64& random, MatrixInit matrices, double scale,
                 const std::function<bool()>& stopped) {
  const double deviation = scale / std::sqrt(static_cast<double>(tensor.columns));
  if (matrices == MatrixInit::orthogonal) {
    const bool wide = tensor.columns >= tensor.rows;
    const std::size_t count = wide ? tensor.rows : tensor.columns, size = wide ? tensor.columns : tensor.rows;
    const std::vector<double> vectors = at_right_angles(count, size, random, stopped);
    const double length = deviation * std::sqrt(static_cast<double>(size));
    for (std::size_t i = 0; i < tensor.count(); ++i) {
      const std::size_t row = i / tensor.columns, column = i % tensor.columns;
      at[i] = static_cast<Full>(length * vectors[wide ? row * size + column : column * size + row]);
    }
    return;
  }
  for (std::size_t i = 0; i < tensor.count(); ++i)
    at[i] = static_cast<Full>(matrices == MatrixInit::normal ? deviation * normal(random)
                                                             : scale * drawn(tensor, i, random));
}

}  // namespace

void initialize(const Graph& graph, Full* parameters, std::uint64_t seed, MatrixInit matrices, double scale,
                const std::function<bool()>& stopped) {
  std::mt19937_64 random(seed);
  for (const Tensor& tensor : graph.tensors()) {
    if (!tensor.parameter) continue;
    if (stopped && stopped()) return;
    Full* at = parameters + tensor.value_at;
    if (tensor.initial == Initial::fan_in) {
      draw_matrix(tensor, at, random, matrices, scale, stopped);
      continue;
    }
    for (std::size_t i = 0; i < tensor.count(); ++i) at[i] = static_cast<Full>(drawn(tensor, i, random));
  }
}

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
