#include "workers/trainer/device_layout.h"

#include <algorithm>

#include "workers/model/device_model.h"
#include "workers/model/language_model.h"

namespace overnight::workers {
namespace {

// As DeviceArray rounds it.
template <typename Number>
std::uint64_t room_of(std::size_t count) {
  return kernels::DeviceArray<Number>::bytes_of(count);
}

}  // namespace

DeviceLayout device_layout(const Graph& graph, const OptimizerSettings& settings, bool rounded) {
  DeviceLayout made;
  const OptimizerLayout all = layout_of(graph, settings, kernels::adamw_piece_max);
  made.second_floats = all.second_floats;
  for (const OptimizerUnit& unit : all.units) {
    if (!unit.whole) {
      made.pieces.push_back({unit.at, unit.count, unit.second_at, static_cast<std::uint32_t>(unit.group)});
      continue;
    }
    const auto stack = std::find_if(made.stacks.begin(), made.stacks.end(), [&](const ShapeStack& s) {
      return s.rows == unit.tensor->rows && s.columns == unit.tensor->columns;
    });
    ShapeStack& to = stack != made.stacks.end()
                         ? *stack
                         : made.stacks.emplace_back(ShapeStack{unit.tensor->rows, unit.tensor->columns, {}, {}});
    to.at.push_back(unit.at);
    to.second_at.push_back(unit.second_at);
  }
  for (const ShapeStack& s : made.stacks) {
    const kernels::MuonStack stack{.rows = s.rows, .columns = s.columns, .count = s.at.size(), .rounded = rounded};
    made.muon_scratch_bytes = std::max(made.muon_scratch_bytes, stack.scratch_bytes());
  }
  return made;
}

bool rounds(const TrainingSettings& settings) { return settings.precision == "bfloat16"; }

std::uint64_t device_bytes(const TrainingSettings& settings) {
  const auto lane_batch = static_cast<std::size_t>(settings.batch / lanes_of(settings));
  const auto tokens = static_cast<std::size_t>(settings.batch * settings.model.context);
  const LanguageModel model = make_language_model(settings.model, 1, ModelUse::training);
  const DeviceLayout layout = device_layout(model.graph, settings.optimizer, rounds(settings));
  const std::size_t parameters = model.graph.parameter_floats();
  std::uint64_t bytes = device_model_bytes(settings.model, lane_batch, ModelUse::training, rounds(settings));
  bytes += 3 * room_of<float>(parameters) + room_of<float>(layout.second_floats);  // themselves, gradients, moments
  if (rounds(settings)) bytes += room_of<kernels::bfloat16>(parameters);
  if (settings.optimizer.ema > 0) bytes += room_of<float>(parameters);
  bytes += room_of<kernels::AdamWPiece>(layout.pieces.size()) + room_of<std::byte>(layout.muon_scratch_bytes);
  for (const ShapeStack& stack : layout.stacks) bytes += 2 * room_of<std::uint64_t>(stack.at.size());
  return bytes + room_of<std::int32_t>(3 * tokens) + room_of<kernels::StepNumbers>(1) + room_of<float>(1) +
         room_of<double>(1);
}

std::int64_t lanes_that_fit(const TrainingSettings& settings, std::uint64_t bytes) {
  TrainingSettings tried = settings;
  for (tried.lanes = 1; tried.lanes <= std::min(settings.batch, lanes_max); ++tried.lanes) {
    if (settings.batch % tried.lanes == 0 && device_bytes(tried) <= bytes) return tried.lanes;
  }
  return 0;
}

}  // namespace overnight::workers
