// One training from a config to a checkpoint: lanes (parts of the batch; on a CPU one per thread, with memory of its
// own), the optimizer, the schedule. A resource; owns its threads. Deterministic on a CPU: with a budget in steps the
// same seed gives the same bits for any number of threads; other bits for another number of lanes or another
// instruction set. On a GPU where TrainingSettings::deterministic asks for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "workers/corpus/corpus.h"
#include "workers/model/config.h"
#include "workers/model/language_model.h"
#include "workers/trainer/optimizer_settings.h"
#include "workers/trainer/schedule.h"

namespace overnight::workers {

struct TrainingSettings {
  ModelConfig model;
  std::int64_t batch = 8;         // sequences per step, over all lanes; a multiple of `threads`
  std::int64_t batch_tokens = 0;  // above 0: the batch in tokens instead; settle() makes sequences of it
  std::int64_t aspect = 0;        // above 0: width is depth * aspect, rounded up to whole heads, by settle()
  std::int64_t head_size = 0;     // above 0: heads is width / head_size, by settle()
  std::string init = "uniform";   // of matrices: or "normal", "orthogonal"
  double init_scale = 1;          // factor of it
  std::int64_t scale_rates = 0;   // 1: rates of embedding and head times (width / 768)^-1/2, by settle()
  OptimizerSettings optimizer;
  Schedule schedule;
  std::int64_t seed = 1;
  std::int64_t steps = 0;  // budget in steps; 0: in time
  double seconds = 0;      // budget in time
  std::int64_t threads = 1;
  std::int64_t lanes = 0;         // 0: see lanes_of
  std::int64_t memory_limit = 0;  // in bytes; 0: what the machine has

  std::string device = "auto";         // where to train: "cpu", "cuda", or a GPU if there is one
  std::string precision = "bfloat16";  // of a GPU's matrices and activations: or "float"
  std::int64_t deterministic = 0;      // 1: a rerun on the same GPU gives the same bits
};

// Into how many parts a batch is cut, whose gradients are summed in order. If not set: as many as threads under a
// budget in time, where no rerun is the same anyway; two under a budget in steps, so that it is the same on every
// machine.
std::int64_t lanes_of(const TrainingSettings& settings);

MatrixInit matrix_init_of(const TrainingSettings& settings);

// Works out what is given in other words: width and heads from aspect and head_size, batch from batch_tokens.
// Idempotent.
void settle(TrainingSettings& settings);

// Empty, or why this cannot be trained.
std::string why_impossible(const TrainingSettings& settings);

// What is known before anything is allocated.
struct TrainingPlan {
  std::size_t parameters = 0;
  std::size_t bytes = 0;         // of this machine: parameters, moments, gradients and all lanes' arenas
  std::size_t device_bytes = 0;  // of a GPU's memory
  double flops_per_token = 0;    // forward, backward, and the optimizer's
  std::size_t tokens_per_step = 0;
  std::map<std::string, double> flop_shares;  // by kind of op
};
TrainingPlan plan_of(const TrainingSettings& settings);

// CPU time by kind of op, over all lanes; what is not an op is "optimizer" and "data".
struct ProfileLine {
  std::string kind;
  double forward_seconds = 0, backward_seconds = 0;
  double flops = 0;  // forward and backward, of all steps
  double moved = 0;  // of a GPU: the least bytes that they must read and write
};

class Engine;

class Training {
 public:
  // Large models take a while to begin: once `stopped` says so, what was made is of no use.
  // On `device`, or if it is null by threads of the CPU.
  Training(const TrainingSettings& settings, const Documents& documents, const Stopped& stopped = {},
           kernels::Device* device = nullptr);
  ~Training();
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  // One step; returns the loss in nats per token. `progress` of the budget, from 0 to 1. Once `stop` is true a step
  // ends after the op that runs, changes no parameter, and returns nothing.
  std::optional<double> step(double progress, const std::atomic<bool>* stop = nullptr);

  // Whether all weights are numbers, which a loss tells only of those before its step.
  bool finite() const;

  // All that the next step depends on, to a file and back: a training that goes on from it gives the same bits as one
  // that was never interrupted. `seconds`: how long it has trained, kept with it and given back. A state of another
  // training (model, batch, lanes, optimizer) is refused.
  budgets::Result<void, std::string> save_state(const std::filesystem::path& file, double seconds);
  struct Position {
    std::int64_t steps = 0;
    double seconds = 0;
  };
  budgets::Result<Position, std::string> load_state(const std::filesystem::path& file);

  void take_profile();                       // from now on
  std::vector<ProfileLine> profile() const;  // the most expensive first

  const Graph& graph() const;
  const float* parameters() const;  // what the training leaves: the running mean of weights where one is wanted

 private:
  TrainingSettings settings_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace overnight::workers
