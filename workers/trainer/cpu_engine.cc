// Lanes, one per thread, each with its part of the batch and memory of its own.
#include <algorithm>
#include <cmath>
#include <map>

#include "workers/model/block.h"
#include "workers/model/crew.h"
#include "workers/model/language_model.h"
#include "workers/trainer/engine.h"
#include "workers/trainer/optimizer.h"

namespace overnight::workers {
namespace {

constexpr std::size_t piece_floats = 16384;

// A piece of one parameter tensor: the unit of work of summing gradients. The pieces depend on the model alone, so that
// sums over them are the same for any number of threads.
struct Piece {
  std::size_t at, count;  // in the parameters
};

std::vector<Piece> pieces_of(const Graph& graph) {
  std::vector<Piece> pieces;
  for (const Tensor& tensor : graph.tensors()) {
    if (!tensor.parameter) continue;
    for (std::size_t from = 0; from < tensor.count(); from += piece_floats)
      pieces.push_back({tensor.value_at + from, std::min(piece_floats, tensor.count() - from)});
  }
  return pieces;
}

class CpuEngine final : public Engine {
 public:
  TrainingSettings settings;
  std::size_t lane_count;
  LanguageModel model;
  Batches batches;
  Block parameters;
  Optimizer optimizer;
  std::vector<Piece> pieces;
  std::vector<double> squares;  // of each piece's gradient
  struct Lane {
    Block gradients;
    std::vector<std::int32_t> inputs, targets;
    double loss = 0;
    Lane(std::size_t parameter_floats, std::size_t tokens)
        : gradients(parameter_floats), inputs(tokens), targets(tokens) {}
  };
  std::vector<std::unique_ptr<Lane>> lanes;
  std::vector<std::unique_ptr<Block>> arenas;  // one per thread
  std::vector<Profile> profiles;               // one per thread, empty if none is taken
  double data_seconds = 0, optimizer_seconds = 0;
  std::int64_t steps = 0, profiled_from = 0;
  const kernels::Backend& backend = kernels::cpu_backend();
  Crew crew;

  CpuEngine(const TrainingSettings& s, const Documents& documents, const Stopped& stopped)
      : settings(s),
        lane_count(static_cast<std::size_t>(lanes_of(s))),
        model(make_language_model(s.model, static_cast<std::size_t>(s.batch) / lane_count, ModelUse::training)),
        batches(documents, static_cast<std::size_t>(s.model.context), static_cast<std::uint64_t>(s.seed)),
        parameters(model.graph.parameter_floats()),
        optimizer(model.graph, s.optimizer, static_cast<std::size_t>(s.threads)),
        pieces(pieces_of(model.graph)),
        squares(pieces.size()),
        crew(static_cast<std::size_t>(s.threads)) {
    initialize(model.graph, parameters.get(), static_cast<std::uint64_t>(s.seed), matrix_init_of(s), s.init_scale,
               stopped);
    const std::size_t tokens = static_cast<std::size_t>(s.batch * s.model.context) / lane_count;
    for (std::size_t i = 0; i < lane_count; ++i)
      lanes.push_back(std::make_unique<Lane>(model.graph.parameter_floats(), tokens));
    for (std::size_t i = 0; i < crew.size(); ++i)
      arenas.push_back(std::make_unique<Block>(model.graph.arena_bytes() / sizeof(float)));
  }

  // The lanes of one thread.
  void run_lanes(std::size_t thread, const std::atomic<bool>* stop) {
    for (std::size_t i = thread; i < lanes.size(); i += crew.size()) {
      Lane& lane = *lanes[i];
      Memory memory;
      memory.backend = &backend;
      memory.parameters = parameters.get();
      memory.parameter_gradients = lane.gradients.get();
      memory.arena = arenas[thread]->get();
      memory.inputs = lane.inputs.data();
      memory.targets = lane.targets.data();
      memory.weights = parameters.get();
      memory.loss_scale = 1.0f / static_cast<float>(settings.batch * settings.model.context);
      memory.stop = stop;
      if (!profiles.empty()) memory.profile = &profiles[thread];
      model.graph.forward(memory);
      model.graph.backward(memory);
      lane.loss = sum_of_losses(model, memory);
    }
  }

