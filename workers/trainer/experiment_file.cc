#include "workers/trainer/experiment_file.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "workers/model/json_object.h"

namespace overnight::workers {
namespace {

using budgets::Result;
using budgets::unexpected;
using nlohmann::json;

constexpr const char* preset_name = "preset";

// Where a parameter lies in the settings. One of the three is set.
struct Parameter {
  const char *name, *meaning;
  std::int64_t* (*whole)(TrainingSettings&) = nullptr;
  double* (*real)(TrainingSettings&) = nullptr;
  std::string* (*text)(TrainingSettings&) = nullptr;

  constexpr Parameter(const char* n, const char* m, std::int64_t* (*at)(TrainingSettings&))
      : name(n), meaning(m), whole(at) {}
  constexpr Parameter(const char* n, const char* m, double* (*at)(TrainingSettings&)) : name(n), meaning(m), real(at) {}
  constexpr Parameter(const char* n, const char* m, std::string* (*at)(TrainingSettings&))
      : name(n), meaning(m), text(at) {}
};

template <auto member>
auto* own(TrainingSettings& s) {
  return &(s.*member);
}
template <auto member>
auto* model(TrainingSettings& s) {
  return &(s.model.*member);
}
template <auto member>
auto* schedule(TrainingSettings& s) {
  return &(s.schedule.*member);
}
template <auto member>
auto* optimizer(TrainingSettings& s) {
  return &(s.optimizer.*member);
}
template <auto member>
auto* momentum(TrainingSettings& s) {
  return &(s.optimizer.momentum.*member);
}
template <auto group, auto member>
auto* of_group(TrainingSettings& s) {
  return &(s.optimizer.*group.*member);
}

using M = ModelConfig;
using O = OptimizerSettings;
using G = GroupSettings;
using T = TrainingSettings;

constexpr Parameter parameters[] = {
    {"depth", "layers", model<&M::depth>},
    {"width", "numbers per token in the stream", model<&M::width>},
    {"heads", "of attention", model<&M::heads>},
    {"context", "tokens that a sequence has", model<&M::context>},
    {"mlp", "relu2, gelu or swiglu", model<&M::mlp>},
    {"mlp_ratio", "inner width of an MLP / width; 0: layers have none", model<&M::mlp_ratio>},
    {"mixer", "pattern of layers, repeated to the depth: A attention, M Mamba-2, 3 Mamba-3, C short convolution",
     model<&M::mixer>},
    {"vocabulary", "tokens; above 257 byte pairs are learned from the documents first", model<&M::vocabulary>},
    {"tied", "1: the embedding is the head, too", model<&M::tied>},
    {"softcap", "c above 0: a logit x becomes c * tanh(x / c)", model<&M::softcap>},
    {"residual_mix", "1: each layer blends the stream with its beginning", model<&M::residual_mix>},
    {"value_embeddings", "1: in every other layer tokens add to their values", model<&M::value_embeddings>},
    {"kv_heads", "of keys and values; 0: as many as heads", model<&M::kv_heads>},
    {"window", "pattern of layers: L sees all, S short_window; the last layer all", model<&M::window>},
    {"short_window", "tokens; 0: half of the context", model<&M::short_window>},
    {"rope_base", "of the rotary embedding", model<&M::rope_base>},
    {"expand", "inner width of Mamba and convolution layers / width", model<&M::expand>},
    {"state", "numbers per channel that a Mamba layer carries on", model<&M::state>},
    {"mamba_head", "channels per head", model<&M::mamba_head>},
    {"mamba_groups", "of heads that share keys and queries", model<&M::mamba_groups>},
    {"mamba_rank", "of Mamba-3; above 1 it is MIMO", model<&M::mamba_rank>},
    {"chunk", "tokens that a Mamba layer works on at once; divides the context", model<&M::chunk>},
    {"taps", "of short convolutions", model<&M::taps>},
    {"aspect", "above 0: the width is depth * aspect", own<&T::aspect>},
    {"head_size", "above 0: heads is width / head_size", own<&T::head_size>},
    {"init", "how matrices begin: uniform, normal or orthogonal", own<&T::init>},
    {"init_scale", "factor of it", own<&T::init_scale>},
    {"batch", "sequences per step", own<&T::batch>},
    {"batch_tokens", "above 0: the batch in tokens", own<&T::batch_tokens>},
    {"seconds", "budget in time, from the start of the process", own<&T::seconds>},
    {"steps", "budget in steps", own<&T::steps>},
    {"seed", "of weights and batches", own<&T::seed>},
    {"threads", "0: as many as this process may have", own<&T::threads>},
    {"lanes",
     "parts of a batch with gradients of their own; 0: one per thread, or two under a budget in steps; on a "
     "GPU, one after the other, the fewest that its memory takes",
     own<&T::lanes>},
    {"device", "cpu, cuda, or auto: a GPU if there is one", own<&T::device>},
    {"precision", "of a GPU's matrices and activations: bfloat16 or float", own<&T::precision>},
    {"deterministic",
     "1: a rerun with as many lanes on the same kind of GPU gives the same bits; products go the library's first way",
     own<&T::deterministic>},
    {"learning_rate", "of what has no rate of its own", optimizer<&O::learning_rate>},
    {"warmup", "share of the training with a rising rate", schedule<&Schedule::warmup>},
    {"warmdown", "share of it, at the end, with a falling rate", schedule<&Schedule::warmdown>},
    {"floor", "what is left of the rate at the end", schedule<&Schedule::floor>},
    {"scale_rates", "1: rates of embedding and head times (width / 768)^-1/2", own<&T::scale_rates>},
    {"optimizer", "of matrices: adamw or muon", optimizer<&O::optimizer>},
    {"beta1", "of AdamW: memory of the mean", optimizer<&O::beta1>},
    {"beta2", "of AdamW: memory of the variance", optimizer<&O::beta2>},
    {"epsilon", "of AdamW", optimizer<&O::epsilon>},
    {"weight_decay", "of matrices", optimizer<&O::weight_decay>},
    {"decay_schedule", "fixed, or to nothing over the training: linear or cosine", optimizer<&O::decay_schedule>},
    {"clip", "largest norm of the gradient; 0: none", optimizer<&O::clip>},
    {"ema", "above 0: leaves a running mean of the weights, such as 0.999", optimizer<&O::ema>},
    {"embedding_scale", "factor of the learning rate for embedding and head without their own",
     optimizer<&O::embedding_scale>},
    {"orthogonalizer", "of Muon: polar or newton-schulz", optimizer<&O::orthogonalizer>},
    {"muon_beta2", "of NorMuon; 0: plain Muon", optimizer<&O::muon_beta2>},
    {"momentum", "of Muon, at its height", momentum<&Momentum::height>},
    {"momentum_start", "where it begins", momentum<&Momentum::start>},
    {"momentum_end", "where it ends; 0: it stays", momentum<&Momentum::end>},
    {"momentum_warmup", "steps in which it rises", momentum<&Momentum::warmup_steps>},
    {"momentum_rise", "above 0: the share of the training in which it rises, instead of steps",
     momentum<&Momentum::rise>},
    {"momentum_fall", "share of the training, at the end, in which it falls to momentum_end",
     momentum<&Momentum::fall>},
    {"matrix_rate", "of matrices; 0: learning_rate; with Muon 0.02", of_group<&O::matrix, &G::rate>},
    {"matrix_beta1", "below 0: beta1", of_group<&O::matrix, &G::beta1>},
    {"matrix_beta2", "below 0: beta2", of_group<&O::matrix, &G::beta2>},
    {"matrix_epsilon", "below 0: epsilon", of_group<&O::matrix, &G::epsilon>},
    {"matrix_decay", "below 0: weight_decay", of_group<&O::matrix, &G::decay>},
    {"embedding_rate", "of embeddings; 0: learning_rate * embedding_scale", of_group<&O::embedding, &G::rate>},
    {"embedding_beta1", "below 0: beta1", of_group<&O::embedding, &G::beta1>},
    {"embedding_beta2", "below 0: beta2", of_group<&O::embedding, &G::beta2>},
    {"embedding_epsilon", "below 0: epsilon", of_group<&O::embedding, &G::epsilon>},
    {"embedding_decay", "below 0: none", of_group<&O::embedding, &G::decay>},
    {"head_rate", "of the head; 0: learning_rate * embedding_scale", of_group<&O::head, &G::rate>},
    {"head_beta1", "below 0: beta1", of_group<&O::head, &G::beta1>},
    {"head_beta2", "below 0: beta2", of_group<&O::head, &G::beta2>},
    {"head_epsilon", "below 0: epsilon", of_group<&O::head, &G::epsilon>},
    {"head_decay", "below 0: none", of_group<&O::head, &G::decay>},
    {"scalar_rate", "of scalars, gains and biases; 0: learning_rate", of_group<&O::scalar, &G::rate>},
    {"scalar_beta1", "below 0: beta1", of_group<&O::scalar, &G::beta1>},
    {"scalar_beta2", "below 0: beta2", of_group<&O::scalar, &G::beta2>},
    {"scalar_epsilon", "below 0: epsilon", of_group<&O::scalar, &G::epsilon>},
    {"scalar_decay", "below 0: none", of_group<&O::scalar, &G::decay>},
    {"residual_rate", "of the stream's own share in blends; 0: scalar_rate", of_group<&O::residual, &G::rate>},
    {"residual_beta1", "below 0: beta1", of_group<&O::residual, &G::beta1>},
    {"residual_beta2", "below 0: beta2", of_group<&O::residual, &G::beta2>},
    {"residual_epsilon", "below 0: epsilon", of_group<&O::residual, &G::epsilon>},
    {"residual_decay", "below 0: none", of_group<&O::residual, &G::decay>},
};

// What karpathy/autoresearch's train.py has, knob for knob; sized for a GPU.
void take_autoresearch(TrainingSettings& s) {
  s.model.depth = 8, s.model.context = 2048, s.model.vocabulary = 8192;
  s.model.window = "SSSL", s.model.value_embeddings = 1, s.model.residual_mix = 1, s.model.softcap = 15;
  s.aspect = 64, s.head_size = 128, s.batch_tokens = 524288, s.scale_rates = 1;
  s.schedule = {.warmup = 0, .warmdown = 0.5, .floor = 0};
  OptimizerSettings& o = s.optimizer;
  o.optimizer = "muon", o.weight_decay = 0.2, o.decay_schedule = "linear", o.clip = 0;
  o.beta1 = 0.8, o.beta2 = 0.95, o.epsilon = 1e-10;
  o.matrix.rate = 0.04, o.embedding.rate = 0.6, o.head.rate = 0.004, o.scalar.rate = 0.5, o.residual.rate = 0.005;
  o.scalar.beta1 = 0.96;
}

template <typename Number>
bool read(const std::string& text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

// A limit that is there and cannot be read must not pass for none. 0: none.
Result<void, std::string> read_limits(TrainingSettings& settings, const json& limits) {
  if (limits.is_null()) return {};
  if (!limits.is_object()) return unexpected("limits " + limits.dump() + " are no object");
  const auto limit = [&](const char* name) -> Result<std::int64_t, std::string> {
    const json value = limits.value(name, json());
    if (value.is_null()) return 0;
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::uint64_t{1} << 62)
      return unexpected("limits." + std::string(name) + " " + value.dump() + " is not a whole number of 0 or more");
    return value.get<std::int64_t>();
  };
  const auto budget = limit("train_budget_ms"), memory = limit("memory_bytes");
  if (!budget) return unexpected(budget.error());
  if (!memory) return unexpected(memory.error());
  if (*budget > 0 && settings.steps == 0 && settings.seconds == 0)
    settings.seconds = static_cast<double>(*budget) / 1000;
  settings.memory_limit = *memory;
  return {};
}

}  // namespace

std::string parameter_names() {
  std::string names = preset_name;
  for (const Parameter& parameter : parameters) names += " " + std::string(parameter.name);
  return names;
}

std::string parameter_table() {
  TrainingSettings defaults;
  defaults.threads = 0;
  std::string table =
      "  preset                      autoresearch: what its train.py has; what is said after it stands\n"
      "                              (its rates are by group: learning_rate sets none of them)\n";
  for (const Parameter& parameter : parameters) {
    char value[40];
    if (parameter.whole != nullptr)
      std::snprintf(value, sizeof value, "%lld", static_cast<long long>(*parameter.whole(defaults)));
    else if (parameter.real != nullptr)
      std::snprintf(value, sizeof value, "%g", *parameter.real(defaults));
    else
      std::snprintf(value, sizeof value, "%s", parameter.text(defaults)->c_str());
    char line[200];
    std::snprintf(line, sizeof line, "  %-18s %-8s %s\n", parameter.name, value, parameter.meaning);
    table += line;
  }
  return table;
}

Result<void, std::string> set_parameter(TrainingSettings& settings, const std::string& name, const std::string& value) {
  if (name == preset_name) {
    if (value != "autoresearch") return unexpected("preset \"" + value + "\" is not known; autoresearch is");
    take_autoresearch(settings);
    return {};
  }
  for (const Parameter& parameter : parameters) {
    if (name != parameter.name) continue;
    if (parameter.whole != nullptr && !read(value, *parameter.whole(settings)))
      return unexpected(name + ": \"" + value + "\" is not a whole number");
    if (parameter.real != nullptr &&
        (!read(value, *parameter.real(settings)) || !std::isfinite(*parameter.real(settings))))
      return unexpected(name + ": \"" + value + "\" is not a number");
    if (parameter.text != nullptr) *parameter.text(settings) = value;
    // Said in other words before, by a preset: the later word stands.
    if (name == "width") settings.aspect = 0;
    if (name == "heads") settings.head_size = 0;
    if (name == "batch") settings.batch_tokens = 0;
    return {};
  }
  return unexpected("\"" + name + "\" is not a parameter; known are: " + parameter_names());
}

Result<void, std::string> read_experiment(TrainingSettings& settings, const std::string& text) {
  const auto parsed = parse_json_object(text);
  if (!parsed) return unexpected("the experiment file " + parsed.error());
  const json& j = *parsed;
  if (!j.contains("params") || !j["params"].is_object())
    return unexpected(std::string("the experiment file has no \"params\""));
  if (j["params"].contains(preset_name)) {  // first, so that all others stand
    const json& preset = j["params"][preset_name];
    if (auto set = set_parameter(settings, preset_name, preset.is_string() ? preset.get<std::string>() : preset.dump());
        !set)
      return set;
  }
  for (const auto& [name, value] : j["params"].items()) {
    if (name == preset_name) continue;
    if (name == "seed")
      return unexpected(std::string("seed is the trial's own; it cannot be a parameter of the search as well"));
    const std::string written = value.is_string() ? value.get<std::string>() : value.dump();
    if (auto set = set_parameter(settings, name, written); !set) return set;
  }
  if (j.contains("seed") && !j["seed"].is_null()) {
    if (!j["seed"].is_number_integer()) return unexpected("seed " + j["seed"].dump() + " is not a whole number");
    settings.seed = j["seed"].get<std::int64_t>();
  }
  return read_limits(settings, j.value("limits", json()));
}

}  // namespace overnight::workers
