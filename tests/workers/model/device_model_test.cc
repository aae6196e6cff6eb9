// A model on a device gives the loss and the gradients that the CPU gives in floats: nearly the same numbers in floats,
// the same direction and length in bfloat16.
#include "workers/model/device_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "tests/kernels/test_device.h"
#include "tests/workers/model/machine.h"

namespace overnight::workers {
namespace {

using kernels::DeviceArray;

constexpr std::size_t sequences = 2;

// Of a size that a GPU's fast paths take: heads of 64 or 128, chunks of 64; for the emulator as small as can be.
ModelConfig sized(ModelConfig config) {
  if (!kernels::gpu_sized()) {
    config = larger(config);
    if (config.mixer == "A") config.width = 128, config.context = 70;
    if (config.mixer != "A") config.width = 32, config.mamba_head = 16;
    return config;
  }
  const std::int64_t kv_heads = config.kv_heads;
  config.width = 256, config.context = 256, config.heads = config.window == "SL" ? 4 : 2;
  config.kv_heads = kv_heads == 1 ? 2 : 0;
  config.vocabulary = 512;
  if (config.short_window > 0) config.short_window = 100;
  if (config.mixer != "A") config.state = 64, config.mamba_head = 64, config.chunk = 64;
  return config;
}

struct Batch {
  std::vector<std::int32_t> inputs, targets, order;
  Batch(const ModelConfig& config) {
    std::mt19937 random(5);
    const std::size_t rows = sequences * static_cast<std::size_t>(config.context);
    for (std::size_t i = 0; i < rows; ++i) {
      inputs.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(config.vocabulary) / (1 + i % 3)));
      targets.push_back(i == 5 ? -1 : static_cast<std::int32_t>(random() % static_cast<unsigned>(config.vocabulary)));
    }
    order.resize(rows);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return inputs[static_cast<std::size_t>(a)] < inputs[static_cast<std::size_t>(b)];
    });
  }
};

// Parameters that bfloat16 holds exactly, none of them zero.
std::vector<float> parameters_for(const Graph& graph) {
  std::vector<float> parameters(graph.parameter_floats());
  initialize(graph, parameters.data(), 3);
  for (std::size_t i = 0; i < parameters.size(); ++i)
    parameters[i] = kernels::bfloat16(parameters[i] + 0.05f * std::sin(static_cast<float>(i * i % 1009)));
  return parameters;
}

struct Taken {
  double loss = 0;
  std::vector<float> gradients;
};

Taken by_cpu(const ModelConfig& config, const Batch& batch, const std::vector<float>& parameters) {
  const LanguageModel model = make_language_model(config, sequences, ModelUse::training);
  std::vector<std::byte> arena(model.graph.arena_bytes());
  Taken taken{0, std::vector<float>(parameters.size())};
  Memory memory{.backend = &kernels::cpu_backend(), .parameters = parameters.data(), .arena = arena.data()};
  memory.parameter_gradients = taken.gradients.data();
  memory.inputs = batch.inputs.data(), memory.targets = batch.targets.data();
  memory.loss_scale = 1;
  model.graph.forward(memory);
  model.graph.backward(memory);
  taken.loss = sum_of_losses(model, memory);
  return taken;
}

template <typename Number>
DeviceArray<Number> sent(kernels::Device& device, const std::vector<Number>& values) {
  DeviceArray<Number> there(device, values.size());
  device.to_device(there.get(), values.data(), values.size() * sizeof(Number));
  device.wait();
  return there;
}

Taken by_device(kernels::Device& device, const ModelConfig& config, const Batch& batch,
                const std::vector<float>& parameters, bool rounded) {
  const auto model = make_device_model(config, sequences, ModelUse::training, rounded, device);
  const auto there = sent(device, parameters);
  const auto inputs = sent(device, batch.inputs), targets = sent(device, batch.targets),
             order = sent(device, batch.order);
  const DeviceArray<kernels::bfloat16> weights(device, parameters.size());
  const DeviceArray<float> gradients(device, parameters.size());
  device.ops().narrow(weights.get(), there.get(), parameters.size());
  device.zero(gradients.get(), parameters.size() * sizeof(float));
  model->run({there.get(), weights.get(), gradients.get(), inputs.get(), targets.get(), order.get(), 1});
  Taken taken{0, std::vector<float>(parameters.size())};
  std::vector<float> losses(batch.inputs.size());
  device.to_host(taken.gradients.data(), gradients.get(), parameters.size() * sizeof(float));
  device.to_host(losses.data(), model->losses(), losses.size() * sizeof(float));
  device.wait();
  for (const float loss : losses) taken.loss += static_cast<double>(loss);
  return taken;
}