  // Sums the lanes' gradients into the first lane's, always in the order of the lanes.
  void reduce(std::size_t thread) {
    float* sum = lanes[0]->gradients.get();
    for (std::size_t i = thread; i < pieces.size(); i += crew.size()) {
      for (std::size_t lane = 1; lane < lanes.size(); ++lane)
        backend.add(sum + pieces[i].at, lanes[lane]->gradients.get() + pieces[i].at, pieces[i].count);
      squares[i] = backend.sum_of_squares(sum + pieces[i].at, pieces[i].count);
    }
  }

  void update(std::size_t thread, std::atomic<std::size_t>& next) {
    for (std::size_t unit = next++; unit < optimizer.units(); unit = next++)
      optimizer.work(unit, thread, parameters.get(), lanes[0]->gradients.get());
  }

  std::optional<double> step(double progress, const std::atomic<bool>* stop) override {
    const double began = thread_seconds();
    const std::string before = batches.place();  // a step that is stopped draws its batch again
    for (auto& lane : lanes) batches.fill(lane->inputs.data(), lane->targets.data(), lane->inputs.size());
    data_seconds += thread_seconds() - began;
    crew.run([&](std::size_t thread) { run_lanes(thread, stop); });
    if (stop != nullptr && stop->load()) {
      batches.restore(before);
      return std::nullopt;
    }
    const double ran = thread_seconds();
    crew.run([this](std::size_t thread) { reduce(thread); });
    double square = 0, loss = 0;
    for (const double one : squares) square += one;
    for (const auto& lane : lanes) loss += lane->loss;
    ++steps;
    optimizer.begin(settings.schedule.at(progress), progress, std::sqrt(square));
    std::atomic<std::size_t> next = 0;
    crew.run([&](std::size_t thread) { update(thread, next); });
    optimizer_seconds += (thread_seconds() - ran) * static_cast<double>(crew.size());
    return loss / static_cast<double>(settings.batch * settings.model.context);
  }

  const Graph& graph() const override { return model.graph; }
  const float* result() override { return optimizer.result(parameters.get()); }

  Carried carried() override {
    Carried all{{{"parameters", parameters.get(), model.graph.parameter_floats()}}, steps, batches.place()};
    for (const auto& [name, values, count] : optimizer.carried().moments) all.numbers.push_back({name, values, count});
    return all;
  }
  bool take_back(std::int64_t taken, const std::string& place) override {
    if (!batches.restore(place)) return false;
    steps = profiled_from = taken;
    optimizer.go_on_from(taken);
    return true;
  }
  std::uint64_t fingerprint() const override { return batches.fingerprint(); }

  void take_profile() override {
    const std::size_t ops = model.graph.ops().size();
    profiles.assign(crew.size(), {std::vector<double>(ops), std::vector<double>(ops)});
    data_seconds = optimizer_seconds = 0;
    profiled_from = steps;
  }
  std::vector<ProfileLine> profile() const override {
    std::map<std::string, ProfileLine> kinds;
    const auto& ops = model.graph.ops();
    for (const Profile& profile : profiles) {
      for (std::size_t i = 0; i < ops.size(); ++i) {
        ProfileLine& line = kinds[ops[i]->kind()];
        line.forward_seconds += profile.forward_seconds[i];
        line.backward_seconds += profile.backward_seconds[i];
      }
    }
    const auto taken = static_cast<double>(steps - profiled_from), passes = taken * static_cast<double>(lanes.size());
    for (const auto& op : ops) kinds[op->kind()].flops += 3 * op->flops() * passes;
    kinds["optimizer"].forward_seconds = optimizer_seconds;
    kinds["optimizer"].flops = optimizer_flops(model.graph, settings.optimizer) * taken;
    kinds["data"].forward_seconds = data_seconds;
    return sorted_lines(std::move(kinds));
  }
};

}  // namespace

std::unique_ptr<Engine> make_cpu_engine(const TrainingSettings& settings, const Documents& documents,
                                        const Stopped& stopped) {
  return std::make_unique<CpuEngine>(settings, documents, stopped);
}

}  // namespace overnight::workers
