// A step on a GPU: recorded once, from the batch to the new weights, and played again and again. While one is played
// the next batch is made ready.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "workers/model/device_model.h"
#include "workers/model/language_model.h"
#include "workers/trainer/device_layout.h"
#include "workers/trainer/engine.h"

namespace overnight::workers {
namespace {

using kernels::Device;
using kernels::DeviceArray;
using kernels::HostArray;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Everything that is carried from step to step, in the device's memory and as a copy in ours.
struct Numbers {
  const char* name;
  DeviceArray<float> there;
  std::vector<float> here;
  Numbers(Device& device, const char* n, std::size_t count) : name(n), there(device, count), here(count) {}
  void up(Device& device) { device.to_device(there.get(), here.data(), here.size() * sizeof(float)); }
  void down(Device& device) { device.to_host(here.data(), there.get(), here.size() * sizeof(float)); }
};

// What a step is told, in memory that the device reads from while the next is written.
struct Told {
  HostArray<std::int32_t> batch;  // inputs, targets, and order of each lane's rows
  HostArray<kernels::StepNumbers> numbers;
  Told(Device& device, std::size_t tokens) : batch(device, 3 * tokens), numbers(device, 1) {}
};

class DeviceEngine final : public Engine {
 public:
  DeviceEngine(const TrainingSettings& s, const Documents& documents, const Stopped& stopped, Device& device)
      : settings_(s),
        device_(device),
        lanes_(static_cast<std::size_t>(lanes_of(s))),
        tokens_(static_cast<std::size_t>(s.batch * s.model.context)),
        host_model_(make_language_model(s.model, 1, ModelUse::training)),
        layout_(device_layout(host_model_.graph, s.optimizer, rounds(s))),
        batches_(documents, static_cast<std::size_t>(s.model.context), static_cast<std::uint64_t>(s.seed)),
        parameters_(device, "parameters", host_model_.graph.parameter_floats()),
        first_(device, "first", parameters_.here.size()),
        second_(device, "second", layout_.second_floats),
        mean_(device, "average", s.optimizer.ema > 0 ? parameters_.here.size() : 0),
        weights_(device, rounds(s) ? parameters_.here.size() : 0),
        gradients_(device, parameters_.here.size()),
        batch_(device, 3 * tokens_),
        numbers_(device, 1),
        norm_(device, 1),
        loss_(device, 1),
        pieces_(device, layout_.pieces.size()),
        muon_scratch_(device, layout_.muon_scratch_bytes),
        told_loss_(device, 1),
        model_(make_device_model(s.model, static_cast<std::size_t>(s.batch) / lanes_, ModelUse::training, rounds(s),
                                 device)) {
    told_.emplace_back(device, tokens_);
    told_.emplace_back(device, tokens_);
    initialize(host_model_.graph, parameters_.here.data(), static_cast<std::uint64_t>(s.seed), matrix_init_of(s),
               s.init_scale, stopped);
    device.to_device(pieces_.get(), layout_.pieces.data(), layout_.pieces.size() * sizeof(kernels::AdamWPiece));
    for (const ShapeStack& stack : layout_.stacks) {
      for (const auto* places : {&stack.at, &stack.second_at}) {
        places_.emplace_back(device, places->size());
        device.to_device(places_.back().get(), places->data(), places->size() * sizeof(std::uint64_t));
      }
    }
    device.be_deterministic(s.deterministic == 1);
    draw(told_[0]);
    warm_up();
    send_all();
    recording_ = device.record([this] { launch_step(); });
  }

  // A step that is being played is not stopped: it takes less time than a stop may.
  std::optional<double> step(double progress, const std::atomic<bool>* stop) override {
    if (stop != nullptr && stop->load()) return std::nullopt;
    Told& told = told_[next_];
    ++steps_;
    told.numbers.get()[0] = step_numbers(settings_.optimizer, {settings_.schedule.at(progress), progress, steps_});
    send(told);
    if (profiling_) {
      launch_profiled();
    } else {
      recording_->play();
    }
    next_ = 1 - next_;
    draw(told_[next_]);
    device_.wait();
    fresh_ = false;
    return told_loss_.get()[0] / static_cast<double>(tokens_);
  }

