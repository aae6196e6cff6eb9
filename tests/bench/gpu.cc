// How near a GPU's ceilings the trainer comes: products, attention and copies of the shapes that the autoresearch model
// has, its ops one by one, whole steps, and layers by their mixers. Ceilings are measured in the same run. Prints one
// table; asserts nothing. With --emulated it shows that it still runs, on tiny shapes, and its times mean nothing.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/device.h"
#ifdef OVERNIGHT_WITH_EMULATOR
#include "tests/kernels/emulated_device.h"
#endif
#include "workers/trainer/device_layout.h"
#include "workers/trainer/experiment_file.h"
#include "workers/trainer/training.h"

namespace overnight::workers {
namespace {

using kernels::bfloat16;
using kernels::Device;
using kernels::DeviceArray;

struct Bench {
  Device& device;
  Device::Peaks peaks;
  bool tiny;

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

  // Of one launch among many, which are recorded together: what a launch costs the host does not count.
  double time_of(const std::function<void()>& launch) {
    const int launches = tiny ? 1 : 20, rounds = tiny ? 1 : 5;
    launch();
    const auto recording = device.record([&] {
      for (int i = 0; i < launches; ++i) launch();
    });
    recording->play();
    device.wait();
    double best = 1e9;
    for (int round = 0; round < rounds; ++round) {
      const double began = seconds();
      recording->play();
      device.wait();
      best = std::min(best, (seconds() - began) / launches);
    }
    return best;
  }

  void line(const char* name, double took, double flops, double moved) {
    const double least = std::max(flops / peaks.bfloat16_flops, moved / peaks.bytes);
    std::printf("%-44s %10.1f %9.1f %8.2f %9.1f%%\n", name, 1e6 * took, flops / took / 1e12, moved / took / 1e12,
                100 * least / took);
    std::fflush(stdout);
  }
  void head(const char* title) {
    std::printf("\n%-44s %10s %9s %8s %10s\n", title, "us", "TFLOP/s", "TB/s", "of roof");
  }

