#include "workers/trainer/plan.h"

#include <algorithm>
#include <cstdio>

#include "workers/model/device_model.h"
#include "workers/model/memory.h"
#include "workers/trainer/device_layout.h"

namespace overnight::workers {
namespace {

constexpr double usual_share = 0.6;  // of sgemm's speed, that trainings reach (kernels/BENCHMARKS.md)

double mebibytes(std::uint64_t bytes) { return static_cast<double>(bytes) / 1048576; }

std::uint64_t limit_of(const Options& options) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, options.settings.memory_limit));
}

}  // namespace

MemoryPlan memory_plan(const Options& options, const Texts& texts, std::uint64_t program) {
  std::uint64_t stream = 0;  // all documents once more, one after the other
  for (const auto& tokens : texts.documents.tokens) stream += tokens.size() * sizeof(std::int32_t);
  const std::uint64_t held = memory_held();
  return {plan_of(options.settings).bytes, (held > program ? held - program : 0) + stream, program, memory_peak()};
}

std::string why_too_large_at_all(const Options& options) {
  const auto documents = documents_memory(options.data, options.settings.model.vocabulary != byte_vocabulary);
  if (!documents) return documents.error();
  const std::uint64_t ready = *documents + memory_held(), training = plan_of(options.settings).bytes + memory_held();
  const std::string why = why_too_large(std::max(ready, training), limit_of(options), memory_held());
  return why.empty() ? "" : "this model and batch cannot be trained here: " + why;
}

namespace {

void print_place(const TrainingSettings& settings, const TrainingPlan& plan, const Place& place) {
  if (place.device == nullptr) {
    std::printf("device            the CPU%s\n",
                place.why_no_device.empty() ? "" : (" (" + place.why_no_device + ")").c_str());
    std::printf("threads           %lld, lanes %lld\n", static_cast<long long>(settings.threads),
                static_cast<long long>(lanes_of(settings)));
    std::printf("kernels           %s\n", kernels::cpu_backend().name);
    std::printf("sgemm             %.1f GFLOP/s by OpenBLAS %s, measured now\n", place.flops / 1e9,
                kernels::blas_core());
    return;
  }
  std::printf("device            %s, %s\n", place.facts.name.c_str(), place.facts.version.c_str());
  std::printf("GPU memory        %.1f MiB of %.1f MiB free\n", mebibytes(plan.device_bytes),
              mebibytes(place.facts.memory_free));
  std::printf("precision         %s, lanes %lld\n", settings.precision.c_str(), static_cast<long long>(settings.lanes));
  if (rounds(settings)) {
    for (const std::string& one : off_matrix_unit(settings.model, place.device->ops()))
      std::printf("slow              %s\n", one.c_str());
  }
  std::printf("products          %.1f TFLOP/s, copies %.2f TB/s, measured now\n", place.flops / 1e12,
              place.bytes / 1e12);
}

}  // namespace

void print_plan(const Options& options, const MemoryPlan& memory, const Place& place) {
  const TrainingSettings& settings = options.settings;
  const TrainingPlan plan = plan_of(settings);
  std::printf("parameters        %zu\n", plan.parameters);
  std::printf("memory            %.1f MiB (training %.1f, documents %.1f, program %.1f", mebibytes(memory.bytes()),
              mebibytes(memory.training), mebibytes(memory.documents), mebibytes(memory.program));
  if (memory.before == memory.bytes()) std::printf("; more than that while the texts were made ready");
  std::printf("), of %.1f MiB available\n", mebibytes(memory_available() + memory_held()));
  std::printf("FLOPs per token   %.2f M\n", plan.flops_per_token / 1e6);
  for (const auto& [kind, share] : plan.flop_shares) {
    if (share > 0.0005) std::printf("  %-15s %.1f %%\n", kind.c_str(), 100 * share);
  }
  std::printf("tokens per step   %zu\n", plan.tokens_per_step);
  print_place(settings, plan, place);
  if (place.device == nullptr)  // of a GPU no share is known yet
    std::printf("expected          %.0f tokens/s, at %.0f %% of that\n",
                usual_share * place.flops / plan.flops_per_token, 100 * usual_share);
}

std::string share_of_peak(double flops, const Place& place) {
  char text[80];
  if (place.device == nullptr) {
    std::snprintf(text, sizeof text, "%.0f %% of sgemm", 100 * flops / place.flops);
  } else {
    std::snprintf(text, sizeof text, "MFU %.1f %% of %.0f TFLOP/s", 100 * flops / place.flops, place.flops / 1e12);
  }
  return text;
}

// Where the time went, the most expensive kind of op first: the CPU's, or a GPU's with how near each op came to what
// its arithmetic, or the bytes that it must move, would take at the measured peaks.
void print_profile(const std::vector<ProfileLine>& lines, const Place& place) {
  double total = 0;
  for (const ProfileLine& line : lines) total += line.forward_seconds + line.backward_seconds;
  std::printf("%-20s %7s %10s %10s %9s%s\n", "op", "share", "forward s", "backward s", "GFLOP/s",
              place.device != nullptr ? "      GB/s  of roofline" : "");
  for (const ProfileLine& line : lines) {
    const double seconds = std::max(1e-9, line.forward_seconds + line.backward_seconds);
    std::printf("%-20s %6.1f%% %10.2f %10.2f %9.1f", line.kind.c_str(), 100 * seconds / std::max(1e-9, total),
                line.forward_seconds, line.backward_seconds, line.flops / seconds / 1e9);
    if (place.device != nullptr) {
      const double least = std::max(line.flops / place.flops, line.moved / place.bytes);
      std::printf(" %9.1f %11.1f%%", line.moved / seconds / 1e9, 100 * least / seconds);
    }
    std::printf("\n");
  }
}

}  // namespace overnight::workers