  const Graph& graph() const override { return host_model_.graph; }

  const float* result() override {
    Numbers& numbers = settings_.optimizer.ema > 0 ? mean_ : parameters_;
    if (!fresh_) fetch();
    return numbers.here.data();
  }

  Carried carried() override {
    if (!fresh_) fetch();
    Carried all{{}, steps_, place_};
    for (Numbers* one : all_numbers()) all.numbers.push_back({one->name, one->here.data(), one->here.size()});
    return all;
  }
  bool take_back(std::int64_t steps, const std::string& place) override {
    if (!batches_.restore(place)) return false;
    steps_ = profiled_from_ = steps;
    send_all();
    draw(told_[next_]);
    return true;
  }
  std::uint64_t fingerprint() const override { return batches_.fingerprint(); }

  void take_profile() override {
    profiling_ = true;
    profiled_from_ = steps_;
    lines_.clear();
  }
  std::vector<ProfileLine> profile() const override { return sorted_lines(lines_); }

 private:
  std::vector<Numbers*> all_numbers() {
    std::vector<Numbers*> all{&parameters_, &first_, &second_};
    if (settings_.optimizer.ema > 0) all.push_back(&mean_);
    return all;
  }
  void fetch() {
    for (Numbers* one : all_numbers()) one->down(device_);
    device_.wait();
    fresh_ = true;
  }
  void send_all() {
    for (Numbers* one : all_numbers()) one->up(device_);
    if (rounds(settings_)) device_.ops().narrow(weights_.get(), parameters_.there.get(), parameters_.here.size());
    device_.wait();
    fresh_ = true;
  }

  // The next batch, and from where it was drawn: a state that is saved draws it again.
  void draw(Told& told) {
    place_ = batches_.place();
    std::int32_t *inputs = told.batch.get(), *targets = inputs + tokens_, *order = targets + tokens_;
    batches_.fill(inputs, targets, tokens_);
    const std::size_t rows = tokens_ / lanes_;
    for (std::size_t lane = 0; lane < lanes_; ++lane)
      order_by_token(order + lane * rows, inputs + lane * rows, rows,
                     static_cast<std::size_t>(settings_.model.vocabulary));
  }
  void send(const Told& told) {
    device_.to_device(batch_.get(), told.batch.get(), told.batch.bytes());
    device_.to_device(numbers_.get(), told.numbers.get(), told.numbers.bytes());
  }

  DeviceModel::Pass pass_of(std::size_t lane) const {
    const std::size_t rows = tokens_ / lanes_, at = lane * rows;
    return {.parameters = parameters_.there.get(),
            .weights = weights_.get(),
            .gradients = gradients_.get(),
            .inputs = batch_.get() + at,
            .targets = batch_.get() + tokens_ + at,
            .order = batch_.get() + 2 * tokens_ + at,
            .loss_scale = 1.0f / static_cast<float>(tokens_)};
  }
  void begin_step() {
    device_.zero(gradients_.get(), gradients_.size() * sizeof(float));
    device_.zero(loss_.get(), sizeof(double));
  }
  void launch_optimizer() {
    const kernels::DeviceOps& ops = device_.ops();
    const kernels::OptimizerBlocks blocks{
        parameters_.there.get(), rounds(settings_) ? weights_.get() : nullptr,
        gradients_.get(),        first_.there.get(),
        second_.there.get(),     settings_.optimizer.ema > 0 ? mean_.there.get() : nullptr};
    ops.norm(norm_.get(), gradients_.get(), gradients_.size());
    ops.adamw(blocks, pieces_.get(), layout_.pieces.size(), numbers_.get(), norm_.get());
    for (std::size_t i = 0; i < layout_.stacks.size(); ++i) {
      const ShapeStack& s = layout_.stacks[i];
      const kernels::MuonStack stack{s.rows,
                                     s.columns,
                                     s.at.size(),
                                     places_[2 * i].get(),
                                     places_[2 * i + 1].get(),
                                     settings_.optimizer.orthogonalizer == "polar",
                                     rounds(settings_)};
      ops.muon(blocks, stack, numbers_.get(), norm_.get(), muon_scratch_.get());
    }
  }
  void add_losses() { device_.ops().add_total(loss_.get(), model_->losses(), tokens_ / lanes_); }
  void launch_step() {
    begin_step();
    for (std::size_t lane = 0; lane < lanes_; ++lane) {
      model_->run(pass_of(lane));
      add_losses();
    }
    launch_optimizer();
    device_.to_host(told_loss_.get(), loss_.get(), sizeof(double));
  }