  // Numbers of all kinds: zeros would take less power, and so less time.
  void fill(bfloat16* to, std::size_t count) {
    std::vector<bfloat16> numbers(count);
    std::mt19937 random(7);
    for (auto& one : numbers) one = static_cast<float>(random() % 2001) / 1000 - 1;
    device.to_device(to, numbers.data(), count * sizeof(bfloat16));
    device.wait();
  }
};

void products(Bench& b, std::size_t rows) {
  b.head("products, bfloat16");
  const auto& k = b.device.bfloat16s();
  const std::size_t wide = b.tiny ? 64 : 8192, width = b.tiny ? 16 : 512;
  const DeviceArray<bfloat16> x(b.device, rows * wide), y(b.device, rows * wide), weights(b.device, wide * width);
  const DeviceArray<float> gradient(b.device, wide * width);
  b.fill(x.get(), rows * wide), b.fill(y.get(), rows * wide), b.fill(weights.get(), wide * width);
  for (const std::size_t outputs : {width, 3 * width, 4 * width, wide}) {
    const double flops = 2.0 * static_cast<double>(rows * width * outputs);
    const double moved = 2.0 * static_cast<double>(rows * (width + outputs) + width * outputs);
    char name[80];
    const auto timed = [&](const char* what, double bytes, const std::function<void()>& launch) {
      std::snprintf(name, sizeof name, "%s, %zu rows, %zu to %zu", what, rows, width, outputs);
      b.device.tune(true);
      launch();
      b.device.tune(false);  // what it found is taken from now on: be_deterministic below
      b.line(name, b.time_of(launch), flops, bytes);
    };
    timed("forward", moved, [&] { kernels::linear_forward(k, y.get(), x.get(), weights.get(), rows, width, outputs); });
    timed("input's gradient", moved,
          [&] { kernels::linear_backward_input(k, x.get(), y.get(), weights.get(), rows, width, outputs, false); });
    timed("weights' gradient", moved + 6.0 * static_cast<double>(width * outputs),
          [&] { kernels::linear_backward_weights(k, gradient.get(), y.get(), x.get(), rows, width, outputs, true); });
  }
}

void attentions(Bench& b) {
  b.head("attention, bfloat16 (products that the mask leaves)");
  const auto& k = b.device.bfloat16s();
  struct Case {
    std::size_t head_size, context, window;
  };
  for (const Case& c : {Case{128, 2048, 0}, {128, 2048, 1024}, {64, 2048, 0}, {64, 1024, 0}, {128, 8192, 0}}) {
    kernels::AttentionShape s{.batch = 32 * 2048 / c.context,
                              .context = c.context,
                              .heads = 512 / c.head_size,
                              .head_size = c.head_size,
                              .window = c.window};
    if (b.tiny) s.batch = 1, s.context = 32, s.window = 0, s.heads = 1;
    const std::size_t rows = s.batch * s.context;
    const DeviceArray<bfloat16> qkv(b.device, rows * s.row()), out(b.device, rows * s.width()),
        dout(b.device, rows * s.width()), dqkv(b.device, rows * s.row());
    const DeviceArray<float> log_sums(b.device, rows * s.heads),
        scratch(b.device, kernels::device_attention_scratch(s));
    b.fill(qkv.get(), rows * s.row()), b.fill(dout.get(), rows * s.width());
    double seen = 0;
    for (std::size_t t = 0; t < s.context; ++t) seen += static_cast<double>(t + 1 - s.first_seen(t));
    const double flops = 4 * seen * static_cast<double>(s.batch * s.width()),
                 moved = 2.0 * static_cast<double>(rows * (s.row() + s.width()));
    char name[80];
    std::snprintf(name, sizeof name, "forward, heads of %zu, %zu tokens, window %zu", s.head_size, s.context, s.window);
    b.line(name, b.time_of([&] { k.attention_forward(out.get(), log_sums.get(), qkv.get(), scratch.get(), s); }), flops,
           moved);
    for (const bool deterministic : {false, true}) {
      b.device.be_deterministic(deterministic);
      std::snprintf(name, sizeof name, "backward%s", deterministic ? ", the same bits again" : "");
      b.line(name, b.time_of([&] {
        k.attention_backward(dqkv.get(), dout.get(), out.get(), log_sums.get(), qkv.get(), scratch.get(), s);
      }),
             2.5 * flops, 2 * moved);
    }
  }
}

Documents texts(std::int64_t vocabulary) {
  Documents documents;
  std::mt19937 random(3);
  documents.names.push_back("random");
  std::vector<std::int32_t> tokens{document_start};
  for (int i = 0; i < 1 << 20; ++i)  // frequent ones and rare ones, as in texts
    tokens.push_back(static_cast<std::int32_t>(random() % (1 + random() % static_cast<unsigned>(vocabulary - 1))));
  documents.tokens.push_back(std::move(tokens));
  return documents;
}

// Tokens per second of whole recorded steps.
double speed(Bench& b, TrainingSettings settings, const Documents& documents, double* first_step = nullptr) {
  settings.lanes = lanes_that_fit(settings, b.device.facts().memory_free * 9 / 10);
  if (settings.lanes == 0) return 0;
  b.device.tune(true);  // outside any budget, as overnight-train --plan does it
  Training(settings, documents, {}, &b.device);
  b.device.tune(false);
  const double began = b.seconds();
  Training training(settings, documents, {}, &b.device);
  training.step(0.1);
  if (first_step != nullptr) *first_step = b.seconds() - began;
  const int steps = b.tiny ? 1 : 8;
  const double from = b.seconds();
  for (int i = 0; i < steps; ++i) training.step(0.1);
  return steps * static_cast<double>(settings.batch * settings.model.context) / (b.seconds() - from);
}

TrainingSettings autoresearch(const Bench& b) {
  TrainingSettings s;
  set_parameter(s, "preset", "autoresearch");
  if (b.tiny) s.model.depth = 1, s.aspect = 32, s.head_size = 16, s.model.context = 16, s.model.vocabulary = 300;
  if (b.tiny) s.batch_tokens = 16;
  s.steps = 1;
  settle(s);
  return s;
}

void whole_steps(Bench& b) {
  const TrainingSettings settings = autoresearch(b);
  const Documents documents = texts(settings.model.vocabulary);
  double first = 0;
  const double rate = speed(b, settings, documents, &first);
  const double flops = plan_of(settings).flops_per_token;
  std::printf(
      "\nautoresearch model, %.1f M parameters, %lld tokens a step: %.0f tokens/s, MFU %.1f %% of the peak above; "
      "from nothing to the end of the first step %.2f s\n",
      static_cast<double>(plan_of(settings).parameters) / 1e6,
      static_cast<long long>(settings.batch * settings.model.context), rate,
      100 * rate * flops / b.peaks.bfloat16_flops, first);

  TrainingSettings part = settings;  // op by op takes memory for one lane and time for waiting
  part.lanes = lanes_that_fit(part, b.device.facts().memory_free * 9 / 10);
  if (part.lanes == 0) return;
  Training training(part, documents, {}, &b.device);
  training.take_profile();
  training.step(0.1);
  training.step(0.1);
  b.head("its ops, forward and backward, of two steps");
  for (const ProfileLine& op : training.profile())
    b.line(op.kind.c_str(), op.forward_seconds + op.backward_seconds, op.flops, op.moved);
}

// Four layers without MLPs, so that the mixer is what differs.
void mixers(Bench& b) {
  std::printf("\n%-44s %12s %20s\n", "layers by mixer, 512 wide, 2048 tokens", "tokens/s", "time of attention's");
  double attention = 0;
  for (const auto& [mixer, rank, name] : {std::tuple{"A", 1, "attention"},
                                          {"M", 1, "Mamba-2"},
                                          {"3", 1, "Mamba-3"},
                                          {"3", 4, "Mamba-3, rank 4"},
                                          {"C", 1, "short convolution"}}) {
    TrainingSettings s;
    s.model = {.depth = 4, .width = 512, .heads = 4, .context = 2048, .mlp_ratio = 0, .vocabulary = 512};
    s.model.mixer = mixer, s.model.mamba_rank = rank;
    if (rank > 1) s.model.chunk = 16;
    if (b.tiny) s.model.depth = 1, s.model.width = 32, s.model.heads = 2, s.model.context = 16, s.model.chunk = 16;
    if (b.tiny) s.model.mamba_head = 16, s.model.state = 16;
    s.batch = b.tiny ? 1 : 64;
    s.steps = 1;
    const double rate = speed(b, s, texts(s.model.vocabulary));
    if (attention == 0) attention = rate;
    std::printf("%-44s %12.0f %20.2f\n", name, rate, attention / rate);
  }
}

int run(Device& device, bool tiny) {
  const auto facts = device.facts();
  Bench bench{device, device.measure_peaks(), tiny};
  device.be_deterministic(false);
  std::printf("%s, %s\nmeasured peaks: products %.0f TFLOP/s in bfloat16, %.1f in floats; copies %.2f TB/s\n",
              facts.name.c_str(), facts.version.c_str(), bench.peaks.bfloat16_flops / 1e12,
              bench.peaks.float_flops / 1e12, bench.peaks.bytes / 1e12);
  products(bench, tiny ? 32 : 32768);
  attentions(bench);
  whole_steps(bench);
  mixers(bench);
  return 0;
}

}  // namespace
}  // namespace overnight::workers

int main(int argc, char** argv) {
#ifdef OVERNIGHT_WITH_EMULATOR
  if (argc > 1 && std::strcmp(argv[1], "--emulated") == 0)
    return overnight::workers::run(*overnight::kernels::emulated_device(std::size_t{4} << 30), true);
#endif
  const auto opened = overnight::kernels::open_device();
  if (opened.device == nullptr) {
    std::printf("nothing was measured: %s\n", opened.why_not.c_str());
    return argc > 1 || opened.broken ? 2 : 0;
  }
  return overnight::workers::run(*opened.device, false);
}
