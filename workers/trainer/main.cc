// overnight-train: trains a language model over bytes and leaves a checkpoint. Speaks the task protocol, and works by
// hand too.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
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
#include "workers/model/memory.h"
#include "workers/trainer/experiment_file.h"
#include "workers/trainer/product_speed.h"
#include "workers/trainer/time_budget.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr auto progress_every = std::chrono::seconds(1);
constexpr double usual_share = 0.6;    // of sgemm's speed, that trainings reach (kernels/BENCHMARKS.md)
constexpr double peak_seconds = 0.03;  // of the budget, to measure sgemm's speed, of which the share is told
constexpr double loss_max = 100;       // beyond, or not a number: the training has diverged

std::atomic<bool> stop_asked = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler writes it");
void ask_to_stop(int) { stop_asked = true; }

struct Options {
  TrainingSettings settings;
  fs::path data = ".corpus/split/train";
  fs::path artifacts = "artifacts";
  bool plan_only = false;
  bool profile = false;
  bool resume = false;      // goes on from the artifacts' state if there is one, and leaves one
  fs::path tokenizer_file;  // empty: tokens are bytes, or learned if the vocabulary is larger
  Tokenizer tokenizer;
};

int complain(const std::string& why) {
  std::fprintf(stderr, "overnight-train: %s\n", why.c_str());
  return 2;
}

int usage(int code) {
  std::fprintf(
      code == 0 ? stdout : stderr,
      "usage: overnight-train [EXPERIMENT.json] [--data DIR] [--artifacts DIR] [--tokenizer FILE] [--plan] [--profile] "
      "[--resume] [--NAME=VALUE "
      "...]\n"
      "Trains a language model over the bytes of the documents of DIR (*.txt) and writes checkpoint.safetensors and "
      "config.json.\n"
      "The budget is --seconds, --steps, or limits.train_budget_ms of the experiment file. SIGTERM ends it "
      "early, with a checkpoint.\n"
      "--plan prints memory and expected speed, and trains nothing; --profile prints where the time went.\n"
      "--resume goes on from the state that a training with --resume left in the artifacts, and leaves one.\n"
      "--tokenizer takes tokens from FILE (the tokenizer.txt of other artifacts) instead of learning them.\n"
      "With --steps, the same seed and lanes give the same bits on the same instruction set, for any number of "
      "threads.\n"
      "\nNAME, its default, and what it is:\n%s",
      parameter_table().c_str());
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
  return -1;
}

// All that the process will hold: the training, its documents, and the program itself.
struct MemoryPlan {
  std::uint64_t training = 0, documents = 0, program = 0;
  std::uint64_t bytes() const { return training + documents + program; }
};
MemoryPlan memory_plan(const Options& options) {
  return {plan_of(options.settings).bytes, documents_memory(options.data), memory_held()};
}

double mebibytes(std::uint64_t bytes) { return static_cast<double>(bytes) / 1048576; }

void print_plan(const Options& options) {
  const TrainingSettings& settings = options.settings;
  const TrainingPlan plan = plan_of(settings);
  const MemoryPlan memory = memory_plan(options);
  const double products = product_speed(static_cast<std::size_t>(settings.threads), 0.2);
  std::printf("parameters        %zu\n", plan.parameters);
  std::printf("memory            %.1f MiB (training %.1f, documents %.1f, program %.1f), of %.1f MiB available\n",
              mebibytes(memory.bytes()), mebibytes(memory.training), mebibytes(memory.documents),
              mebibytes(memory.program), mebibytes(memory_available()));
  std::printf("FLOPs per token   %.2f M\n", plan.flops_per_token / 1e6);
  for (const auto& [kind, share] : plan.flop_shares) {
    if (share > 0.0005) std::printf("  %-15s %.1f %%\n", kind.c_str(), 100 * share);
  }
  std::printf("tokens per step   %zu\n", plan.tokens_per_step);
  std::printf("threads           %lld, lanes %lld\n", static_cast<long long>(settings.threads),
              static_cast<long long>(lanes_of(settings)));
  std::printf("kernels           %s\n", kernels::cpu_backend().name);
  std::printf("sgemm             %.1f GFLOP/s by OpenBLAS %s, measured now\n", products / 1e9, kernels::blas_core());
  std::printf("expected          %.0f tokens/s, at %.0f %% of that\n", usual_share * products / plan.flops_per_token,
              100 * usual_share);
}