  // A step that moves nothing: it shows what is wrong before anything is recorded, and makes a plan for each kind of
  // product (where the device tunes, it finds the fastest).
  void warm_up() {
    kernels::StepNumbers still;
    for (auto& group : still.groups) group.epsilon = 1;
    told_[0].numbers.get()[0] = still;
    send_all();
    send(told_[0]);
    launch_step();
    device_.wait();
  }

  // Op by op: each is waited for, which a recording need not.
  void launch_profiled() {
    begin_step();
    for (std::size_t lane = 0; lane < lanes_; ++lane) {
      for (const OpCost& cost : model_->take_costs(pass_of(lane))) {
        ProfileLine& line = lines_[cost.kind];
        line.forward_seconds += cost.forward_seconds;
        line.backward_seconds += cost.backward_seconds;
        line.flops += cost.forward_flops + cost.backward_flops;
        line.moved += cost.forward_moved + cost.backward_moved;
      }
      add_losses();
    }
    device_.wait();
    const double began = now();
    launch_optimizer();
    device_.to_host(told_loss_.get(), loss_.get(), sizeof(double));
    device_.wait();
    ProfileLine& line = lines_["optimizer"];
    line.forward_seconds += now() - began;
    line.flops += optimizer_flops(host_model_.graph, settings_.optimizer);
    line.moved +=
        7.0 * sizeof(float) * static_cast<double>(parameters_.here.size());  // three read and written, one read
  }

  TrainingSettings settings_;
  Device& device_;
  std::size_t lanes_, tokens_;
  LanguageModel host_model_;  // whose parameters lie as the device's do
  DeviceLayout layout_;
  Batches batches_;
  std::string place_;  // of the batch that is ready
  Numbers parameters_, first_, second_, mean_;
  DeviceArray<kernels::bfloat16> weights_;
  DeviceArray<float> gradients_;
  DeviceArray<std::int32_t> batch_;
  DeviceArray<kernels::StepNumbers> numbers_;
  DeviceArray<float> norm_;
  DeviceArray<double> loss_;
  DeviceArray<kernels::AdamWPiece> pieces_;
  std::vector<DeviceArray<std::uint64_t>> places_;  // of each stack: at, second_at
  DeviceArray<std::byte> muon_scratch_;
  HostArray<double> told_loss_;
  std::vector<Told> told_;
  std::size_t next_ = 0;  // of told_
  std::unique_ptr<DeviceModel> model_;
  std::unique_ptr<Device::Recording> recording_;
  bool fresh_ = false;  // whether our copies are what the device has
  std::int64_t steps_ = 0, profiled_from_ = 0;
  bool profiling_ = false;
  std::map<std::string, ProfileLine> lines_;
};

}  // namespace

std::unique_ptr<Engine> make_device_engine(const TrainingSettings& settings, const Documents& documents,
                                           const Stopped& stopped, Device& device) {
  return std::make_unique<DeviceEngine>(settings, documents, stopped, device);
}

}  // namespace overnight::workers
