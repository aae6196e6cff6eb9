// The study that the benchmarks run: six parameters of the kinds that searches have, an objective that costs nothing.
// optuna_peer.py has the same space and the same objective.
#pragma once

#include "orchestrator/core/study.h"

namespace overnight::bench {

inline core::Study bench_study(const std::string& proposer, std::int64_t experiments) {
  using namespace core;
  Study study;
  study.name = "bench";
  study.objective = {"loss", Direction::minimize, 0.0};
  study.task.train.command = {"noop"};
  study.task.train.timeout = seconds(60);
  study.space.dimensions = {
      {"learning_rate", FloatRange{1e-5, 1e-1, Scale::log}, {}},
      {"weight_decay", FloatRange{1e-6, 1, Scale::log}, {}},
      {"dropout", FloatRange{0, 0.5, Scale::linear}, {}},
      {"depth", IntRange{1, 24, Scale::linear, 1}, {}},
      {"width", IntRange{16, 4096, Scale::log, 1}, {}},
      {"optimizer", Choice{{std::string("adamw"), std::string("lion"), std::string("muon"), std::string("sgd")}}, {}},
  };
  study.baseline = {{"learning_rate", 1e-3},    {"weight_decay", 1e-2},       {"dropout", 0.1},
                    {"depth", std::int64_t{6}}, {"width", std::int64_t{256}}, {"optimizer", std::string("adamw")}};
  study.proposers.push_back(ProposerSpec{.kind = proposer, .name = proposer});
  study.run_budget.experiments = budgets::Experiments::of(experiments);
  study.run_budget.actions = budgets::Actions::unlimited();
  study.evaluation = {.baseline_replicates = 1, .confirm_replicates = 3, .confirm_top = 3};
  return study;
}

inline double bench_loss(const core::Params& params) {
  const double dropout = std::get<double>(params.at("dropout")) - 0.2;
  return dropout * dropout;
}

}  // namespace overnight::bench
