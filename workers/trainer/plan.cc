#include "workers/trainer/plan.h"

#include <algorithm>
#include <cstdio>

#include "workers/model/memory.h"

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

void print_plan(const Options& options, const MemoryPlan& memory, double products) {
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

}  // namespace overnight::workers
