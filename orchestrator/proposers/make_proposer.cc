#include "orchestrator/proposers/make_proposer.h"

#include <charconv>

#include "orchestrator/proposers/sampling_proposers.h"
#include "orchestrator/proposers/tpe_proposer.h"

namespace overnight::proposers {
namespace {

using budgets::unexpected;
using Made = budgets::Result<std::unique_ptr<ports::Proposer>, std::string>;

// A setting as a number within bounds; the default if it is not there.
template <typename Number>
budgets::Result<Number, std::string> setting(const core::ProposerSpec& spec, const std::string& key, Number otherwise,
                                             Number low, Number high) {
  const auto found = spec.settings.find(key);
  if (found == spec.settings.end()) return otherwise;
  Number value{};
  const std::string& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    return unexpected(key + ": \"" + text + "\" is not a number from " + std::to_string(low) + " to " +
                      std::to_string(high));
  }
  return value;
}

Made make_grid(const core::Study& study, const core::ProposerSpec& spec) {
  const auto per_dimension = setting<std::int64_t>(spec, "points_per_dimension", 3, 1, 1000);
  if (!per_dimension) return unexpected(per_dimension.error());
  auto points = grid_points(study.space, *per_dimension);
  if (points.empty())
    return unexpected("the grid has more than " + std::to_string(grid_points_max) +
                      " points; fewer points_per_dimension, or kind: sobol");
  return std::make_unique<ListProposer>(std::move(points));
}

Made make_tpe(const core::Study& study, const core::ProposerSpec& spec) {
  TpeSettings settings;
  const auto startup = setting<std::int64_t>(spec, "startup", settings.startup, 0, 10'000);
  const auto candidates = setting<std::int64_t>(spec, "candidates", settings.candidates, 1, 10'000);
  const auto gamma = setting<double>(spec, "gamma", settings.gamma, 0.01, 0.5);
  if (!startup) return unexpected(startup.error());
  if (!candidates) return unexpected(candidates.error());
  if (!gamma) return unexpected(gamma.error());
  return std::make_unique<TpeProposer>(study.space, study.objective.direction,
                                       TpeSettings{*startup, *candidates, *gamma});
}

}  // namespace

Made make_proposer(const core::Study& study, std::size_t index, const Surroundings&) {
  const core::ProposerSpec& spec = study.proposers[index];
  if (spec.kind == "random") return std::make_unique<RandomProposer>(study.space);
  if (spec.kind == "list") return std::make_unique<ListProposer>(spec.points);
  if (spec.kind == "grid") return make_grid(study, spec);
  if (spec.kind == "tpe") return make_tpe(study, spec);
  if (spec.kind == "sobol") {
    if (study.space.dimensions.size() > sobol_dimensions_max) {
      return unexpected("sobol knows at most " + std::to_string(sobol_dimensions_max) +
                        " parameters, and this space has " + std::to_string(study.space.dimensions.size()));
    }
    return std::make_unique<SobolProposer>(study.space, static_cast<std::uint64_t>(study.seed));
  }
  return unexpected("kind " + spec.kind + " is not available yet in this version");
}

}  // namespace overnight::proposers
