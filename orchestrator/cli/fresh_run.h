// What a new run begins with: a name that no other run has, and the moment of its planned end.
#pragma once

#include <optional>
#include <string>

#include "budgets/time.h"
#include "orchestrator/core/ids.h"

namespace overnight::cli {

// "2026-11-24-tiny-lm-3fa9c1".
core::RunId fresh_run_id(const std::string& study_name, budgets::WallTime now);

// The next moment after `now` when the local clock shows "HH:MM"; none if that is no time of day. A time that the clock
// skips in spring is taken an hour later; one that it shows twice in autumn, when it comes first.
std::optional<budgets::WallTime> next_time_of_day(const std::string& text, budgets::WallTime now);

}  // namespace overnight::cli
