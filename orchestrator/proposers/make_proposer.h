// From what a study says to a proposer, or the reason why it cannot be had.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "budgets/prices.h"
#include "budgets/result.h"
#include "orchestrator/core/study.h"
#include "orchestrator/ports/proposer.h"

namespace overnight::proposers {

// What only the program knows.
struct Surroundings {
  std::function<std::optional<std::string>(const std::string&)> environment;  // of this process: keys of LLM providers
  std::function<std::optional<budgets::Price>(const core::ProposerSpec&)> price_of;  // of a model's tokens
  std::string folder;  // where outside programs run and their logs lie; empty: nowhere
};

budgets::Result<std::unique_ptr<ports::Proposer>, std::string> make_proposer(const core::Study& study,
                                                                             std::size_t index,
                                                                             const Surroundings& around);

}  // namespace overnight::proposers
