#include "workers/trainer/training.h"

#include <barrier>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <thread>

namespace overnight::workers {
namespace {

// Floats on cache-line boundaries, zeroed.
class Block {
 public:
  explicit Block(std::size_t floats)
      : data_(static_cast<float*>(std::aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64))), floats_(floats) {
    if (data_ == nullptr) throw std::bad_alloc();
    std::memset(data_, 0, floats_ * sizeof(float));
  }
  ~Block() { std::free(data_); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  float* get() const { return data_; }

 private:
  float* data_;
  std::size_t floats_;
};

constexpr float adam_epsilon = 1e-8f;

}  // namespace

std::string why_impossible(const TrainingSettings& s) {
  if (std::string why = why_impossible(s.model); !why.empty()) return why;
  if (s.threads < 1 || s.threads > 256) return "threads " + std::to_string(s.threads) + " is not between 1 and 256";
  if (s.batch < 1 || s.batch > 65536) return "batch " + std::to_string(s.batch) + " is not between 1 and 65536";
  if (s.batch % s.threads != 0)
    return "batch " + std::to_string(s.batch) + " is not a multiple of threads " + std::to_string(s.threads);
  if (!(s.learning_rate > 0) || s.learning_rate > 10)
    return "learning_rate " + std::to_string(s.learning_rate) + " is not above 0 and at most 10";
  if (!(s.beta1 >= 0 && s.beta1 < 1 && s.beta2 >= 0 && s.beta2 < 1)) return "beta1 and beta2 must lie in [0, 1)";
  if (!(s.weight_decay >= 0) || !(s.clip >= 0)) return "weight_decay and clip must not be negative";
  if (!(s.schedule.warmup >= 0 && s.schedule.warmup <= 1 && s.schedule.warmdown >= 0 && s.schedule.warmdown <= 1))
    return "warmup and warmdown are shares between 0 and 1";
  if (s.steps <= 0 && !(s.seconds > 0))
    return "there is no budget: neither steps nor seconds (nor a train budget in the experiment)";
  return "";
}

TrainingPlan plan_of(const TrainingSettings& settings) {
  const auto lane_batch = static_cast<std::size_t>(settings.batch / settings.threads),
             lanes = static_cast<std::size_t>(settings.threads);
  const Transformer model = make_transformer(settings.model, lane_batch, Graph::Purpose::training);
  TrainingPlan plan;
  for (const Tensor& tensor : model.graph.tensors()) plan.parameters += tensor.parameter ? tensor.count() : 0;
  plan.bytes = sizeof(float) * (model.graph.parameter_floats() * (3 + lanes) + model.graph.arena_floats() * lanes);
  plan.tokens_per_step = static_cast<std::size_t>(settings.batch * settings.model.context);
  plan.flops_per_token =
      3 * model.graph.forward_flops() * static_cast<double>(lanes) / static_cast<double>(plan.tokens_per_step);
  return plan;
}

struct Training::Impl {
  TrainingSettings settings;
  Transformer model;
  std::vector<std::int32_t> stream;  // all documents, one after the other
  Block parameters, first, second;
  struct Lane {
    Block gradients, arena;
    std::vector<std::int32_t> inputs, targets;
    double loss = 0;
    Lane(std::size_t parameter_floats, std::size_t arena_floats, std::size_t tokens)
        : gradients(parameter_floats), arena(arena_floats), inputs(tokens), targets(tokens) {}
  };
  std::vector<std::unique_ptr<Lane>> lanes;
  std::mt19937_64 random;
  std::int64_t steps = 0;
  const kernels::Backend& backend = kernels::cpu_backend();
  std::barrier<> start, done;
  std::vector<std::thread> threads;
  bool stopping = false;

  Impl(const TrainingSettings& s, const Documents& documents)
      : settings(s),
        model(make_transformer(s.model, static_cast<std::size_t>(s.batch / s.threads), Graph::Purpose::training)),
        parameters(model.graph.parameter_floats()),
        first(model.graph.parameter_floats()),
        second(model.graph.parameter_floats()),
        random(static_cast<std::uint64_t>(s.seed)),
        start(static_cast<std::ptrdiff_t>(s.threads)),
        done(static_cast<std::ptrdiff_t>(s.threads)) {
    kernels::use_one_thread_per_call();
    initialize(model.graph, parameters.get(), static_cast<std::uint64_t>(s.seed));
    for (const auto& tokens : documents.tokens) stream.insert(stream.end(), tokens.begin(), tokens.end());
    while (stream.size() < static_cast<std::size_t>(s.model.context) + 2) stream.push_back(document_start);
    const auto tokens = static_cast<std::size_t>(s.batch / s.threads * s.model.context);
    for (std::int64_t i = 0; i < s.threads; ++i)
      lanes.push_back(std::make_unique<Lane>(model.graph.parameter_floats(), model.graph.arena_floats(), tokens));
    for (std::size_t i = 1; i < lanes.size(); ++i) threads.emplace_back([this, i] { serve(i); });
  }

