// Every maximum of the core, with its reason.
#pragma once

#include <cstddef>
#include <cstdint>

#include "budgets/time.h"

namespace overnight::core {

inline constexpr std::size_t runs_live_max = 16;          // a home is one machine's or one cluster's; more is a mistake
inline constexpr std::size_t slots_max = 4096;            // GPUs of a large cluster
inline constexpr std::size_t trials_queued_max = 10'000;  // proposers are asked ahead, not without end
inline constexpr std::size_t offers_per_ask_max = 256;    // one reply; what exceeds it is dropped and counted
inline constexpr std::size_t leaders_max = 64;            // best experiments that State remembers
inline constexpr std::size_t refusals_told_max = 5;       // of one enqueue, with their reasons; the rest is counted
inline constexpr double score_max = 1e100;  // beyond, sums of squares leave what a number can hold; no metric is there
inline constexpr std::size_t notes_recent_max = 32;       // last events shown by status
inline constexpr std::int64_t canaries_max = 3;           // canaries per run that may lift a hold; then a person must
inline constexpr std::int64_t disturbed_retries_max = 3;  // a GPU that others keep using is no place to measure
inline constexpr std::int64_t ask_failures_backoff_max = 6;             // doublings of the wait after a failed ask
inline constexpr budgets::Millis kill_allowance = budgets::seconds(2);  // from the decision to kill until gone; charged
inline constexpr budgets::Millis ask_backoff = budgets::seconds(2);     // after a failed ask, doubled each time
inline constexpr budgets::Millis ask_patience = budgets::seconds(1800);  // then an ask counts as failed, at its worst
inline constexpr budgets::Millis halt_confirm_within = budgets::seconds(10);  // then the halt is told as unconfirmed
inline constexpr budgets::Millis start_patience = budgets::seconds(60);  // from a launch until its keeper holds a lease
inline constexpr std::int64_t chases_max =
    30;  // kills repeated, one each kill_allowance; then it is an overrun that trips
inline constexpr budgets::Millis wall_unsaid_max = budgets::seconds(5);  // of a life, between two of its words
inline constexpr std::int64_t silences_told = 3;           // asks without an answer, in a row, until people are told
inline constexpr std::size_t failure_kept_bytes = 300;     // of an ask's failure, in its proposer's book
inline constexpr std::int64_t log_tail_kept_bytes = 2048;  // of a failed attempt, in its record

}  // namespace overnight::core
