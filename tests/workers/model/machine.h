// A small model of every kind with all its memory, in whatever numbers the graph computes with (workers/model/real.h).
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "workers/model/language_model.h"

namespace overnight::workers {

inline const ModelConfig tiny{.depth = 2, .width = 12, .heads = 2, .context = 8, .mlp_ratio = 2, .vocabulary = 11};
inline constexpr std::size_t batch = 2;

inline ModelConfig with_mixer(const std::string& mixer, std::int64_t rank = 1) {
  ModelConfig config = tiny;
  config.mixer = mixer;
  config.state = 4;
  config.mamba_head = 6;
  config.mamba_groups = 2;
  config.mamba_rank = rank;
  config.chunk = 4;
  return config;
}

inline ModelConfig with_windows() {
  ModelConfig config = tiny;
  config.kv_heads = 1;
  config.window = "SL";
  config.short_window = 3;
  config.rope_base = 100;
  return config;
}

// Each mixer, MLP, and switch of a model, in at least one of these.
inline std::vector<ModelConfig> every_kind() {
  ModelConfig gelu = tiny, swiglu = tiny, tied = tiny, values = tiny;
  gelu.mlp = "gelu";
  swiglu.mlp = "swiglu", swiglu.residual_mix = 1;
  tied.tied = 1, tied.softcap = 2, tied.mlp_ratio = 0;
  values.value_embeddings = 1, values.softcap = 15;
  return {tiny,
          with_windows(),
          gelu,
          swiglu,
          tied,
          values,
          with_mixer("M"),
          with_mixer("3"),
          with_mixer("3", 2),
          with_mixer("C"),
          with_mixer("MA3C")};
}

// For the names of tests, instead of bytes.
inline void PrintTo(const ModelConfig& config, std::ostream* out) { *out << config.mixer << ", " << config.mlp; }

inline std::string kind_name(const testing::TestParamInfo<ModelConfig>& one) {
  return one.param.mixer + (one.param.mamba_rank > 1 ? "OfRank" : "Of1Rank") + std::to_string(one.index);
}

// The same with sums long enough that what bfloat16 loses in each number falls out.
inline ModelConfig larger(ModelConfig config) {
  config.width = 48, config.context = config.mixer == "A" ? 64 : 32;
  if (config.short_window > 0) config.short_window = 20;
  if (config.mixer != "A") config.state = 16, config.mamba_head = 12, config.chunk = 16;
  return config;
}

// A loss and its gradients, laid out as the graph's parameters are.
struct StepTaken {
  double loss;
  std::vector<double> gradients;
};
StepTaken step_in_floats(const ModelConfig& config,
                         bool rounded = false);  // language_model_test.cc; of the best table of this machine

inline namespace OVERNIGHT_PRECISION {

struct Machine {
  LanguageModel model;
  std::vector<Full> parameters, gradients;
  std::vector<Real> weights;
  std::vector<std::byte> arena;
  std::vector<std::int32_t> inputs, targets, order;
  Memory memory;

  // What is not written is not a number. `rounded`: parameters that bfloat16 holds exactly.
  Machine(const ModelConfig& config, const kernels::BackendOf<Real, Full>& backend, ModelUse use = ModelUse::training,
          Walk walk = Walk::cache, bool rounded = false)
      : model(make_language_model(config, batch, use, walk)),
        parameters(model.graph.parameter_floats()),
        gradients(model.graph.parameter_floats(), std::numeric_limits<Full>::quiet_NaN()),
        arena(model.graph.arena_bytes(), std::byte{0xff}) {
    initialize(model.graph, parameters.data(), 3);
    // Where the first step has zeros, gradients would not be seen. In floats and doubles the same numbers.
    for (std::size_t i = 0; i < parameters.size(); ++i)
      parameters[i] = static_cast<float>(parameters[i]) + (rounded ? 0.05f * std::sin(static_cast<float>(i * i % 1009))
                                                                   : 0.2f * std::sin(static_cast<float>(i)));
    if (rounded) {
      for (Full& one : parameters) one = static_cast<float>(kernels::bfloat16(static_cast<float>(one)));
    }
    for (std::size_t i = 0; i < batch * static_cast<std::size_t>(config.context); ++i) {
      inputs.push_back(static_cast<std::int32_t>(i * 7 % 11));
      targets.push_back(i == 5 ? -1 : static_cast<std::int32_t>((i * 5 + 1) % 11));
      order.push_back(static_cast<std::int32_t>(i));
    }
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return inputs[static_cast<std::size_t>(a)] < inputs[static_cast<std::size_t>(b)];
    });
    for (const Full one : parameters) weights.push_back(static_cast<Real>(one));
    memory.backend = &backend;
    memory.parameters = parameters.data();
    memory.weights = weights.data();
    memory.order = order.data();
    memory.parameter_gradients = gradients.data();
    memory.arena = arena.data();
    memory.inputs = inputs.data();
    memory.targets = targets.data();
  }

  double loss() {
    memory.loss_scale = 0;
    model.graph.forward(memory);
    return sum_of_losses(model, memory);
  }

  // The loss again, and the gradients of all parameters.
  double step() {
    memory.loss_scale = 1;
    model.graph.forward(memory);
    model.graph.backward(memory);
    return sum_of_losses(model, memory);
  }
};

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
