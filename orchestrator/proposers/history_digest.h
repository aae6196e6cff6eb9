// What a model is told of the run so far: bounded whatever the history. Pure.
//
// In the order of their worth, until the room is used up: counts, the baseline, the best experiments, the failures with
// their causes, the last of the others, what is pending. One line an experiment, repeats folded into a mean. Hypotheses
// were written by models and programs: quoted, cut, and never able to close the fence that the prompt puts around this
// text.
#pragma once

#include <string>

#include "orchestrator/ports/proposer.h"

namespace overnight::proposers {

inline constexpr std::size_t digest_best_max = 12;
inline constexpr std::size_t digest_last_max = 20;
inline constexpr std::size_t digest_failures_max = 12;
inline constexpr std::size_t digest_pending_max = 32;
inline constexpr std::size_t digest_hypothesis_bytes_max = 160;

// Numbers as a model is shown them: six digits. It knows points by these, so they tell what it has seen.
core::Params rounded(core::Params params);

// At most `bytes_max` bytes.
std::string digest_of(const ports::AskRequest& request, const core::Objective& objective, std::size_t bytes_max);

}  // namespace overnight::proposers
