#include "workers/trainer/experiment_file.h"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace overnight::workers {
namespace {

using budgets::Result;
using budgets::unexpected;
using nlohmann::json;

struct Parameter {
  const char* name;
  std::int64_t* (*whole)(TrainingSettings&);
  double* (*real)(TrainingSettings&);
  std::string* (*text)(TrainingSettings&) = nullptr;
};

constexpr Parameter parameters[] = {
    {"depth", [](TrainingSettings& s) { return &s.model.depth; }, nullptr},
    {"width", [](TrainingSettings& s) { return &s.model.width; }, nullptr},
    {"heads", [](TrainingSettings& s) { return &s.model.heads; }, nullptr},
    {"context", [](TrainingSettings& s) { return &s.model.context; }, nullptr},
    {"mlp_ratio", [](TrainingSettings& s) { return &s.model.mlp_ratio; }, nullptr},
    {"mixer", nullptr, nullptr, [](TrainingSettings& s) { return &s.model.mixer; }},
    {"vocabulary", [](TrainingSettings& s) { return &s.model.vocabulary; }, nullptr},
    {"mlp", nullptr, nullptr, [](TrainingSettings& s) { return &s.model.mlp; }},
    {"tied", [](TrainingSettings& s) { return &s.model.tied; }, nullptr},
    {"softcap", nullptr, [](TrainingSettings& s) { return &s.model.softcap; }},
    {"residual_mix", [](TrainingSettings& s) { return &s.model.residual_mix; }, nullptr},
    {"value_embeddings", [](TrainingSettings& s) { return &s.model.value_embeddings; }, nullptr},
    {"kv_heads", [](TrainingSettings& s) { return &s.model.kv_heads; }, nullptr},
    {"window", nullptr, nullptr, [](TrainingSettings& s) { return &s.model.window; }},
    {"short_window", [](TrainingSettings& s) { return &s.model.short_window; }, nullptr},
    {"rope_base", nullptr, [](TrainingSettings& s) { return &s.model.rope_base; }},
    {"expand", [](TrainingSettings& s) { return &s.model.expand; }, nullptr},
    {"state", [](TrainingSettings& s) { return &s.model.state; }, nullptr},
    {"mamba_head", [](TrainingSettings& s) { return &s.model.mamba_head; }, nullptr},
    {"mamba_groups", [](TrainingSettings& s) { return &s.model.mamba_groups; }, nullptr},
    {"mamba_rank", [](TrainingSettings& s) { return &s.model.mamba_rank; }, nullptr},
    {"chunk", [](TrainingSettings& s) { return &s.model.chunk; }, nullptr},
    {"taps", [](TrainingSettings& s) { return &s.model.taps; }, nullptr},
    {"batch", [](TrainingSettings& s) { return &s.batch; }, nullptr},
    {"batch_tokens", [](TrainingSettings& s) { return &s.batch_tokens; }, nullptr},
    {"aspect", [](TrainingSettings& s) { return &s.aspect; }, nullptr},
    {"head_size", [](TrainingSettings& s) { return &s.head_size; }, nullptr},
    {"steps", [](TrainingSettings& s) { return &s.steps; }, nullptr},
    {"seed", [](TrainingSettings& s) { return &s.seed; }, nullptr},
    {"threads", [](TrainingSettings& s) { return &s.threads; }, nullptr},
    {"lanes", [](TrainingSettings& s) { return &s.lanes; }, nullptr},
    {"seconds", nullptr, [](TrainingSettings& s) { return &s.seconds; }},
    {"learning_rate", nullptr, [](TrainingSettings& s) { return &s.optimizer.learning_rate; }},
    {"embedding_scale", nullptr, [](TrainingSettings& s) { return &s.optimizer.embedding_scale; }},
    {"beta1", nullptr, [](TrainingSettings& s) { return &s.optimizer.beta1; }},
    {"beta2", nullptr, [](TrainingSettings& s) { return &s.optimizer.beta2; }},
    {"weight_decay", nullptr, [](TrainingSettings& s) { return &s.optimizer.weight_decay; }},
    {"clip", nullptr, [](TrainingSettings& s) { return &s.optimizer.clip; }},
    {"optimizer", nullptr, nullptr, [](TrainingSettings& s) { return &s.optimizer.optimizer; }},
    {"matrix_rate", nullptr, [](TrainingSettings& s) { return &s.optimizer.matrix_rate; }},
    {"embedding_rate", nullptr, [](TrainingSettings& s) { return &s.optimizer.embedding_rate; }},
    {"head_rate", nullptr, [](TrainingSettings& s) { return &s.optimizer.head_rate; }},
    {"scalar_rate", nullptr, [](TrainingSettings& s) { return &s.optimizer.scalar_rate; }},
    {"decay_schedule", nullptr, nullptr, [](TrainingSettings& s) { return &s.optimizer.decay_schedule; }},
    {"orthogonalizer", nullptr, nullptr, [](TrainingSettings& s) { return &s.optimizer.orthogonalizer; }},
    {"momentum", nullptr, [](TrainingSettings& s) { return &s.optimizer.momentum; }},
    {"momentum_warmup", [](TrainingSettings& s) { return &s.optimizer.momentum_warmup; }, nullptr},
    {"muon_beta2", nullptr, [](TrainingSettings& s) { return &s.optimizer.muon_beta2; }},
    {"ema", nullptr, [](TrainingSettings& s) { return &s.optimizer.ema; }},
    {"warmup", nullptr, [](TrainingSettings& s) { return &s.schedule.warmup; }},
    {"warmdown", nullptr, [](TrainingSettings& s) { return &s.schedule.warmdown; }},
    {"floor", nullptr, [](TrainingSettings& s) { return &s.schedule.floor; }},
};

template <typename Number>
bool read(const std::string& text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string parameter_names() {
  std::string names;
  for (const Parameter& parameter : parameters) names += (names.empty() ? "" : " ") + std::string(parameter.name);
  return names;
}

Result<void, std::string> set_parameter(TrainingSettings& settings, const std::string& name, const std::string& value) {
  for (const Parameter& parameter : parameters) {
    if (name != parameter.name) continue;
    if (parameter.whole != nullptr && !read(value, *parameter.whole(settings)))
      return unexpected(name + ": \"" + value + "\" is not a whole number");
    if (parameter.real != nullptr &&
        (!read(value, *parameter.real(settings)) || !std::isfinite(*parameter.real(settings))))
      return unexpected(name + ": \"" + value + "\" is not a number");
    if (parameter.text != nullptr) *parameter.text(settings) = value;
    return {};
  }
  return unexpected("\"" + name + "\" is not a parameter; known are: " + parameter_names());
}

Result<void, std::string> read_experiment(TrainingSettings& settings, const std::string& text) {
  const json j = json::parse(text, nullptr, false);
  if (!j.is_object() || !j.contains("params") || !j["params"].is_object())
    return unexpected(std::string("the experiment file has no \"params\""));
  for (const auto& [name, value] : j["params"].items()) {
    if (name == "seed")
      return unexpected(std::string("seed is the trial's own; it cannot be a parameter of the search as well"));
    const std::string written = value.is_string() ? value.get<std::string>() : value.dump();
    if (auto set = set_parameter(settings, name, written); !set) return set;
  }
  if (j.contains("seed") && j["seed"].is_number_integer()) settings.seed = j["seed"].get<std::int64_t>();
  if (j.contains("limits") && j["limits"].is_object()) {
    const json budget = j["limits"].value("train_budget_ms", json(0));
    if (budget.is_number() && budget.get<double>() > 0 && settings.steps == 0 && settings.seconds == 0)
      settings.seconds = budget.get<double>() / 1000;
    const json memory = j["limits"].value("memory_bytes", json(0));
    if (memory.is_number_integer()) settings.memory_limit = memory.get<std::int64_t>();
  }
  return {};
}

}  // namespace overnight::workers
