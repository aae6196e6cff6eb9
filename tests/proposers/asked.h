// A small world for proposers: asks, scores what was offered, remembers.
#pragma once

#include <functional>

#include "orchestrator/ports/proposer.h"

namespace overnight::proposers {

inline core::Space mixed_space() {
  core::Space space;
  space.dimensions.push_back({"lr", core::FloatRange{1e-4, 1e-1, core::Scale::log}, {}});
  space.dimensions.push_back({"depth", core::IntRange{1, 8, core::Scale::linear, 1}, {}});
  space.dimensions.push_back(
      {"mixer", core::Choice{{std::string("attention"), std::string("mamba2"), std::string("conv")}}, {}});
  space.dimensions.push_back(
      {"state", core::IntRange{16, 128, core::Scale::log, 1}, {{"mixer", {std::string("mamba2")}}}});
  return space;
}

struct Asked {
  ports::Proposer& proposer;
  ports::AskRequest request{};

  // Asks for `count` points, scores them (none: it failed) and puts them into history; returns the answer.
  ports::Answer once(std::int64_t count, std::uint64_t seed,
                     const std::function<std::optional<double>(const core::Params&)>& score) {
    request.count = count;
    request.seed = seed;
    ports::Answer answer = proposer.ask(request);
    for (const core::Proposal& proposal : answer.proposals) {
      const auto told = score(proposal.params);
      request.history.push_back({core::ExperimentId{static_cast<std::int64_t>(request.history.size()) + 1},
                                 proposal.params, told, told ? "" : "crash in train", "", ""});
    }
    return answer;
  }
};

}  // namespace overnight::proposers
