// One training from a config to a checkpoint: lanes (one per thread, each with its part of the batch and memory of its
// own), AdamW, the schedule. A resource; owns its threads. Deterministic: with a budget in steps the same seed gives
// the same bits, for the same number of lanes and the same instruction set.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "workers/model/config.h"
#include "workers/model/transformer.h"
#include "workers/trainer/corpus.h"
#include "workers/trainer/schedule.h"

namespace overnight::workers {

struct TrainingSettings {
  ModelConfig model;
  std::int64_t batch = 8;  // sequences per step, over all lanes; a multiple of `threads`
  double learning_rate = 4e-3;
  double embedding_scale = 1.0;  // factor for embedding and head
  double beta1 = 0.9;
  double beta2 = 0.95;
  double weight_decay = 0.02;
  double clip = 1.0;  // largest norm of the gradient; 0: none
  Schedule schedule;
  std::int64_t seed = 1;
  std::int64_t steps = 0;  // budget in steps; 0: in time
  double seconds = 0;      // budget in time
  std::int64_t threads = 1;
};

// Empty, or why this cannot be trained.
std::string why_impossible(const TrainingSettings& settings);

// What is known before anything is allocated.
struct TrainingPlan {
  std::size_t parameters = 0;
  std::size_t bytes = 0;       // parameters, moments, gradients and all lanes' arenas
  double flops_per_token = 0;  // forward and backward
  std::size_t tokens_per_step = 0;
};
TrainingPlan plan_of(const TrainingSettings& settings);

class Training {
 public:
  Training(const TrainingSettings& settings, const Documents& documents);
  ~Training();
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  // One step; returns the loss in nats per token. `progress` of the budget, from 0 to 1.
  double step(double progress);

  const Graph& graph() const;
  const float* parameters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace overnight::workers
