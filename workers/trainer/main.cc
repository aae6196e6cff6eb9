// overnight-train: trains a byte-level Transformer and leaves a checkpoint. Speaks the task protocol, and works by hand
// too.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "workers/model/checkpoint.h"
#include "workers/trainer/experiment_file.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr double reserve_share = 0.02;    // of a budget in time, for the last step and the checkpoint ...
constexpr double reserve_seconds = 0.15;  // ... but at least this
constexpr auto progress_every = std::chrono::seconds(1);
constexpr double loss_max = 100;  // beyond, or not a number: the training has diverged

volatile std::sig_atomic_t stop_asked = 0;
void ask_to_stop(int) { stop_asked = 1; }

struct Options {
  TrainingSettings settings;
  fs::path data = ".corpus/split/train";
  fs::path artifacts = "artifacts";
  bool plan_only = false;
};

int complain(const std::string& why) {
  std::fprintf(stderr, "overnight-train: %s\n", why.c_str());
  return 2;
}

int usage(int code) {
  std::fprintf(code == 0 ? stdout : stderr,
               "usage: overnight-train [EXPERIMENT.json] [--data DIR] [--artifacts DIR] [--plan] [--NAME=VALUE ...]\n"
               "Trains a byte-level Transformer on the documents of DIR (*.txt) and writes checkpoint.safetensors and "
               "config.json.\n"
               "The budget is --seconds, --steps, or limits.train_budget_ms of the experiment file. SIGTERM ends it "
               "early, with a checkpoint.\n"
               "NAME is one of: %s\n",
               parameter_names().c_str());
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

// Fills `options`; returns -1 to go on, or the exit status.
int read_options(int argc, char** argv, Options& options) {
  options.settings.threads = 0;
  if (const char* artifacts = std::getenv("OVERNIGHT_ARTIFACTS")) options.artifacts = artifacts;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "--help" || word == "-h") return usage(0);
    if (word == "--plan") {
      options.plan_only = true;
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
    } else if (name == "artifacts") {
      options.artifacts = value;
    } else if (auto set = set_parameter(options.settings, name, value); !set) {
      return complain(set.error());
    }
  }
  if (options.settings.threads == 0) {
    options.settings.threads = threads_given();
    while (options.settings.batch % options.settings.threads != 0) --options.settings.threads;
  }
  return -1;
}

void print_plan(const TrainingSettings& settings) {
  const TrainingPlan plan = plan_of(settings);
  std::printf(
      "parameters        %zu\nmemory            %.1f MiB\nFLOPs per token   %.2f M\ntokens per step   %zu\nthreads     "
      "      %lld\ninstruction set   %s\n",
      plan.parameters, static_cast<double>(plan.bytes) / 1048576, plan.flops_per_token / 1e6, plan.tokens_per_step,
      static_cast<long long>(settings.threads), kernels::cpu_backend().name);
}

// Appends a metric as the task protocol wants it; without OVERNIGHT_METRICS there is nobody to tell.
class Metrics {
 public:
  Metrics() {
    if (const char* file = std::getenv("OVERNIGHT_METRICS")) out_.open(file, std::ios::app);
  }
  void tell(const char* name, double value, std::int64_t step) {
    if (!out_.is_open() || !std::isfinite(value)) return;
    char line[160];
    std::snprintf(line, sizeof line, "{\"name\": \"%s\", \"value\": %.9g, \"step\": %lld}\n", name, value,
                  static_cast<long long>(step));
    out_ << line << std::flush;
  }

 private:
  std::ofstream out_;
};

int save(const Options& options, const Training& training) {
  std::error_code failed;
  fs::create_directories(options.artifacts, failed);
  std::ofstream(options.artifacts / "config.json") << config_to_json(options.settings.model);
  if (auto written =
          write_checkpoint(options.artifacts / "checkpoint.safetensors", training.graph(), training.parameters());
      !written)
    return complain(written.error());
  return 0;
}

int train(const Options& options, Clock::time_point began) {
  const TrainingSettings& s = options.settings;
  const auto documents = read_documents(options.data);
  if (!documents) return complain(documents.error());
  Training training(s, *documents);
  Metrics metrics;
  const double reserve = std::max(reserve_seconds, s.seconds * reserve_share),
               seconds = std::max(0.05, s.seconds - reserve);
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - began).count(); };
  const auto tokens_per_step = static_cast<double>(s.batch * s.model.context);
  std::int64_t step = 0;
  double smooth = 0;
  auto told = Clock::now();
  while (stop_asked == 0) {
    const double progress =
        s.steps > 0 ? static_cast<double>(step) / static_cast<double>(s.steps) : elapsed() / seconds;
    if (progress >= 1) break;
    const double loss = training.step(progress);
    ++step;
    if (!(loss < loss_max))
      return complain("the loss is " + std::to_string(loss) + " at step " + std::to_string(step) +
                      ": the training has diverged");
    smooth = step == 1 ? loss : 0.95 * smooth + 0.05 * loss;
    if (Clock::now() - told < progress_every) continue;
    told = Clock::now();
    std::printf("step %lld  %.1f s  train_loss %.4f  tokens/s %.0f\n", static_cast<long long>(step), elapsed(), smooth,
                static_cast<double>(step) * tokens_per_step / elapsed());
    std::fflush(stdout);
    metrics.tell("train_loss", smooth, step);
  }
  const double rate = static_cast<double>(step) * tokens_per_step / elapsed();
  std::printf("done: %lld steps, %.0f tokens, train_loss %.4f nats, %.0f tokens/s\n", static_cast<long long>(step),
              static_cast<double>(step) * tokens_per_step, smooth, rate);
  metrics.tell("train_loss", smooth, step);
  metrics.tell("tokens_per_second", rate, step);
  return save(options, training);
}

int run(int argc, char** argv) {
  const auto began = Clock::now();
  std::signal(SIGTERM, ask_to_stop);
  std::signal(SIGINT, ask_to_stop);
  Options options;
  if (const int code = read_options(argc, argv, options); code >= 0) return code;
  if (options.plan_only && options.settings.steps <= 0 && options.settings.seconds <= 0) options.settings.steps = 1;
  if (std::string why = why_impossible(options.settings); !why.empty()) return complain(why);
  if (options.plan_only) {
    print_plan(options.settings);
    return 0;
  }
  return train(options, began);
}

}  // namespace
}  // namespace overnight::workers

int main(int argc, char** argv) {
  overnight::kernels::restart_with_better_blas_core(argv);
  try {
    return overnight::workers::run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "overnight-train: not enough memory for this model and batch (see --plan)\n");
    return 3;
  }
}
