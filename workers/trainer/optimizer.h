// What makes parameters of gradients: AdamW for every group, or Muon for matrices and AdamW for the rest, each group
// with its rate. A resource: owns moments and averages. Its work comes in units that threads may take in any order;
// what they give does not depend on who took them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "workers/model/block.h"
#include "workers/model/graph.h"
#include "workers/trainer/optimizer_settings.h"

namespace overnight::workers {

// A part of one tensor that is worked on at once: a whole matrix by Muon, or a piece by AdamW.
struct OptimizerUnit {
  const Tensor* tensor;
  std::size_t at, count;  // in the parameters
  std::size_t second_at;  // in the second moments
  ParameterGroup group;
  bool whole;  // by Muon
};

// All units of a model, in the order of its parameters; AdamW's pieces have at most `piece` numbers. The tensors are
// the graph's.
struct OptimizerLayout {
  std::vector<OptimizerUnit> units;
  std::size_t second_floats = 0;  // Muon has one for each row or column
};
OptimizerLayout layout_of(const Graph& graph, const OptimizerSettings& settings, std::size_t piece);

// Bytes beside parameters and gradients, for so many threads.
std::size_t optimizer_bytes(const Graph& graph, const OptimizerSettings& settings, std::size_t threads);

// Arithmetic of one step, counted as the ops count theirs: products alone. Only Muon has some.
double optimizer_flops(const Graph& graph, const OptimizerSettings& settings);

class Optimizer {
 public:
  Optimizer(const Graph& graph, const OptimizerSettings& settings, std::size_t threads);

  // Begins the next step, with the schedule's factor of all rates, the training's progress from 0 to 1, and the
  // gradient's norm over all parameters; then each unit is worked on once, by any thread.
  void begin(double factor, double progress, double gradient_norm);
  std::size_t units() const { return units_.size(); }
  void work(std::size_t unit, std::size_t thread, float* parameters, const float* gradients);

  // All that it carries from step to step, for a file; `carried` in the same order and of the same sizes goes back in.
  struct Carried {
    std::int64_t step = 0;
    struct Numbers {
      const char* name;
      float* values;
      std::size_t count;
    };
    std::vector<Numbers> moments;
  };
  Carried carried();
  void go_on_from(std::int64_t step) { step_ = step; }

  // What the training is to leave: the running mean if there is one, else `parameters` itself.
  const float* result(const float* parameters) const { return settings_.ema > 0 ? average_.get() : parameters; }

 private:
  void adamw(const OptimizerUnit& unit, float* parameters, const float* gradients);
  void muon(const OptimizerUnit& unit, std::size_t thread, float* parameters, const float* gradients);

  OptimizerSettings settings_;
  std::size_t floats_, second_floats_;
  std::vector<OptimizerUnit> units_;  // the dearest first
  Block first_, second_, average_;
  std::vector<Block> scratch_;  // one per thread
  kernels::StepNumbers numbers_;
  float gradient_scale_ = 1;
  std::int64_t step_ = 0;
};

}  // namespace overnight::workers
