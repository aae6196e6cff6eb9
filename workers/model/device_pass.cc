// Built for floats and, with OVERNIGHT_MIXED, for bfloat16 (real.h).
#include "workers/model/device_pass.h"

#include <algorithm>
#include <chrono>
#include <type_traits>

#include "workers/model/language_model.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {
namespace {

constexpr bool rounded = !std::is_same_v<Real, Full>;

template <typename Number>
const auto& table_of(const kernels::Device& device) {
  if constexpr (std::is_same_v<Number, float>) {
    return device.floats();
  } else {
    return device.bfloat16s();
  }
}
template <typename Number>
const Number* weights_of(const DeviceModel::Pass& pass) {
  if constexpr (std::is_same_v<Number, float>) {
    return pass.parameters;
  } else {
    return pass.weights;
  }
}

class DevicePass final : public DeviceModel {
 public:
  DevicePass(const ModelConfig& config, std::size_t batch, ModelUse use, kernels::Device& device)
      : device_(device),
        model_(make_language_model(config, batch, use, Walk::device)),
        arena_(device, model_.graph.arena_bytes()),
        constants_(device, model_.graph.constants().size()) {
    device.to_device(constants_.get(), model_.graph.constants().data(), model_.graph.constants().size() * sizeof(Full));
    device.wait();
    memory_.backend = &table_of<Real>(device);
    memory_.constants = constants_.get();
    memory_.arena = arena_.get();
    memory_.accumulates = true;
  }

  void run(const Pass& pass) override {
    take(pass);
    model_.graph.forward(memory_);
    if (pass.loss_scale > 0) model_.graph.backward(memory_);
  }
  const float* losses() const override { return model_.graph.read_full(memory_, model_.losses); }
  bool rounds() const override { return rounded; }

  std::vector<OpCost> take_costs(const Pass& pass) override {
    const Graph& graph = model_.graph;
    const std::size_t count = graph.ops().size();
    Profile profile{std::vector<double>(count), std::vector<double>(count), [this] {
                      device_.wait();
                      return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
                    }};
    memory_.profile = &profile;
    run(pass);
    memory_.profile = nullptr;
    std::vector<OpCost> costs;
    for (std::size_t i = 0; i < count; ++i) {
      const double flops = graph.ops()[i]->flops();
      costs.push_back({graph.ops()[i]->kind(), profile.forward_seconds[i], profile.backward_seconds[i], flops,
                       2 * flops, static_cast<double>(graph.forward_bytes(i)),
                       static_cast<double>(graph.backward_bytes(i))});
    }
    return costs;
  }

 private:
  void take(const Pass& pass) {
    memory_.parameters = pass.parameters;
    memory_.weights = weights_of<Real>(pass);
    memory_.parameter_gradients = pass.gradients;
    memory_.inputs = pass.inputs;
    memory_.targets = pass.targets;
    memory_.order = pass.order;
    memory_.loss_scale = pass.loss_scale;
  }

  kernels::Device& device_;
  LanguageModel model_;
  kernels::DeviceArray<std::byte> arena_;
  kernels::DeviceArray<Full> constants_;
  Memory memory_;
};

}  // namespace

std::size_t device_pass_bytes(const ModelConfig& config, std::size_t batch, ModelUse use) {
  const LanguageModel model = make_language_model(config, batch, use, Walk::device);
  return kernels::DeviceArray<std::byte>::bytes_of(model.graph.arena_bytes()) +
         kernels::DeviceArray<Full>::bytes_of(model.graph.constants().size());
}

std::vector<std::string> ops_off_matrix_unit(const ModelConfig& config, const kernels::DeviceOps& ops) {
  const LanguageModel model = make_language_model(config, 1, ModelUse::training, Walk::device);
  std::vector<std::string> all;
  for (const auto& op : model.graph.ops()) {
    std::string one = op->off_matrix_unit(ops);
    if (!one.empty() && std::ranges::find(all, one) == all.end()) all.push_back(std::move(one));
  }
  return all;
}

std::unique_ptr<DeviceModel> make_device_pass(const ModelConfig& config, std::size_t batch, ModelUse use,
                                              kernels::Device& device) {
  return std::make_unique<DevicePass>(config, batch, use, device);
}

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
