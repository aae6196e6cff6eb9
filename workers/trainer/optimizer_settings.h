// What an optimizer is told, and what follows of it for one step. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/device.h"
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

// Where a training is at a step. Steps count from 1.
struct OptimizerMoment {
  double factor = 1;    // of all rates: the schedule's
  double progress = 0;  // of the training, 0 to 1
  std::int64_t step = 1;
};

// The numbers of one step, groups by ParameterGroup. Of a group without a rate of its own it is the learning rate; of
// embedding and head times embedding_scale; of matrices under Muon muon_rate_default.
kernels::StepNumbers step_numbers(const OptimizerSettings& settings, const OptimizerMoment& moment);

// What a gradient of this norm is multiplied with.
float gradient_scale(double clip, double norm);

}  // namespace overnight::workers
