// A proposer with moods: useful, repeating itself, out of the space, failing, exhausted, generous beyond what was
// asked.
#pragma once

#include <atomic>

#include "orchestrator/ports/proposer.h"
#include "tests/fakes/fake_executor.h"

namespace overnight::fakes {

struct ProposerMoods {
  int fail = 0, garbage = 0, repeat = 0, exhaust = 0, cost_unknown = 0, overspend = 0;  // percent of asks
  std::int64_t points = 1'000'000;  // distinct values of x that it knows
};

// Proposes values of one float parameter "x" in [0, 1].
class FakeProposer final : public ports::Proposer {
 public:
  FakeProposer(ProposerMoods& moods, Random& random, budgets::Cost worst)
      : moods_(moods), random_(random), worst_(worst) {}

  budgets::Cost worst_case() const override { return worst_; }
  ports::Answer ask(const ports::AskRequest& request) override;
  void cancel() override { ++cancels; }

  std::atomic<int> cancels{0};

 private:
  ProposerMoods& moods_;  // shared with the test, which changes them
  Random& random_;
  budgets::Cost worst_;
};

}  // namespace overnight::fakes
