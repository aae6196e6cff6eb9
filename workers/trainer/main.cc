// overnight-train: trains a language model over documents and leaves a checkpoint. Speaks the task protocol, and works
// by hand too.
#include <fcntl.h>
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
#include <string>

#include "workers/model/checkpoint.h"
#include "workers/model/memory.h"
#include "workers/trainer/options.h"
#include "workers/trainer/place.h"
#include "workers/trainer/plan.h"
#include "workers/trainer/texts.h"
#include "workers/trainer/time_budget.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr auto progress_every = std::chrono::seconds(1);
constexpr double peak_seconds = 0.03;  // of the budget, to measure sgemm's speed, of which the share is told
constexpr double plan_peak_seconds = 0.2;
constexpr double loss_max = 100;  // beyond, or not a number: the training has diverged

std::atomic<bool> stop_asked = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler writes it");
void ask_to_stop(int) { stop_asked = true; }

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

// Empty, or why nothing could be written there: found out before the training, not after.
std::string prepare_artifacts(const Options& options) {
  std::error_code failed;
  fs::create_directories(options.artifacts, failed);
  if (failed || !fs::is_directory(options.artifacts) || ::access(options.artifacts.c_str(), W_OK | X_OK) != 0)
    return options.artifacts.string() + ": the artifacts cannot be written there" +
           (failed ? ": " + failed.message() : "");
  if (options.resume) return "";
  // What an earlier training left must not pass for this one's, should it fail.
  for (const char* name : {"checkpoint.safetensors", "config.json", "tokenizer.txt", state_file}) {
    fs::remove(options.artifacts / name, failed);
    if (failed) return (options.artifacts / name).string() + ": " + failed.message();
  }
  return "";
}

int save(const Options& options, const Training& training, const Tokenizer& tokenizer) {
  if (tokenizer.vocabulary() != byte_vocabulary) {
    if (auto written = write_text(options.artifacts / "tokenizer.txt", tokenizer.to_text()); !written)
      return complain(written.error());
  }
  if (auto written = write_text(options.artifacts / "config.json", config_to_json(options.settings.model)); !written)
    return complain(written.error());
  if (auto written =
          write_checkpoint(options.artifacts / "checkpoint.safetensors", training.graph(), training.parameters());
      !written)
    return complain(written.error());
  return 0;
}

// Steps until the budget is over or a stop is asked for. Empty, or why the training failed.
std::string take_steps(Training& training, const TrainingSettings& s, Clock::time_point began,
                       const Training::Position& position, const Place& place, Metrics& metrics) {
  const TimeBudget budget{s.steps, s.seconds};
  const auto elapsed = [&] { return position.seconds + std::chrono::duration<double>(Clock::now() - began).count(); };
  const auto tokens_per_step = static_cast<double>(s.batch * s.model.context);
  const double flops_per_token = plan_of(s).flops_per_token;
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
    std::printf("step %lld  %.1f s  train_loss %.4f  tokens/s %.0f, %s\n", static_cast<long long>(step), now, smooth,
                rate, share_of_peak(rate * flops_per_token, place).c_str());
    std::fflush(stdout);
    metrics.tell("train_loss", smooth, step);
  }
  if (step == 0) return stopped_early;
  if (step == position.steps) {  // nothing was learned that could be told
    std::printf("done: %lld steps were taken before, none now\n", static_cast<long long>(step));
    return "";
  }
  const double rate =
      static_cast<double>(step - position.steps) * tokens_per_step / std::max(1e-9, elapsed() - position.seconds);
  std::printf("done: %lld steps, %.0f tokens, train_loss %.4f nats, %.0f tokens/s%s\n", static_cast<long long>(step),
              static_cast<double>(step) * tokens_per_step, smooth, rate, stop_asked ? ", stopped by a signal" : "");
  metrics.tell("train_loss", smooth, step);
  metrics.tell("tokens_per_second", rate, step);
  if (place.device != nullptr) metrics.tell("mfu", rate * flops_per_token / place.flops, step);
  return "";
}

// On a GPU: which way is the fastest for each product of a training is found out here, outside any budget, and kept.
int try_products(const Options& options, const Documents& documents, kernels::Device& device) {
  if (options.settings.deterministic == 1) {
    Training(options.settings, documents, {}, &device);
    std::printf("products          not tried: deterministic is 1, each is done the library's first way\n");
    return 0;
  }
  device.tune(true);
  Training(options.settings, documents, {}, &device);
  device.tune(false);
  const std::string why = device.keep_tuned();
  return why.empty() ? 0 : complain(why);
}

