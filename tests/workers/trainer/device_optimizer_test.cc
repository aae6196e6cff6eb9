// A GPU's optimizer, op by op, against the CPU's on the same numbers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/kernels/test_device.h"
#include "tests/workers/trainer/normal_numbers.h"
#include "workers/trainer/muon.h"
#include "workers/trainer/optimizer_settings.h"

namespace overnight::workers {
namespace {

using kernels::bfloat16;
using kernels::Device;
using kernels::DeviceArray;

template <typename Number>
DeviceArray<Number> sent(Device& device, const std::vector<Number>& values) {
  DeviceArray<Number> there(device, values.size());
  device.to_device(there.get(), values.data(), values.size() * sizeof(Number));
  device.wait();
  return there;
}
template <typename Number>
std::vector<Number> fetched(Device& device, const DeviceArray<Number>& there) {
  std::vector<Number> values(there.size());
  device.to_host(values.data(), there.get(), values.size() * sizeof(Number));
  device.wait();
  return values;
}

// All blocks of a training of `count` parameters, there, with what a step reads.
struct There {
  Device& device;
  DeviceArray<float> parameters, gradients, first, second, mean, norm;
  DeviceArray<bfloat16> weights;
  DeviceArray<kernels::StepNumbers> numbers;

  There(Device& d, const Floats& weights_at_first, const Floats& gradient, std::size_t seconds)
      : device(d),
        parameters(sent(d, weights_at_first)),
        gradients(sent(d, gradient)),
        first(sent(d, Floats(gradient.size()))),
        second(sent(d, Floats(seconds))),
        mean(sent(d, weights_at_first)),
        norm(d, 1),
        weights(d, gradient.size()),
        numbers(d, 1) {
    device.zero(weights.get(), gradient.size() * sizeof(bfloat16));
  }
  kernels::OptimizerBlocks blocks() const {
    return {parameters.get(), weights.get(), gradients.get(), first.get(), second.get(), mean.get()};
  }
  void begin(const kernels::StepNumbers& step) {
    device.to_device(numbers.get(), &step, sizeof step);
    device.ops().norm(norm.get(), gradients.get(), gradients.size());
    device.wait();
  }
};

double norm_of(const Floats& values) {
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(squares);
}

void expect_near(const Floats& actual, const Floats& expected, double share, const std::string& what) {
  double largest = 0, furthest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(static_cast<double>(actual[i]) - static_cast<double>(expected[i]));
    if (!(difference <= furthest)) furthest = difference;  // a NaN stays
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
  }
  EXPECT_LE(furthest, share * largest) << what;
}

// What bfloat16 leaves of a matrix whose singular values are made equal: its direction and its length.
void expect_alike(const Floats& actual, const Floats& expected) {
  double both = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    both += static_cast<double>(actual[i]) * static_cast<double>(expected[i]);
  EXPECT_GT(both / (norm_of(actual) * norm_of(expected)), 0.99);
  EXPECT_NEAR(norm_of(actual) / norm_of(expected), 1, 0.01);
}

TEST(DeviceOptimizer, SumsInOrderAndRounds) {
  TEST_DEVICE(device);
  for (const std::size_t count : {1u, 300u, 100'000u}) {
    const Floats values = normal_numbers(count, 1);
    const DeviceArray<float> there = sent(device, values), norm(device, 1);
    const DeviceArray<double> sum = sent(device, std::vector<double>{5});
    const DeviceArray<bfloat16> rounded(device, count);
    device.ops().norm(norm.get(), there.get(), count);
    device.ops().add_total(sum.get(), there.get(), count);
    device.ops().narrow(rounded.get(), there.get(), count);
    double expected = 5;
    for (const float value : values) expected += static_cast<double>(value);
    EXPECT_NEAR(fetched(device, norm)[0], norm_of(values), 1e-6 * norm_of(values));
    EXPECT_NEAR(fetched(device, sum)[0], expected, 1e-9 * static_cast<double>(count));
    const auto halves = fetched(device, rounded);
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(halves[i].bits, bfloat16(values[i]).bits);
  }
}

// Pieces of two groups with a gap between them, several steps with a gradient that is clipped.
TEST(DeviceOptimizer, AdamWIsTheCpus) {
  TEST_DEVICE(device);
  constexpr std::size_t gap = 128, count = 900, from = 700 + gap;
  Floats weights = normal_numbers(from + count, 1), gradient = normal_numbers(from + count, 2);
  There there(device, weights, gradient, weights.size());
  const std::vector<kernels::AdamWPiece> pieces{{0, 700, 0, 0}, {from, count, from, 1}};
  const auto pieces_there = sent(device, pieces);
  Floats first(weights.size()), second(weights.size()), mean = weights;
  kernels::StepNumbers numbers;
  numbers.groups[0] = {.rate = 0.01f, .beta1 = 0.8f, .beta2 = 0.95f, .epsilon = 1e-8f, .decay = 0.1f};
  numbers.groups[1] = {.rate = 0.02f, .beta1 = 0.9f, .beta2 = 0.99f, .epsilon = 1e-6f, .decay = 0};
  numbers.clip = 3, numbers.mean_keep = 0.9f;
  for (int step = 1; step <= 3; ++step) {
    for (auto& group : numbers.groups) {
      group.correction1 = 1 / (1 - std::pow(group.beta1, static_cast<float>(step)));
      group.correction2 = 1 / (1 - std::pow(group.beta2, static_cast<float>(step)));
    }
    there.begin(numbers);
    device.ops().adamw(there.blocks(), pieces_there.get(), pieces.size(), there.numbers.get(), there.norm.get());
    const float scale = gradient_scale(numbers.clip, norm_of(gradient));
    for (const auto& piece : pieces) {
      const auto& g = numbers.groups[piece.group];
      kernels::cpu_backend().adamw(&weights[piece.at], &first[piece.at], &second[piece.at], &gradient[piece.at],
                                   piece.count, g.rate, g.beta1, g.beta2, g.correction1, g.correction2, g.epsilon,
                                   g.decay, scale);
      for (std::size_t i = piece.at; i < piece.at + piece.count; ++i) mean[i] = 0.9f * mean[i] + 0.1f * weights[i];
    }
  }
  const Floats got = fetched(device, there.parameters);
  expect_near(got, weights, 1e-5, "weights");
  expect_near(fetched(device, there.first), first, 1e-5, "first moments");
  expect_near(fetched(device, there.second), second, 1e-5, "second moments");
  expect_near(fetched(device, there.mean), mean, 1e-5, "running mean");
  const auto halves = fetched(device, there.weights);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const bool between = i >= 700 && i < from;
    ASSERT_EQ(halves[i].bits, between ? 0 : bfloat16(got[i]).bits) << i;
  }
}

struct MuonCase {
  std::size_t rows, columns;
  bool polar;
  float beta2;
};

// Two matrices of one shape, the second behind a gap; three steps.
void expect_the_cpus(Device& device, const MuonCase& c, bool rounded) {
  const std::size_t size = c.rows * c.columns, apart = size + 64, lines = std::max(c.rows, c.columns);
  Floats weights = normal_numbers(2 * apart, 1), gradient = normal_numbers(2 * apart, 2);
  const Floats before = weights;
  There there(device, weights, gradient, 2 * lines);
  const auto at = sent(device, std::vector<std::uint64_t>{0, apart}),
             second_at = sent(device, std::vector<std::uint64_t>{lines, 0});
  const kernels::MuonStack stack{c.rows, c.columns, 2, at.get(), second_at.get(), c.polar, rounded};
  const DeviceArray<std::byte> scratch(device, stack.scratch_bytes());
  kernels::StepNumbers numbers;
  numbers.clip = 2, numbers.momentum = 0.9f, numbers.muon_beta2 = c.beta2;
  numbers.muon_rate = 0.1f, numbers.muon_decay = 0.05f;
  const MuonSettings settings{c.polar ? Orthogonalizer::polar_express : Orthogonalizer::newton_schulz,
                              0.1f,
                              0.9f,
                              c.beta2,
                              0.05f,
                              gradient_scale(2, norm_of(gradient))};
  Floats momentum(2 * apart), second(2 * lines), room(muon_scratch(c.rows, c.columns));
  for (int step = 0; step < 3; ++step) {
    there.begin(numbers);
    device.ops().muon(there.blocks(), stack, there.numbers.get(), there.norm.get(), scratch.get());
    for (const std::size_t matrix : {0u, 1u})
      muon_step(kernels::cpu_backend(), &weights[matrix * apart], &momentum[matrix * apart], &second[matrix * lines],
                &gradient[matrix * apart], c.rows, c.columns, settings, room.data());
  }
  Floats moved = fetched(device, there.parameters), expected = weights;
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] -= before[i], expected[i] -= before[i];
  expect_alike(moved, expected);
  if (!rounded) expect_near(moved, expected, 2e-4, "what weights moved");
  expect_near(fetched(device, there.first), momentum, 1e-5, "momentum");
  if (c.beta2 == 0) return;  // nobody reads second moments
  Floats seconds = fetched(device, there.second);
  std::rotate(seconds.begin(), seconds.begin() + static_cast<std::ptrdiff_t>(lines), seconds.end());
  expect_near(seconds, second, rounded ? 0.15 : 1e-3, "second moments");
}

TEST(DeviceOptimizer, MuonIsTheCpus) {
  TEST_DEVICE(device);
  for (const MuonCase& c : {MuonCase{16, 16, true, 0.95f},
                            {24, 8, true, 0.95f},
                            {8, 40, true, 0.95f},
                            {33, 17, true, 0},
                            {24, 8, false, 0.95f},
                            {8, 40, false, 0},
                            {40, 64, true, 0.9f}}) {
    for (const bool rounded : {false, true}) {
      SCOPED_TRACE(std::to_string(c.rows) + " x " + std::to_string(c.columns) + (rounded ? ", bfloat16" : ""));
      expect_the_cpus(device, c, rounded);
    }
  }
}

}  // namespace
}  // namespace overnight::workers
