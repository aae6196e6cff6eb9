#include "workers/trainer/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "workers/trainer/muon.h"

namespace overnight::workers {
namespace {

constexpr std::size_t piece_floats = 16384;
constexpr double epsilon_min = 1e-30;  // a float must hold it
constexpr double decay_max = 10;

bool by_muon(const OptimizerSettings& settings, const Tensor& tensor) {
  return settings.optimizer == "muon" && tensor.group == ParameterGroup::matrix;
}

std::size_t scratch_floats(const Graph& graph, const OptimizerSettings& settings) {
  std::size_t most = 0;
  for (const Tensor& tensor : graph.tensors()) {
    if (tensor.parameter && by_muon(settings, tensor)) most = std::max(most, muon_scratch(tensor.rows, tensor.columns));
  }
  return most;
}

std::string why_impossible(const std::string& name, const GroupSettings& group) {
  if (!(group.rate >= 0) || group.rate > 10)
    return name + "_rate " + std::to_string(group.rate) + " is not between 0 and 10";
  for (const auto& [field, beta] : {std::pair{"_beta1 ", group.beta1}, {"_beta2 ", group.beta2}}) {
    if (!(beta < 1)) return name + field + std::to_string(beta) + " is not below 1";
  }
  if (group.epsilon >= 0 && !(group.epsilon >= epsilon_min && group.epsilon <= 1))
    return name + "_epsilon is not between 1e-30 and 1";
  if (!(group.decay <= decay_max)) return name + "_decay " + std::to_string(group.decay) + " is above 10";
  return "";
}

// Muon's second moments are one per row or column.
std::size_t second_floats(const OptimizerSettings& settings, const Tensor& tensor) {
  constexpr std::size_t line = 16;
  const std::size_t count = by_muon(settings, tensor) ? std::max(tensor.rows, tensor.columns) : tensor.count();
  return (count + line - 1) / line * line;
}

std::size_t second_floats(const Graph& graph, const OptimizerSettings& settings) {
  std::size_t sum = 0;
  for (const Tensor& tensor : graph.tensors()) sum += tensor.parameter ? second_floats(settings, tensor) : 0;
  return sum;
}

std::size_t average_floats(const Graph& graph, const OptimizerSettings& settings) {
  return settings.ema > 0 ? graph.parameter_floats() : 0;
}

}  // namespace

std::string why_impossible(const OptimizerSettings& s) {
  if (s.optimizer != "adamw" && s.optimizer != "muon")
    return "optimizer \"" + s.optimizer + "\" is not known; adamw and muon are";
  if (s.decay_schedule != "fixed" && s.decay_schedule != "linear" && s.decay_schedule != "cosine")
    return "decay_schedule \"" + s.decay_schedule + "\" is not known; fixed, linear and cosine are";
  if (s.orthogonalizer != "polar" && s.orthogonalizer != "newton-schulz")
    return "orthogonalizer \"" + s.orthogonalizer + "\" is not known; polar and newton-schulz are";
  if (!(s.learning_rate > 0) || s.learning_rate > 10)
    return "learning_rate " + std::to_string(s.learning_rate) + " is not above 0 and at most 10";
  const std::pair<std::string, const GroupSettings&> groups[] = {{"matrix", s.matrix},
                                                                 {"embedding", s.embedding},
                                                                 {"head", s.head},
                                                                 {"scalar", s.scalar},
                                                                 {"residual", s.residual}};
  for (const auto& [name, group] : groups) {
    if (std::string why = why_impossible(name, group); !why.empty()) return why;
  }
  if (!(s.embedding_scale > 0) || s.embedding_scale > 1000)
    return "embedding_scale " + std::to_string(s.embedding_scale) + " is not above 0 and at most 1000";
  const std::pair<const char*, double> shares[] = {{"beta1", s.beta1},
                                                   {"beta2", s.beta2},
                                                   {"momentum", s.momentum.height},
                                                   {"momentum_start", s.momentum.start},
                                                   {"momentum_end", s.momentum.end},
                                                   {"muon_beta2", s.muon_beta2},
                                                   {"ema", s.ema}};
  for (const auto& [name, share] : shares) {
    if (!(share >= 0 && share < 1)) return std::string(name) + " " + std::to_string(share) + " does not lie in [0, 1)";
  }
  if (!(s.weight_decay >= 0) || s.weight_decay > decay_max)
    return "weight_decay " + std::to_string(s.weight_decay) + " is not between 0 and 10";
  if (!(s.clip >= 0)) return "clip must not be negative";
  if (!(s.epsilon >= epsilon_min && s.epsilon <= 1)) return "epsilon is not between 1e-30 and 1";
  if (s.momentum.warmup_steps < 0) return "momentum_warmup must not be negative";
  for (const auto& [name, share] : {std::pair{"momentum_rise", s.momentum.rise}, {"momentum_fall", s.momentum.fall}}) {
    if (!(share >= 0 && share <= 1)) return std::string(name) + " " + std::to_string(share) + " does not lie in [0, 1]";
  }
  return "";
}

std::size_t optimizer_bytes(const Graph& graph, const OptimizerSettings& settings, std::size_t threads) {
  return Block::bytes_of(graph.parameter_floats()) + Block::bytes_of(second_floats(graph, settings)) +
         Block::bytes_of(average_floats(graph, settings)) + threads * Block::bytes_of(scratch_floats(graph, settings));
}

double optimizer_flops(const Graph& graph, const OptimizerSettings& settings) {
  double sum = 0;
  for (const Tensor& tensor : graph.tensors()) {
    if (tensor.parameter && by_muon(settings, tensor)) sum += orthogonalize_flops(tensor.rows, tensor.columns);
  }
  return sum;
}

Optimizer::Optimizer(const Graph& graph, const OptimizerSettings& settings, std::size_t threads)
    : settings_(settings),
      floats_(graph.parameter_floats()),
      second_floats_(second_floats(graph, settings)),
      first_(graph.parameter_floats()),
      second_(second_floats(graph, settings)),
      average_(average_floats(graph, settings)) {
  for (std::size_t i = 0; i < threads; ++i) scratch_.emplace_back(scratch_floats(graph, settings));
  std::size_t second_at = 0;
  for (const Tensor& tensor : graph.tensors()) {
    if (!tensor.parameter) continue;
    const bool whole = by_muon(settings, tensor);
    const bool shares = tensor.initial == Initial::first_share;  // two numbers of two groups
    const std::size_t piece = whole ? tensor.count() : shares ? 1 : piece_floats;
    for (std::size_t from = 0; from < tensor.count(); from += piece)
      units_.push_back({&tensor, tensor.value_at + from, std::min(piece, tensor.count() - from), second_at + from,
                        shares && from == 0 ? ParameterGroup::residual : tensor.group, whole});
    second_at += second_floats(settings, tensor);
  }
  const auto cost = [](const Unit& unit) {
    return unit.whole ? unit.count * std::min(unit.tensor->rows, unit.tensor->columns) : unit.count;
  };
  std::stable_sort(units_.begin(), units_.end(), [&](const Unit& a, const Unit& b) { return cost(a) > cost(b); });
}

Optimizer::Carried Optimizer::carried() {
  Carried all{step_, {{"first", first_.get(), floats_}, {"second", second_.get(), second_floats_}}};
  if (settings_.ema > 0) all.moments.push_back({"average", average_.get(), floats_});
  return all;
}

void Optimizer::begin(const Moment& moment) {
  moment_ = moment;
  ++step_;
}

double Optimizer::rate_of(ParameterGroup group) const {
  const auto own = [&](double rate, double otherwise) { return (rate > 0 ? rate : otherwise) * moment_.factor; };
  switch (group) {
    case ParameterGroup::embedding:
      return own(settings_.embedding.rate, settings_.learning_rate * settings_.embedding_scale) *
             settings_.width_factor;
    case ParameterGroup::head:
      return own(settings_.head.rate, settings_.learning_rate * settings_.embedding_scale) * settings_.width_factor;
    case ParameterGroup::scalar:
      return own(settings_.scalar.rate, settings_.learning_rate);
    case ParameterGroup::residual:
      return own(settings_.residual.rate, settings_.scalar.rate > 0 ? settings_.scalar.rate : settings_.learning_rate);
    case ParameterGroup::matrix:
      break;
  }
  return own(settings_.matrix.rate, settings_.optimizer == "muon" ? muon_rate_default : settings_.learning_rate);
}

void Optimizer::work(std::size_t index, std::size_t thread, float* parameters, const float* gradients) {
  const Unit& unit = units_[index];
  if (unit.whole) {
    muon(unit, thread, parameters, gradients);
  } else {
    adamw(unit, parameters, gradients);
  }
  if (settings_.ema <= 0) return;
  // The mean of a few steps is of a few steps: it forgets the beginning at once.
  const float keep = static_cast<float>(std::min(settings_.ema, 1 - 1 / static_cast<double>(step_)));
  float* mean = average_.get() + unit.at;
  const float* now = parameters + unit.at;
  for (std::size_t i = 0; i < unit.count; ++i) mean[i] = keep * mean[i] + (1 - keep) * now[i];
}

namespace {

float gradient_scale(double clip, double norm) { return clip > 0 && norm > clip ? static_cast<float>(clip / norm) : 1; }

// What is left of a decay.
double decay_factor(const std::string& schedule, double progress) {
  progress = std::clamp(progress, 0.0, 1.0);
  if (schedule == "linear") return 1 - progress;
  return schedule == "cosine" ? 0.5 + 0.5 * std::cos(std::numbers::pi * progress) : 1;
}

}  // namespace

const GroupSettings& Optimizer::group_of(const Unit& unit) const {
  switch (unit.group) {
    case ParameterGroup::embedding:
      return settings_.embedding;
    case ParameterGroup::head:
      return settings_.head;
    case ParameterGroup::scalar:
      return settings_.scalar;
    case ParameterGroup::residual:
      return settings_.residual;
    case ParameterGroup::matrix:
      break;
  }
  return settings_.matrix;
}

double Optimizer::decay_of(const Unit& unit) const {
  const double own = group_of(unit).decay, common = unit.group == ParameterGroup::matrix ? settings_.weight_decay : 0;
  return (own >= 0 ? own : common) * decay_factor(settings_.decay_schedule, moment_.progress);
}

void Optimizer::adamw(const Unit& unit, float* parameters, const float* gradients) {
  const GroupSettings& group = group_of(unit);
  const double beta1 = group.beta1 >= 0 ? group.beta1 : settings_.beta1,
               beta2 = group.beta2 >= 0 ? group.beta2 : settings_.beta2,
               epsilon = group.epsilon > 0 ? group.epsilon : settings_.epsilon;
  const double steps = static_cast<double>(step_), correction1 = 1 / (1 - std::pow(beta1, steps)),
               correction2 = 1 / (1 - std::pow(beta2, steps));
  kernels::cpu_backend().adamw(
      parameters + unit.at, first_.get() + unit.at, second_.get() + unit.second_at, gradients + unit.at, unit.count,
      static_cast<float>(rate_of(unit.group)), static_cast<float>(beta1), static_cast<float>(beta2),
      static_cast<float>(correction1), static_cast<float>(correction2), static_cast<float>(epsilon),
      static_cast<float>(decay_of(unit)), gradient_scale(settings_.clip, moment_.gradient_norm));
}

void Optimizer::muon(const Unit& unit, std::size_t thread, float* parameters, const float* gradients) {
  MuonSettings settings;
  settings.by = settings_.orthogonalizer == "polar" ? Orthogonalizer::polar_express : Orthogonalizer::newton_schulz;
  settings.rate = static_cast<float>(rate_of(unit.group));
  settings.momentum = static_cast<float>(settings_.momentum.at(step_, moment_.progress));
  settings.beta2 = static_cast<float>(settings_.muon_beta2);
  settings.weight_decay = static_cast<float>(decay_of(unit));
  settings.gradient_scale = gradient_scale(settings_.clip, moment_.gradient_norm);
  muon_step(kernels::cpu_backend(), parameters + unit.at, first_.get() + unit.at, second_.get() + unit.second_at,
            gradients + unit.at, unit.tensor->rows, unit.tensor->columns, settings, scratch_[thread].get());
}

}  // namespace overnight::workers
