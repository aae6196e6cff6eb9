#include "workers/trainer/options.h"

#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "workers/trainer/experiment_file.h"

namespace overnight::workers {

int complain(const std::string& why) {
  std::fprintf(stderr, "overnight-train: %s\n", why.c_str());
  return 2;
}

namespace {

constexpr char usage_text[] =
    R"(usage: overnight-train [EXPERIMENT.json] [--data DIR] [--artifacts DIR] [--tokenizer FILE]
                       [--products FILE] [--plan] [--profile] [--resume] [--NAME=VALUE ...]

Trains a language model over the documents of DIR (*.txt), in bytes or in byte-pair tokens, and writes
checkpoint.safetensors, config.json and, with learned tokens, tokenizer.txt. The budget is --seconds, --steps,
or limits.train_budget_ms of the experiment file. SIGTERM ends it early, with a checkpoint.

  --plan       prints memory and expected speed, and trains nothing
  --profile    prints where the time went
  --products   which way a GPU does each matrix product fastest stands in FILE: --plan finds out, outside any
               budget, and a training takes what is there (without it FILE lies in the user's cache folder, of
               which each attempt of a study has its own)
  --resume     goes on from the state that a training with --resume left, with its tokens, and leaves one
  --tokenizer  takes tokens from FILE (the tokenizer.txt of other artifacts) instead of learning them

With --steps, the same seed and lanes give the same bits on the same instruction set, for any number of threads.

NAME, its default, and what it is:
)";

int usage(int code) {
  std::fprintf(code == 0 ? stdout : stderr, "%s%s", usage_text, parameter_table().c_str());
  return code;
}

std::int64_t threads_given() {
  if (const char* cpus = std::getenv("OVERNIGHT_CPUS")) {
    if (const int count = std::atoi(cpus); count > 0) return count;
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

}  // namespace

std::optional<int> read_options(int argc, char** argv, Options& options) {
  options.settings.threads = 0;
  if (const char* artifacts = std::getenv("OVERNIGHT_ARTIFACTS")) options.artifacts = artifacts;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "--help" || word == "-h") return usage(0);
    if (word == "--plan") {
      options.plan_only = true;
      continue;
    }
    if (word == "--resume") {
      options.resume = true;
      continue;
    }
    if (word == "--profile") {
      options.profile = true;
      continue;
    }
    if (!word.starts_with("--")) {
      std::ifstream in(word);
      const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
      if (!in && text.empty()) return complain(word + " cannot be read");
      if (auto read = read_experiment(options.settings, text); !read) return complain(word + ": " + read.error());
      continue;
    }
    const std::size_t equals = word.find('=');
    std::string name = word.substr(2, equals == std::string::npos ? std::string::npos : equals - 2), value;
    if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (i + 1 < argc) {
      value = argv[++i];
    } else {
      return complain(word + " has no value");
    }
    if (name == "data") {
      options.data = value;
    } else if (name == "tokenizer") {
      options.tokenizer_file = value;
    } else if (name == "products") {
      options.products = value;
    } else if (name == "artifacts") {
      options.artifacts = value;
    } else if (auto set = set_parameter(options.settings, name, value); !set) {
      return complain(set.error());
    }
  }
  settle(options.settings);
  if (options.settings.threads == 0) {
    options.settings.threads = threads_given();
    options.settings.threads = std::min(options.settings.threads, lanes_of(options.settings));
  }
  return std::nullopt;
}

}  // namespace overnight::workers
