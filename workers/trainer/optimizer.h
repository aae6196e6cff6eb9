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
#include "workers/trainer/schedule.h"

namespace overnight::workers {

// Of one group of parameters. Below 0 (a rate: 0) the common one holds.
struct GroupSettings {
  double rate = 0;
  double beta1 = -1, beta2 = -1, epsilon = -1, decay = -1;
};

struct OptimizerSettings {
  std::string optimizer = "adamw";  // of matrices: "adamw" or "muon"
  double learning_rate = 4e-3;      // of what has no rate of its own
  double width_factor = 1;          // of the rates of embedding and head; see TrainingSettings::scale_rates
  double embedding_scale = 1.0;     // factor of the learning rate for embedding and head, without their own
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;         // of AdamW
  double weight_decay = 0.02;                               // of matrices; other groups have none but their own
  GroupSettings matrix, embedding, head, scalar, residual;  // their rates: see rate_of
  std::string decay_schedule = "fixed";                     // or "linear", "cosine": falls to nothing over the training
  std::string orthogonalizer = "polar";                     // of Muon: or "newton-schulz"
  Momentum momentum;                                        // of Muon
  double muon_beta2 = 0.95;                                 // of NorMuon; 0: without it
  double clip = 1.0;                                        // largest norm of the gradient; 0: none
  double ema = 0;  // above 0: the model is a running mean of its weights with this factor, such as 0.999
};

inline constexpr double muon_rate_default = 0.02;

// Empty, or why no such optimizer can be.
std::string why_impossible(const OptimizerSettings& settings);

// Bytes beside parameters and gradients, for so many threads.
std::size_t optimizer_bytes(const Graph& graph, const OptimizerSettings& settings, std::size_t threads);

// Arithmetic of one step, counted as the ops count theirs: products alone. Only Muon has some.
double optimizer_flops(const Graph& graph, const OptimizerSettings& settings);

class Optimizer {
 public:
  Optimizer(const Graph& graph, const OptimizerSettings& settings, std::size_t threads);

  struct Moment {
    double factor = 1;         // of all rates: the schedule's
    double progress = 0;       // of the training, 0 to 1
    double gradient_norm = 0;  // over all parameters
  };
  // Begins the next step; then each unit is worked on once, by any thread.
  void begin(const Moment& moment);
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
  struct Unit {
    const Tensor* tensor;
    std::size_t at, count;  // in the parameters
    std::size_t second_at;  // in the second moments
    ParameterGroup group;
    bool whole;  // by Muon
  };
  const GroupSettings& group_of(const Unit& unit) const;
  // Of a group without one: the learning rate; of embedding and head times embedding_scale; of matrices under Muon
  // muon_rate_default.
  double rate_of(ParameterGroup group) const;
  double decay_of(const Unit& unit) const;
  void adamw(const Unit& unit, float* parameters, const float* gradients);
  void muon(const Unit& unit, std::size_t thread, float* parameters, const float* gradients);

  OptimizerSettings settings_;
  std::size_t floats_, second_floats_;
  std::vector<Unit> units_;  // the dearest first
  Block first_, second_, average_;
  std::vector<Block> scratch_;  // one per thread
  Moment moment_;
  std::int64_t step_ = 0;
};

}  // namespace overnight::workers