// Of one tensor's gradient: the cosine with the expected one, the ratio of their norms, and the relative difference.
struct Likeness {
  double cosine, ratio, difference;
};
Likeness likeness(const float* ours, const float* theirs, std::size_t count) {
  double both = 0, our = 0, their = 0, apart = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double a = static_cast<double>(ours[i]), b = static_cast<double>(theirs[i]);
    both += a * b, our += a * a, their += b * b, apart += (a - b) * (a - b);
  }
  return {both / std::sqrt(our * their), std::sqrt(our / their), std::sqrt(apart / their)};
}

class DeviceModels : public testing::TestWithParam<ModelConfig> {};
#ifdef OVERNIGHT_TEST_ON_GPU
INSTANTIATE_TEST_SUITE_P(Of, DeviceModels, testing::ValuesIn(every_kind()), kind_name);
#else  // the rest of the kinds is tried in mixed_model_test.cc, without a device around them
INSTANTIATE_TEST_SUITE_P(Of, DeviceModels,
                         testing::Values(with_windows(), every_kind()[5], with_mixer("M"), with_mixer("3", 2)),
                         kind_name);
#endif

TEST_P(DeviceModels, GiveTheLossAndTheGradientsOfTheCpu) {
  TEST_DEVICE(device);
  const ModelConfig config = sized(GetParam());
  ASSERT_EQ(why_impossible(config), "");
  const LanguageModel model = make_language_model(config, 1, ModelUse::training);
  const Batch batch(config);
  const std::vector<float> parameters = parameters_for(model.graph);
  const Taken expected = by_cpu(config, batch, parameters);
  device.be_deterministic(false);
  for (const bool rounded : {false, true}) {
    const Taken taken = by_device(device, config, batch, parameters, rounded);
    EXPECT_NEAR(taken.loss, expected.loss, (rounded ? 0.01 : 1e-5) * expected.loss);
    for (const Tensor& tensor : model.graph.tensors()) {
      if (!tensor.parameter) continue;
      const Likeness like =
          likeness(&taken.gradients[tensor.gradient_at], &expected.gradients[tensor.gradient_at], tensor.count());
      if (rounded) {
        EXPECT_GT(like.cosine, 0.999) << tensor.name;
        EXPECT_NEAR(like.ratio, 1, tensor.count() < 64 ? 0.04 : 0.01) << tensor.name;
      } else {
        EXPECT_LT(like.difference, 1e-4) << tensor.name;
      }
    }
  }
}

TEST(OffMatrixUnit, AreHeadsAndStatesThatItDoesNotTake) {
  TEST_DEVICE(device);
  ModelConfig config{.depth = 4, .width = 128, .heads = 2, .mixer = "AM3C"};
  EXPECT_EQ(off_matrix_unit(config, device.ops()), std::vector<std::string>{});
  config.mamba_rank = 4;  // its chunks are cut until they fit
  EXPECT_EQ(off_matrix_unit(config, device.ops()), std::vector<std::string>{});
  config.heads = 4;
  config.depth = 8;
  EXPECT_EQ(off_matrix_unit(config, device.ops()),
            std::vector<std::string>{"attention with heads of 32 (the matrix unit takes 64 and 128)"})
      << "once, not once a layer";
  config.state = 24;
  EXPECT_EQ(off_matrix_unit(config, device.ops()).size(), 3u);
}

TEST_P(DeviceModels, GiveTheSameBitsAgainWhereThatIsAsked) {
  TEST_DEVICE(device);
  const ModelConfig config = sized(GetParam());
  const Batch batch(config);
  const std::vector<float> parameters = parameters_for(make_language_model(config, 1, ModelUse::training).graph);
  device.be_deterministic(true);
  EXPECT_EQ(by_device(device, config, batch, parameters, true).gradients,
            by_device(device, config, batch, parameters, true).gradients);
}

}  // namespace
}  // namespace overnight::workers
