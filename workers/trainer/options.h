// The words behind `overnight-train`.
#pragma once

#include <filesystem>
#include <optional>

#include "workers/trainer/training.h"

namespace overnight::workers {

struct Options {
  TrainingSettings settings;
  std::filesystem::path data = ".corpus/split/train";
  std::filesystem::path artifacts = "artifacts";
  bool plan_only = false;
  bool profile = false;
  bool resume = false;                   // goes on from the artifacts' state if there is one, and leaves one
  std::string products;                  // where a GPU's plans of products are kept (kernels::open_device)
  std::filesystem::path tokenizer_file;  // empty: tokens are bytes, or learned if the vocabulary is larger
};

// Says on stderr why nothing is done; returns the exit status of that.
int complain(const std::string& why);

// Fills `options` from the words, the experiment file that they name, and the environment of the task protocol. None to
// go on, or the exit status; what is wrong or asked for has been said.
std::optional<int> read_options(int argc, char** argv, Options& options);

}  // namespace overnight::workers
