#include "workers/trainer/optimizer_settings.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace overnight::workers {
namespace {

constexpr double epsilon_min = 1e-30;  // a float must hold it
constexpr double decay_max = 10;

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

// What is left of a decay.
double decay_factor(const std::string& schedule, double progress) {
  progress = std::clamp(progress, 0.0, 1.0);
  if (schedule == "linear") return 1 - progress;
  return schedule == "cosine" ? 0.5 + 0.5 * std::cos(std::numbers::pi * progress) : 1;
}

const GroupSettings& group_of(const OptimizerSettings& settings, ParameterGroup group) {
  switch (group) {
    case ParameterGroup::embedding:
      return settings.embedding;
    case ParameterGroup::head:
      return settings.head;
    case ParameterGroup::scalar:
      return settings.scalar;
    case ParameterGroup::residual:
      return settings.residual;
    case ParameterGroup::matrix:
      break;
  }
  return settings.matrix;
}

double rate_of(const OptimizerSettings& s, ParameterGroup group) {
  const auto own = [&](double rate, double otherwise) { return rate > 0 ? rate : otherwise; };
  switch (group) {
    case ParameterGroup::embedding:
    case ParameterGroup::head:
      return own(group_of(s, group).rate, s.learning_rate * s.embedding_scale) * s.width_factor;
    case ParameterGroup::scalar:
      return own(s.scalar.rate, s.learning_rate);
    case ParameterGroup::residual:
      return own(s.residual.rate, own(s.scalar.rate, s.learning_rate));
    case ParameterGroup::matrix:
      break;
  }
  return own(s.matrix.rate, s.optimizer == "muon" ? muon_rate_default : s.learning_rate);
}

kernels::StepNumbers::Group group_numbers(const OptimizerSettings& s, ParameterGroup group, const OptimizerMoment& m) {
  const GroupSettings& own = group_of(s, group);
  const double beta1 = own.beta1 >= 0 ? own.beta1 : s.beta1, beta2 = own.beta2 >= 0 ? own.beta2 : s.beta2,
               epsilon = own.epsilon > 0 ? own.epsilon : s.epsilon, steps = static_cast<double>(m.step),
               common = group == ParameterGroup::matrix ? s.weight_decay : 0;
  return {
      .rate = static_cast<float>(rate_of(s, group) * m.factor),
      .beta1 = static_cast<float>(beta1),
      .beta2 = static_cast<float>(beta2),
      .correction1 = static_cast<float>(1 / (1 - std::pow(beta1, steps))),
      .correction2 = static_cast<float>(1 / (1 - std::pow(beta2, steps))),
      .epsilon = static_cast<float>(epsilon),
      .decay = static_cast<float>((own.decay >= 0 ? own.decay : common) * decay_factor(s.decay_schedule, m.progress))};
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

kernels::StepNumbers step_numbers(const OptimizerSettings& s, const OptimizerMoment& m) {
  kernels::StepNumbers n;
  for (const ParameterGroup group : {ParameterGroup::embedding, ParameterGroup::head, ParameterGroup::matrix,
                                     ParameterGroup::scalar, ParameterGroup::residual}) {
    static_assert(static_cast<std::size_t>(ParameterGroup::residual) < kernels::optimizer_groups_max);
    n.groups[static_cast<std::size_t>(group)] = group_numbers(s, group, m);
  }
  const auto& matrix = n.groups[static_cast<std::size_t>(ParameterGroup::matrix)];
  n.clip = static_cast<float>(s.clip);
  // The mean of a few steps is of a few steps: it forgets the beginning at once.
  n.mean_keep = static_cast<float>(std::min(s.ema, 1 - 1 / static_cast<double>(m.step)));
  n.momentum = static_cast<float>(s.momentum.at(m.step, m.progress));
  n.muon_beta2 = static_cast<float>(s.muon_beta2);
  n.muon_rate = matrix.rate;
  n.muon_decay = matrix.decay;
  return n;
}

float gradient_scale(double clip, double norm) { return clip > 0 && norm > clip ? static_cast<float>(clip / norm) : 1; }

}  // namespace overnight::workers
