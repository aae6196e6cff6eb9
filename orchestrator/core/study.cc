#include "orchestrator/core/study.h"

#include <algorithm>

namespace overnight::core {
namespace {

// The longest that a phase can last; unlimited if only attempt.wall bounds it.
Millis longest(const PhaseSpec& phase) {
  Millis end = Millis::unlimited();
  if (phase.timeout > Millis{}) end = phase.timeout;
  if (phase.budget > Millis{}) end = std::min(end, phase.budget + phase.grace);
  return end;
}

}  // namespace

Millis worst_case_wall(const Study& study) {
  Millis sum;
  for (const auto* phase : {study.task.build ? &*study.task.build : nullptr, &study.task.train,
                            study.task.evaluate ? &*study.task.evaluate : nullptr}) {
    if (phase == nullptr) continue;
    const Millis one = longest(*phase);
    if (one.is_unlimited()) return study.attempt.wall;
    sum += one;
  }
  return study.attempt.wall > Millis{} ? std::min(sum, study.attempt.wall) : sum;
}

bool can_see_seed(const Task& task) {
  return task.seed.kind != SeedDelivery::Kind::none ||
         std::ranges::any_of(task.train.command, [](const std::string& word) {
           return word.find("{seed}") != std::string::npos || word.find("{experiment}") != std::string::npos;
         });
}

std::int64_t confirmation_trials(const Evaluation& evaluation) {
  return std::max<std::int64_t>(0, evaluation.confirm_top) * std::max<std::int64_t>(0, evaluation.confirm_replicates);
}

}  // namespace overnight::core
