#include "workers/trainer/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "workers/trainer/muon.h"

namespace overnight::workers {
namespace {

constexpr std::size_t piece_floats = 16384;

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

OptimizerLayout layout_of(const Graph& graph, const OptimizerSettings& settings, std::size_t piece) {
  OptimizerLayout layout;
  for (const Tensor& tensor : graph.tensors()) {
    if (!tensor.parameter) continue;
    const bool whole = by_muon(settings, tensor);
    const bool shares = tensor.initial == Initial::first_share;  // two numbers of two groups
    const std::size_t at_once = whole ? tensor.count() : shares ? 1 : piece;
    for (std::size_t from = 0; from < tensor.count(); from += at_once)
      layout.units.push_back({&tensor, tensor.value_at + from, std::min(at_once, tensor.count() - from),
                              layout.second_floats + from,
                              shares && from == 0 ? ParameterGroup::residual : tensor.group, whole});
    layout.second_floats += second_floats(settings, tensor);
  }
  return layout;
}

Optimizer::Optimizer(const Graph& graph, const OptimizerSettings& settings, std::size_t threads)
    : settings_(settings),
      floats_(graph.parameter_floats()),
      second_floats_(second_floats(graph, settings)),
      units_(layout_of(graph, settings, piece_floats).units),
      first_(graph.parameter_floats()),
      second_(second_floats(graph, settings)),
      average_(average_floats(graph, settings)) {
  for (std::size_t i = 0; i < threads; ++i) scratch_.emplace_back(scratch_floats(graph, settings));
  const auto cost = [](const OptimizerUnit& unit) {
    return unit.whole ? unit.count * std::min(unit.tensor->rows, unit.tensor->columns) : unit.count;
  };
  std::stable_sort(units_.begin(), units_.end(),
                   [&](const OptimizerUnit& a, const OptimizerUnit& b) { return cost(a) > cost(b); });
}

Optimizer::Carried Optimizer::carried() {
  Carried all{step_, {{"first", first_.get(), floats_}, {"second", second_.get(), second_floats_}}};
  if (settings_.ema > 0) all.moments.push_back({"average", average_.get(), floats_});
  return all;
}

void Optimizer::begin(double factor, double progress, double gradient_norm) {
  numbers_ = step_numbers(settings_, {factor, progress, ++step_});
  gradient_scale_ = gradient_scale(settings_.clip, gradient_norm);
}

void Optimizer::work(std::size_t index, std::size_t thread, float* parameters, const float* gradients) {
  const OptimizerUnit& unit = units_[index];
  if (unit.whole) {
    muon(unit, thread, parameters, gradients);
  } else {
    adamw(unit, parameters, gradients);
  }
  if (settings_.ema <= 0) return;
  const float keep = numbers_.mean_keep;
  float* mean = average_.get() + unit.at;
  const float* now = parameters + unit.at;
  for (std::size_t i = 0; i < unit.count; ++i) mean[i] = keep * mean[i] + (1 - keep) * now[i];
}

void Optimizer::adamw(const OptimizerUnit& unit, float* parameters, const float* gradients) {
  const kernels::StepNumbers::Group& group = numbers_.groups[static_cast<std::size_t>(unit.group)];
  kernels::cpu_backend().adamw(parameters + unit.at, first_.get() + unit.at, second_.get() + unit.second_at,
                               gradients + unit.at, unit.count, group.rate, group.beta1, group.beta2, group.correction1,
                               group.correction2, group.epsilon, group.decay, gradient_scale_);
}

void Optimizer::muon(const OptimizerUnit& unit, std::size_t thread, float* parameters, const float* gradients) {
  MuonSettings settings;
  settings.by = settings_.orthogonalizer == "polar" ? Orthogonalizer::polar_express : Orthogonalizer::newton_schulz;
  settings.rate = numbers_.muon_rate;
  settings.momentum = numbers_.momentum;
  settings.beta2 = numbers_.muon_beta2;
  settings.weight_decay = numbers_.muon_decay;
  settings.gradient_scale = gradient_scale_;
  muon_step(kernels::cpu_backend(), parameters + unit.at, first_.get() + unit.at, second_.get() + unit.second_at,
            gradients + unit.at, unit.tensor->rows, unit.tensor->columns, settings, scratch_[thread].get());
}

}  // namespace overnight::workers
