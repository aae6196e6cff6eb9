#include "orchestrator/proposers/random_proposer.h"

#include <cmath>
#include <set>

namespace overnight::proposers {
namespace {

constexpr int draws_per_point_max = 64;  // then the space is nearly used up, and a known point is offered and refused

// Uniform in [0, 1), the same on every platform (std::uniform_real_distribution is not).
double unit(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1.0p-53; }

core::ParamValue draw_one(const core::FloatRange& range, std::mt19937_64& random) {
  const double u = unit(random);
  const double value = range.scale == core::Scale::log
                           ? std::exp(std::log(range.low) + u * (std::log(range.high) - std::log(range.low)))
                           : range.low + u * (range.high - range.low);
  return std::min(range.high, std::max(range.low, value));
}

core::ParamValue draw_one(const core::IntRange& range, std::mt19937_64& random) {
  const std::int64_t steps = (range.high - range.low) / range.step;
  if (range.scale == core::Scale::linear) {
    return range.low + range.step * static_cast<std::int64_t>(unit(random) * static_cast<double>(steps + 1));
  }
  const double low = std::log(static_cast<double>(range.low) - 0.5),
               high = std::log(static_cast<double>(range.high) + 0.5);
  const double value = std::exp(low + unit(random) * (high - low));
  const auto step = static_cast<std::int64_t>(
      std::llround((value - static_cast<double>(range.low)) / static_cast<double>(range.step)));
  return range.low + range.step * std::min(steps, std::max<std::int64_t>(0, step));
}

core::ParamValue draw_one(const core::Choice& choice, std::mt19937_64& random) {
  return choice.values[static_cast<std::size_t>(unit(random) * static_cast<double>(choice.values.size()))];
}

}  // namespace

core::Params draw(const core::Space& space, std::mt19937_64& random) {
  core::Params point;
  for (const core::Dimension& dimension : space.dimensions) {
    if (!core::is_active(dimension, point)) continue;
    point[dimension.name] = std::visit([&](const auto& domain) { return draw_one(domain, random); }, dimension.domain);
  }
  return point;
}

ports::Answer RandomProposer::ask(const ports::AskRequest& request) {
  std::mt19937_64 random(request.seed);
  std::set<std::string> known;
  for (const core::Params& params : request.pending) known.insert(core::canonical_hash(params));
  for (const ports::KnownTrial& trial : request.history) known.insert(core::canonical_hash(trial.params));
  ports::Answer answer;
  for (std::int64_t i = 0; i < request.count; ++i) {
    core::Params point = draw(space_, random);
    for (int tries = 1; tries < draws_per_point_max && known.contains(core::canonical_hash(point)); ++tries)
      point = draw(space_, random);
    known.insert(core::canonical_hash(point));
    answer.proposals.push_back({std::move(point), "", {}});
  }
  return answer;
}

}  // namespace overnight::proposers
