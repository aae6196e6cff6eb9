#include "orchestrator/proposers/tpe_proposer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <set>

#include "orchestrator/proposers/draw.h"

namespace overnight::proposers {
namespace {

constexpr double prior_weight = 1.0;            // of the flat kernel over the whole range, in observations
constexpr std::size_t good_points_max = 25;     // more say no more about where good points lie
constexpr std::size_t observations_max = 2000;  // of the newest others; bounds the time of one ask
constexpr int redraws_max = 16;                 // for an offer that is known already

double phi(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

// One dimension's kernel around an observation: a Gaussian truncated to [0, 1] for numbers, by the mass of their step
// for whole ones; a choice keeps its value with weight choice_stays.
class Kernel {
 public:
  Kernel(const core::Dimension& dimension, double width)
      : steps_(steps_of(dimension)), is_choice_(std::holds_alternative<core::Choice>(dimension.domain)) {
    width_ = steps_ > 0 ? std::max(width, 0.5 / static_cast<double>(steps_)) : width;
  }

  double draw(double center, std::mt19937_64& random) const {
    if (is_choice_) return unit(random) < choice_stays ? center : unit(random);
    for (int tries = 0; tries < 32; ++tries) {
      const double u = center + width_ * normal(random);
      if (u >= 0 && u < 1) return u;
    }
    return center;
  }

  // Density at u, relative to the flat one.
  double density(double center, double u) const {
    if (is_choice_) {
      const bool same = std::abs(center - u) * static_cast<double>(steps_) < 0.5;
      return same ? choice_stays * static_cast<double>(steps_) + (1 - choice_stays) : 1 - choice_stays;
    }
    const double mass = phi((1 - center) / width_) - phi(-center / width_);
    if (steps_ > 0) {
      const double half = 0.5 / static_cast<double>(steps_);
      return (phi((u + half - center) / width_) - phi((u - half - center) / width_)) / (2 * half) / mass;
    }
    const double z = (u - center) / width_;
    return std::exp(-0.5 * z * z) / (width_ * std::sqrt(2 * std::numbers::pi)) / mass;
  }

 private:
  static constexpr double choice_stays = 0.8;

  std::int64_t steps_;
  bool is_choice_;
  double width_;
};

struct Observation {
  const core::Params* params;
  double loss;  // infinity: failed or pending
};

// Where points of one kind lie: each observation is one kernel over all dimensions together, so that what belongs
// together stays together.
class Density {
 public:
  Density(const core::Space& space, const std::vector<Observation>& observations) : space_(space) {
    // Silverman's rate for a kernel over several dimensions, from a fifth of the range down.
    const double n = std::max<double>(1, static_cast<double>(observations.size()));
    const double width = 0.2 * std::pow(n, -1.0 / (static_cast<double>(space.dimensions.size()) + 4));
    for (const core::Dimension& dimension : space.dimensions) kernels_.emplace_back(dimension, width);
    for (const Observation& one : observations) {
      centers_.emplace_back();
      for (const core::Dimension& dimension : space.dimensions) {
        const auto value = one.params->find(dimension.name);
        centers_.back().push_back(value == one.params->end() ? inactive : position(dimension, value->second));
      }
    }
  }

  // A point near one of the observations, or anywhere (the prior).
  core::Params draw(std::mt19937_64& random) const {
    const double pick = unit(random) * (static_cast<double>(centers_.size()) + prior_weight);
    const bool anywhere = pick >= static_cast<double>(centers_.size());
    core::Params point;
    for (std::size_t d = 0; d < space_.dimensions.size(); ++d) {
      if (!core::is_active(space_.dimensions[d], point)) continue;
      const double center = anywhere ? inactive : centers_[static_cast<std::size_t>(pick)][d];
      point[space_.dimensions[d].name] =
          at(space_.dimensions[d], center == inactive ? unit(random) : kernels_[d].draw(center, random));
    }
    return point;
  }

  // `positions`: where the point lies in each dimension, `inactive` where it has none.
  double log_density(const std::vector<double>& positions) const {
    double sum = prior_weight;
    for (const auto& center : centers_) {
      double product = 1;
      for (std::size_t d = 0; d < positions.size(); ++d) {
        if (positions[d] != inactive && center[d] != inactive) product *= kernels_[d].density(center[d], positions[d]);
      }
      sum += product;
    }
    return std::log(sum / (static_cast<double>(centers_.size()) + prior_weight));
  }

  static constexpr double inactive = -1;

 private:
  const core::Space& space_;
  std::vector<Kernel> kernels_;
  std::vector<std::vector<double>> centers_;
};

std::vector<double> positions_of(const core::Space& space, const core::Params& point) {
  std::vector<double> positions;
  for (const core::Dimension& dimension : space.dimensions) {
    const auto value = point.find(dimension.name);
    positions.push_back(value == point.end() ? Density::inactive : position(dimension, value->second));
  }
  return positions;
}

// The best of so many candidates; known points do not count. Empty if all were known.
core::Params best_candidate(const core::Space& space, const Density& good, const Density& other,
                            std::int64_t candidates, const std::set<std::string>& known, std::mt19937_64& random) {
  core::Params best;
  double best_gain = -std::numeric_limits<double>::infinity();
  for (std::int64_t i = 0; i < candidates; ++i) {
    core::Params point = good.draw(random);
    const std::vector<double> positions = positions_of(space, point);
    const double gain = good.log_density(positions) - other.log_density(positions);
    if (gain <= best_gain || known.contains(core::canonical_hash(point))) continue;
    best_gain = gain;
    best = std::move(point);
  }
  return best;
}

}  // namespace

TpeProposer::TpeProposer(core::Space space, core::Direction direction, TpeSettings settings)
    : space_(std::move(space)), direction_(direction), settings_(settings) {}

ports::Answer TpeProposer::ask(const ports::AskRequest& request) {
  std::mt19937_64 random(request.seed);
  std::vector<Observation> scored, bad;
  const double failed = std::numeric_limits<double>::infinity();
  for (const ports::KnownTrial& trial : request.history) {
    const double loss = trial.score ? (direction_ == core::Direction::minimize ? *trial.score : -*trial.score) : failed;
    (trial.score ? scored : bad).push_back({&trial.params, loss});
  }
  std::set<std::string> known = known_points(request);
  std::vector<core::Params> offered;
  offered.reserve(static_cast<std::size_t>(request.count));  // observations point into it
  for (const core::Params& params : request.pending) bad.push_back({&params, failed});

  std::stable_sort(scored.begin(), scored.end(),
                   [](const Observation& a, const Observation& b) { return a.loss < b.loss; });
  const auto good_count = std::min<std::size_t>(
      {good_points_max, scored.size(),
       static_cast<std::size_t>(std::ceil(settings_.gamma * static_cast<double>(scored.size())))});
  const std::vector<Observation> good(scored.begin(), scored.begin() + static_cast<std::ptrdiff_t>(good_count));
  bad.insert(bad.begin(), scored.begin() + static_cast<std::ptrdiff_t>(good_count), scored.end());
  if (bad.size() > observations_max) bad.erase(bad.begin(), bad.end() - static_cast<std::ptrdiff_t>(observations_max));

  ports::Answer answer;
  for (std::int64_t i = 0; i < request.count; ++i) {
    const bool learned = static_cast<std::int64_t>(request.history.size()) >= settings_.startup && !good.empty();
    core::Params point;
    if (learned) {
      point = best_candidate(space_, Density(space_, good), Density(space_, bad), settings_.candidates, known, random);
    }
    for (int tries = 0; tries < redraws_max && (point.empty() || known.contains(core::canonical_hash(point))); ++tries)
      point = draw(space_, random);
    known.insert(core::canonical_hash(point));
    offered.push_back(point);
    bad.push_back({&offered.back(), failed});
    answer.proposals.push_back({std::move(point), "", {}});
  }
  return answer;
}

}  // namespace overnight::proposers
