#include "orchestrator/proposers/tpe_proposer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

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
    height_ = 1 / (width_ * std::sqrt(2 * std::numbers::pi));
  }

  double draw(double center, std::mt19937_64& random) const {
    if (is_choice_) return unit(random) < choice_stays ? center : unit(random);
    for (int tries = 0; tries < 32; ++tries) {
      const double u = center + width_ * normal(random);
      if (u >= 0 && u < 1) return u;
    }
    return center;
  }

  // How much of an untruncated kernel lies in the range, as its inverse: the same for every u, and costly.
  double inverse_mass(double center) const {
    return is_choice_ ? 1 : 1 / (phi((1 - center) / width_) - phi(-center / width_));
  }

  // Density at u, relative to the flat one.
  double density(double center, double inverse_mass, double u) const {
    if (is_choice_) {
      const bool same = std::abs(center - u) * static_cast<double>(steps_) < 0.5;
      return same ? choice_stays * static_cast<double>(steps_) + (1 - choice_stays) : 1 - choice_stays;
    }
    if (steps_ > 0) {
      const double half = 0.5 / static_cast<double>(steps_);
      return (phi((u + half - center) / width_) - phi((u - half - center) / width_)) / (2 * half) * inverse_mass;
    }
    const double z = (u - center) / width_;
    return std::exp(-0.5 * z * z) * height_ * inverse_mass;
  }

 private:
  static constexpr double choice_stays = 0.8;

  std::int64_t steps_;
  bool is_choice_;
  double width_, height_;
};

constexpr double inactive = -1;  // the position of a point in a dimension that it does not have

std::vector<double> positions_of(const core::Space& space, const core::Params& point) {
  std::vector<double> positions;
  for (const core::Dimension& dimension : space.dimensions) {
    const auto value = point.find(dimension.name);
    positions.push_back(value == point.end() ? inactive : position(dimension, value->second));
  }
  return positions;
}

// Where points of one kind lie: each observation is one kernel over all dimensions together, so that what belongs
// together stays together.
class Density {
 public:
  Density(const core::Space& space, const std::vector<const core::Params*>& observations) : space_(space) {
    // Silverman's rate for a kernel over several dimensions, from a fifth of the range down.
    const double n = std::max<double>(1, static_cast<double>(observations.size()));
    const double width = 0.2 * std::pow(n, -1.0 / (static_cast<double>(space.dimensions.size()) + 4));
    for (const core::Dimension& dimension : space.dimensions) kernels_.emplace_back(dimension, width);
    for (const core::Params* params : observations) {
      centers_.push_back(positions_of(space, *params));
      for (std::size_t d = 0; d < kernels_.size(); ++d)
        inverse_masses_.push_back(kernels_[d].inverse_mass(centers_.back()[d]));
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
    const double* inverse_mass = inverse_masses_.data();
    for (const auto& center : centers_) {
      double product = 1;
      for (std::size_t d = 0; d < positions.size(); ++d, ++inverse_mass) {
        if (positions[d] != inactive && center[d] != inactive)
          product *= kernels_[d].density(center[d], *inverse_mass, positions[d]);
      }
      sum += product;
    }
    return std::log(sum / (static_cast<double>(centers_.size()) + prior_weight));
  }

 private:
  const core::Space& space_;
  std::vector<Kernel> kernels_;
  std::vector<std::vector<double>> centers_;
  std::vector<double> inverse_masses_;  // of each center, dimension by dimension
};

// The best of so many candidates; known points do not count. Empty if all were known.
core::Params best_candidate(const core::Space& space, const Density& good, const Density& other,
                            std::int64_t candidates, const KnownPoints& known, std::mt19937_64& random) {
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

// Takes in what is new in the history.
void TpeProposer::learn(const ports::AskRequest& request) {
  if (!known_.begin(request)) {
    learned_ = 0, scored_ = 0;
    best_.clear();
  }
  for (; learned_ < request.history.size(); ++learned_) {
    const std::optional<double>& score = request.history[learned_].score;
    if (!score) continue;
    ++scored_;
    const double loss = direction_ == core::Direction::minimize ? *score : -*score;
    const auto place = std::upper_bound(best_.begin(), best_.end(), loss,
                                        [](double value, const Scored& one) { return value < one.loss; });
    best_.insert(place, {loss, learned_});
    if (best_.size() > good_points_max) best_.pop_back();
  }
}

ports::Answer TpeProposer::ask(const ports::AskRequest& request) {
  std::mt19937_64 random(request.seed);
  learn(request);
  const auto good_count = std::min<std::size_t>(
      best_.size(), static_cast<std::size_t>(std::ceil(settings_.gamma * static_cast<double>(scored_))));
  const std::vector<Scored> chosen(best_.begin(), best_.begin() + static_cast<std::ptrdiff_t>(good_count));
  std::vector<const core::Params*> good, bad;
  for (const Scored& one : chosen) good.push_back(&request.history[one.at].params);
  // All others, the newest first: worse, failed, and what is pending.
  for (const core::Params& params : request.pending) bad.push_back(&params);
  for (std::size_t i = request.history.size(); i > 0 && bad.size() < observations_max; --i) {
    const bool is_good = std::any_of(chosen.begin(), chosen.end(), [&](const Scored& one) { return one.at == i - 1; });
    if (!is_good) bad.push_back(&request.history[i - 1].params);
  }

  std::vector<core::Params> offered;
  offered.reserve(static_cast<std::size_t>(request.count));  // observations point into it
  ports::Answer answer;
  for (std::int64_t i = 0; i < request.count; ++i) {
    const bool learned = static_cast<std::int64_t>(request.history.size()) >= settings_.startup && !good.empty();
    core::Params point;
    if (learned) {
      point = best_candidate(space_, Density(space_, good), Density(space_, bad), settings_.candidates, known_, random);
    }
    for (int tries = 0; tries < redraws_max && (point.empty() || known_.contains(core::canonical_hash(point))); ++tries)
      point = draw(space_, random);
    known_.add(core::canonical_hash(point));
    offered.push_back(point);
    bad.push_back(&offered.back());
    answer.proposals.push_back({std::move(point), "", {}});
  }
  return answer;
}

}  // namespace overnight::proposers
