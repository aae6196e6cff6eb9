// What `overnight-train EXPERIMENT.json` is told: the parameters, the seed and the limits of one trial, laid over the
// defaults. Strict: an unknown parameter is refused, since a misspelt one would be searched over in vain.
#pragma once

#include <string>

#include "budgets/result.h"
#include "workers/trainer/training.h"

namespace overnight::workers {

// Sets one parameter by name: model shape, batch, learning_rate, ... ; the error names what is wrong.
budgets::Result<void, std::string> set_parameter(TrainingSettings& settings, const std::string& name,
                                                 const std::string& value);

// Reads params, seed, limits.train_budget_ms and limits.memory_bytes of the text of an experiment file.
budgets::Result<void, std::string> read_experiment(TrainingSettings& settings, const std::string& text);

std::string parameter_names();  // all of them, with spaces between
std::string parameter_table();  // for --help: name, default and meaning, a line each

}  // namespace overnight::workers
