// How an optimizer's work lies on a GPU, and what a training takes there. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/device.h"
#include "workers/trainer/optimizer.h"
#include "workers/trainer/training.h"

namespace overnight::workers {

// Matrices of one shape, which Muon works on together.
struct ShapeStack {
  std::size_t rows = 0, columns = 0;
  std::vector<std::uint64_t> at, second_at;
};

struct DeviceLayout {
  std::vector<kernels::AdamWPiece> pieces;
  std::vector<ShapeStack> stacks;
  std::size_t second_floats = 0;
  std::size_t muon_scratch_bytes = 0;  // of the stack that needs most
};
// `rounded`: Muon works on bfloat16.
DeviceLayout device_layout(const Graph& graph, const OptimizerSettings& settings, bool rounded);

bool rounds(const TrainingSettings& settings);  // whether matrices and activations are bfloat16

// Bytes of GPU memory that a training takes: everything, but what the driver holds for itself.
std::uint64_t device_bytes(const TrainingSettings& settings);

inline constexpr std::int64_t lanes_max = 256;

// The fewest lanes, one after the other, with which it fits into so many bytes; 0: it does not with any.
std::int64_t lanes_that_fit(const TrainingSettings& settings, std::uint64_t bytes);

}  // namespace overnight::workers