int train(Options& options, Clock::time_point began) {
  // Whatever comes before the first step ends when it is asked to, or when the time is over.
  // So does the learning of tokens once it takes too much memory: how much cannot be known before.
  const double seconds = options.settings.seconds;
  const auto limit = static_cast<std::uint64_t>(options.settings.memory_limit);
  bool over_limit = false;
  const Stopped stopped = [&] {
    over_limit = over_limit || (limit > 0 && memory_held() > limit);
    return stop_asked || over_limit ||
           (seconds > 0 && std::chrono::duration<double>(Clock::now() - began).count() > seconds);
  };
  const fs::path state = options.artifacts / state_file;
  const bool goes_on = options.resume && fs::exists(state);
  const auto untouched = [] {
    std::printf("stopped before a further step: state and checkpoint are as they were\n");
    return 0;
  };
  // First: what it leaves in memory is a part of the program.
  const auto place =
      find_place(options.settings, options.plan_only ? plan_peak_seconds : peak_seconds, options.products);
  if (!place) return complain(place.error());
  const std::uint64_t program = memory_held();
  if (std::string why = why_too_large_at_all(options); !why.empty()) return complain(why);
  const auto texts = read_texts(options, stopped);
  if (over_limit)
    return complain("the texts cannot be made ready here: " + why_too_large(memory_peak(), limit, memory_peak()));
  if (!texts && stop_asked && goes_on) return untouched();
  if (!texts) return complain(texts.error());
  const MemoryPlan memory = memory_plan(options, *texts, program);
  const std::string too_large = why_too_large(memory.bytes(), limit, memory_held());
  if (!too_large.empty()) return complain("this model and batch cannot be trained here: " + too_large);
  if (options.plan_only) {
    print_plan(options, memory, *place);
    return place->device != nullptr ? try_products(options, texts->documents, *place->device) : 0;
  }
  if (std::string why = prepare_artifacts(options); !why.empty()) return complain(why);
  // One step is always taken, however late it is; only right angles, which take long, are given up when time is over.
  // A state that is gone on from overwrites what is drawn.
  bool cut_short = false;
  Training training(
      options.settings, texts->documents,
      [&] {
        cut_short = cut_short || stop_asked || (!goes_on && options.settings.init == "orthogonal" && stopped());
        return cut_short;
      },
      place->device.get());
  if (stop_asked && goes_on) return untouched();
  if (stop_asked || cut_short) return complain(stopped_early);
  if (place->device != nullptr)
    std::printf("trains on %s, %s, %lld lane%s\n", place->facts.name.c_str(), options.settings.precision.c_str(),
                static_cast<long long>(options.settings.lanes), options.settings.lanes == 1 ? "" : "s");
  if (options.profile) training.take_profile();
  Metrics metrics;
  Training::Position position;
  if (goes_on) {
    const auto loaded = training.load_state(state);
    if (!loaded) return complain(loaded.error());
    position = *loaded;
    std::printf("goes on after %lld steps, %.1f s\n", static_cast<long long>(position.steps), position.seconds);
  }
  if (std::string why = take_steps(training, options.settings, began, position, *place, metrics); !why.empty())
    return complain(why);
  if (!training.finite()) return complain("the weights are not finite after the last step: the training has diverged");
  if (options.resume) {
    const double trained = position.seconds + std::chrono::duration<double>(Clock::now() - began).count();
    if (auto saved = training.save_state(state, trained); !saved) return complain(saved.error());
  }
  if (options.profile) print_profile(training.profile(), *place);
  return save(options, training, texts->tokenizer);
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
  if (const auto code = read_options(argc, argv, options)) return *code;
  if (std::string why = take_vocabulary(options); !why.empty()) return complain(why);
  heed_deadline(options.settings);
  if (options.plan_only && options.settings.steps <= 0 && options.settings.seconds <= 0) options.settings.steps = 1;
  if (std::string why = why_impossible(options.settings); !why.empty()) return complain(why);
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
  } catch (const overnight::kernels::DeviceOutOfMemory& failed) {
    std::fprintf(stderr, "overnight-train: not enough GPU memory for this model and batch (see --plan): %s\n",
                 failed.what());
    return 3;
  } catch (const std::exception& failed) {  // a file that can be opened and not read: a folder, a device
    std::fprintf(stderr, "overnight-train: %s\n", failed.what());
    return 2;
  }
}
