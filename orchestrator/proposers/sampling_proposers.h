// Proposers that learn nothing from scores: random, grid, list and sobol. All are folds over what is known: after a
// crash they go on with the first point that was neither run nor is running.
#pragma once

#include <vector>

#include "orchestrator/ports/proposer.h"
#include "orchestrator/proposers/known_points.h"

namespace overnight::proposers {

// Uniform on each parameter's scale.
class RandomProposer final : public ports::Proposer {
 public:
  explicit RandomProposer(core::Space space) : space_(std::move(space)) {}
  budgets::Cost worst_case() const override { return {}; }
  ports::Answer ask(const ports::AskRequest& request) override;
  void cancel() override {}

 private:
  core::Space space_;
  KnownPoints known_;
};

// A fixed list of points, in order, once each: the study's own (kind list), or all points of a grid.
class ListProposer final : public ports::Proposer {
 public:
  explicit ListProposer(std::vector<core::Params> points);
  budgets::Cost worst_case() const override { return {}; }
  ports::Answer ask(const ports::AskRequest& request) override;
  void cancel() override {}

 private:
  std::vector<core::Params> points_;
  std::vector<std::string> hashes_;  // of the points
  KnownPoints known_;
};

inline constexpr std::size_t grid_points_max = 100'000;  // a larger grid is no experiment plan

// Every combination of `per_dimension` values of each real parameter (ends included, on its scale), all values of the
// others (at most `per_dimension` of an integer range). Empty if there are more than grid_points_max.
std::vector<core::Params> grid_points(const core::Space& space, std::int64_t per_dimension);

// A Sobol sequence over the space, digitally shifted by the study's seed. Direction numbers after Joe and Kuo (2008),
// "Constructing Sobol sequences with better two-dimensional projections", their table new-joe-kuo-6, for up to
// sobol_dimensions_max dimensions.
class SobolProposer final : public ports::Proposer {
 public:
  SobolProposer(core::Space space, std::uint64_t seed);
  budgets::Cost worst_case() const override { return {}; }
  ports::Answer ask(const ports::AskRequest& request) override;
  void cancel() override {}

 private:
  core::Params point(std::uint32_t index) const;

  core::Space space_;
  std::vector<std::uint32_t> shift_;  // per dimension
  KnownPoints known_;
  std::uint32_t first_ = 0;  // all points before it were run
};

inline constexpr std::size_t sobol_dimensions_max = 21;

// Coordinate `dimension` of point `index`, as 32 binary digits.
std::uint32_t sobol(std::size_t dimension, std::uint32_t index);

}  // namespace overnight::proposers