  ~Impl() {
    stopping = true;
    if (!threads.empty()) start.arrive_and_wait();
    for (std::thread& thread : threads) thread.join();
  }

  void serve(std::size_t i) {
    while (true) {
      start.arrive_and_wait();
      if (stopping) return;
      run_lane(*lanes[i]);
      done.arrive_and_wait();
    }
  }

  void run_lane(Lane& lane) {
    Memory memory;
    memory.backend = &backend;
    memory.parameters = parameters.get();
    memory.parameter_gradients = lane.gradients.get();
    memory.arena = lane.arena.get();
    memory.inputs = lane.inputs.data();
    memory.targets = lane.targets.data();
    memory.loss_scale = 1.0f / static_cast<float>(settings.batch * settings.model.context);
    model.graph.forward(memory);
    model.graph.backward(memory);
    lane.loss = memory.loss;
  }

  void fill(Lane& lane) {
    const auto context = static_cast<std::size_t>(settings.model.context);
    for (std::size_t row = 0; row < lane.inputs.size(); row += context) {
      const std::size_t at = random() % (stream.size() - context - 1);
      std::memcpy(lane.inputs.data() + row, stream.data() + at, context * sizeof(std::int32_t));
      std::memcpy(lane.targets.data() + row, stream.data() + at + 1, context * sizeof(std::int32_t));
      // The start of a document is given, never guessed.
      for (std::size_t i = row; i < row + context; ++i) {
        if (lane.targets[i] == document_start) lane.targets[i] = -1;
      }
    }
  }

  // In the order of the lanes, so that the sum does not depend on who was first.
  double reduce() {
    for (std::size_t i = 1; i < lanes.size(); ++i)
      backend.add(lanes[0]->gradients.get(), lanes[i]->gradients.get(), model.graph.parameter_floats());
    double loss = 0;
    for (const auto& lane : lanes) loss += lane->loss;
    return loss / static_cast<double>(settings.batch * settings.model.context);
  }

  void update(double factor) {
    ++steps;
    const float* gradient = lanes[0]->gradients.get();
    const double norm = std::sqrt(backend.sum_of_squares(gradient, model.graph.parameter_floats()));
    const float scale = settings.clip > 0 && norm > settings.clip ? static_cast<float>(settings.clip / norm) : 1.0f;
    const double correction1 = 1 / (1 - std::pow(settings.beta1, static_cast<double>(steps))),
                 correction2 = 1 / (1 - std::pow(settings.beta2, static_cast<double>(steps)));
    for (const Tensor& tensor : model.graph.tensors()) {
      if (!tensor.parameter) continue;
      const bool outer = tensor.name == "embedding" || tensor.name == "head";
      const double rate = settings.learning_rate * factor * (outer ? settings.embedding_scale : 1);
      backend.adamw(parameters.get() + tensor.value_at, first.get() + tensor.value_at, second.get() + tensor.value_at,
                    gradient + tensor.gradient_at, tensor.count(), static_cast<float>(rate),
                    static_cast<float>(settings.beta1), static_cast<float>(settings.beta2),
                    static_cast<float>(correction1), static_cast<float>(correction2), adam_epsilon,
                    static_cast<float>(outer ? 0 : settings.weight_decay), scale);
    }
  }
};

Training::Training(const TrainingSettings& settings, const Documents& documents)
    : impl_(std::make_unique<Impl>(settings, documents)) {}
Training::~Training() = default;

double Training::step(double progress) {
  for (auto& lane : impl_->lanes) impl_->fill(*lane);
  if (!impl_->threads.empty()) impl_->start.arrive_and_wait();
  impl_->run_lane(*impl_->lanes[0]);
  if (!impl_->threads.empty()) impl_->done.arrive_and_wait();
  const double loss = impl_->reduce();
  impl_->update(impl_->settings.schedule.at(progress));
  return loss;
}

const Graph& Training::graph() const { return impl_->model.graph; }
const float* Training::parameters() const { return impl_->parameters.get(); }

}  // namespace overnight::workers
