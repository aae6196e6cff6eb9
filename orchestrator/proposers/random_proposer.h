// Points drawn from the space, uniformly on each parameter's scale. A fold over nothing: the ask's seed decides alone.
#pragma once

#include <random>

#include "orchestrator/ports/proposer.h"

namespace overnight::proposers {

// One random point of the space; conditional parameters only where they are active.
core::Params draw(const core::Space& space, std::mt19937_64& random);

class RandomProposer final : public ports::Proposer {
 public:
  explicit RandomProposer(core::Space space) : space_(std::move(space)) {}
  budgets::Cost worst_case() const override { return {}; }
  ports::Answer ask(const ports::AskRequest& request) override;
  void cancel() override {}

 private:
  core::Space space_;
};

}  // namespace overnight::proposers
