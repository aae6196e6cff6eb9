// The tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", section
// 4): models where good points lie, l(x), and where the others lie, g(x), and offers candidates drawn from l with the
// largest l(x)/g(x).
//
// Details: parameters on their own scale in [0, 1]; one kernel per observation over all dimensions together (as in
// Falkner et al. 2018, "BOHB", section 3.2), truncated to the range, with a flat prior as one more; whole numbers and
// choices by the mass of their step. Failed trials count as bad. What is pending counts as bad too (a pessimistic
// liar), so that parallel asks spread out. A fold over history: what is remembered between asks is made of it alone,
// and what is new is all that an ask takes in.
#pragma once

#include <vector>

#include "orchestrator/ports/proposer.h"
#include "orchestrator/proposers/known_points.h"

namespace overnight::proposers {

struct TpeSettings {
  std::int64_t startup = 10;     // random points before the model is used
  std::int64_t candidates = 24;  // drawn from l for each offer
  double gamma = 0.15;           // share of the observations that count as good
};

class TpeProposer final : public ports::Proposer {
 public:
  TpeProposer(core::Space space, core::Direction direction, TpeSettings settings);
  budgets::Cost worst_case() const override { return {}; }
  ports::Answer ask(const ports::AskRequest& request) override;
  void cancel() override {}

 private:
  struct Scored {
    double loss = 0;
    std::size_t at = 0;  // in history
  };

  void learn(const ports::AskRequest& request);

  core::Space space_;
  core::Direction direction_;
  TpeSettings settings_;
  KnownPoints known_;
  std::size_t learned_ = 0;   // trials of the history that the fields below are made of
  std::int64_t scored_ = 0;   // of them
  std::vector<Scored> best_;  // best first, at most good_points_max
};

}  // namespace overnight::proposers