// Where the CPU time went, the most expensive kind of op first.
void print_profile(const std::vector<ProfileLine>& lines) {
  double total = 0;
  for (const ProfileLine& line : lines) total += line.forward_seconds + line.backward_seconds;
  std::printf("%-20s %7s %10s %10s %9s\n", "op", "share", "forward s", "backward s", "GFLOP/s");
  for (const ProfileLine& line : lines) {
    const double seconds = line.forward_seconds + line.backward_seconds;
    std::printf("%-20s %6.1f%% %10.2f %10.2f %9.1f\n", line.kind.c_str(), 100 * seconds / std::max(1e-9, total),
                line.forward_seconds, line.backward_seconds, line.flops / std::max(1e-9, seconds) / 1e9);
  }
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

// With a tokenizer of the user's, its vocabulary is the model's: known before memory is planned. Empty, or why it
// cannot be.
std::string take_tokenizer(Options& options) {
  if (options.tokenizer_file.empty()) return "";
  auto read = read_tokenizer(options.tokenizer_file);
  if (!read) return read.error();
  std::int64_t& vocabulary = options.settings.model.vocabulary;
  if (vocabulary != byte_vocabulary && vocabulary != read->vocabulary())
    return "vocabulary " + std::to_string(vocabulary) + " is not that of the tokenizer, " +
           std::to_string(read->vocabulary());
  vocabulary = read->vocabulary();
  options.tokenizer = std::move(*read);
  return "";
}

// The documents in the tokens of the model, which may be fewer than were asked for: where no pair of tokens comes
// twice, nothing more is joined.
budgets::Result<Documents, std::string> read_in_tokens(Options& options) {
  auto documents = read_documents(options.data);
  std::int64_t& vocabulary = options.settings.model.vocabulary;
  if (!documents || vocabulary == byte_vocabulary) return documents;
  if (options.tokenizer_file.empty()) options.tokenizer = tokenizer_of(*documents, vocabulary);
  vocabulary = options.tokenizer.vocabulary();
  return encoded(*documents, options.tokenizer);
}

int save(const Options& options, const Training& training) {
  std::error_code failed;
  fs::create_directories(options.artifacts, failed);
  if (options.tokenizer.vocabulary() != byte_vocabulary)
    std::ofstream(options.artifacts / "tokenizer.txt") << options.tokenizer.to_text();
  std::ofstream(options.artifacts / "config.json") << config_to_json(options.settings.model);
  if (auto written =
          write_checkpoint(options.artifacts / "checkpoint.safetensors", training.graph(), training.parameters());
      !written)
    return complain(written.error());
  return 0;
}

// Steps until the budget is over or a stop is asked for. Empty, or why the training failed.
std::string take_steps(Training& training, const TrainingSettings& s, Clock::time_point began,
                       const Training::Position& position, Metrics& metrics) {
  const TimeBudget budget{s.steps, s.seconds};
  const auto elapsed = [&] { return position.seconds + std::chrono::duration<double>(Clock::now() - began).count(); };
  const auto tokens_per_step = static_cast<double>(s.batch * s.model.context);
  const double flops_per_token = plan_of(s).flops_per_token,
               peak = product_speed(static_cast<std::size_t>(s.threads), peak_seconds);
  std::int64_t step = position.steps;
  double smooth = 0, longest = 0;
  auto told = Clock::now();
  for (double now = elapsed(); !stop_asked && !budget.over(step, now, longest);) {
    const auto loss = training.step(budget.progress(step, now), &stop_asked);
    if (!loss) break;
    ++step;
    if (!(*loss < loss_max))
      return "the loss is " + std::to_string(*loss) + " at step " + std::to_string(step) +
             ": the training has diverged";
    smooth = step == position.steps + 1 ? *loss : 0.95 * smooth + 0.05 * *loss;
    longest = std::max(longest, elapsed() - now);
    now = elapsed();
    if (Clock::now() - told < progress_every) continue;
    told = Clock::now();
    const double rate = static_cast<double>(step - position.steps) * tokens_per_step / (now - position.seconds);
    std::printf("step %lld  %.1f s  train_loss %.4f  tokens/s %.0f, %.0f %% of sgemm\n", static_cast<long long>(step),
                now, smooth, rate, 100 * rate * flops_per_token / peak);
    std::fflush(stdout);
    metrics.tell("train_loss", smooth, step);
  }
  const double rate =
      static_cast<double>(step - position.steps) * tokens_per_step / std::max(1e-9, elapsed() - position.seconds);
  std::printf("done: %lld steps, %.0f tokens, train_loss %.4f nats, %.0f tokens/s%s\n", static_cast<long long>(step),
              static_cast<double>(step) * tokens_per_step, smooth, rate, stop_asked ? ", stopped by a signal" : "");
  metrics.tell("train_loss", smooth, step);
  metrics.tell("tokens_per_second", rate, step);
  return "";
}

int train(Options& options, Clock::time_point began) {
  const auto documents = read_in_tokens(options);
  if (!documents) return complain(documents.error());
  Training training(options.settings, *documents);
  if (options.profile) training.take_profile();
  Metrics metrics;
  const fs::path state = options.artifacts / "state.safetensors";
  Training::Position position;
  if (options.resume && fs::exists(state)) {
    const auto loaded = training.load_state(state);
    if (!loaded) return complain(loaded.error());
    position = *loaded;
    std::printf("goes on after %lld steps, %.1f s\n", static_cast<long long>(position.steps), position.seconds);
  }
  if (std::string why = take_steps(training, options.settings, began, position, metrics); !why.empty())
    return complain(why);
  if (options.resume) {
    std::error_code failed;
    fs::create_directories(options.artifacts, failed);
    const double trained = position.seconds + std::chrono::duration<double>(Clock::now() - began).count();
    if (auto saved = training.save_state(state, trained); !saved) return complain(saved.error());
  }
  if (options.profile) print_profile(training.profile());
  return save(options, training);
}

// The keeper's stop is OVERNIGHT_DEADLINE, in seconds since 1970: the schedule ends before it, and without any other
// budget it is the budget.
void heed_deadline(TrainingSettings& settings) {
  const char* text = std::getenv("OVERNIGHT_DEADLINE");
  const double deadline = text != nullptr ? std::atof(text) : 0;
  if (!(deadline > 0) || settings.steps > 0) return;
  const double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(),
               left = std::max(0.1, deadline - now);
  settings.seconds = settings.seconds > 0 ? std::min(settings.seconds, left) : left;
}

int run(int argc, char** argv) {
  const auto began = Clock::now();
  std::signal(SIGTERM, ask_to_stop);
  std::signal(SIGINT, ask_to_stop);
  Options options;
  if (const int code = read_options(argc, argv, options); code >= 0) return code;
  if (std::string why = take_tokenizer(options); !why.empty()) return complain(why);
  heed_deadline(options.settings);
  if (options.plan_only && options.settings.steps <= 0 && options.settings.seconds <= 0) options.settings.steps = 1;
  if (std::string why = why_impossible(options.settings); !why.empty()) return complain(why);
  const std::string too_large =
      why_too_large(memory_plan(options).bytes(),
                    static_cast<std::uint64_t>(std::max<std::int64_t>(0, options.settings.memory_limit)));
  if (!too_large.empty()) return complain("this model and batch cannot be trained here: " + too_large);
  if (options.plan_only) {
    print_plan(options);
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
  } catch (const std::exception& failed) {  // a file that can be opened and not read: a folder, a device
    std::fprintf(stderr, "overnight-train: %s\n", failed.what());
    return 2;
  }
}
