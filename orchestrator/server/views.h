// What people and programs see of a home: State as JSON. Pure; used by the API, by the live view, and by `status` when
// nobody runs.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/core/changes.h"
#include "orchestrator/core/state.h"

namespace overnight::server {

// The last value of each metric of the attempts that run now.
using LiveMetrics = std::map<core::AttemptId, std::map<std::string, double>>;

struct ViewTime {
  core::Moment now;
  core::WallTime wall;
};

// {"home": .., "slots": [..], "runs": [..]}; times in ms, money in micro-USD. Notes are left to the caller.
nlohmann::json view_of(const core::State& state, const ViewTime& time, const LiveMetrics& metrics);

// One run alone. Each of `baseline`, `leaders` and `best` carries its 95 % interval as soon as anything is known of the
// noise: interval_low, interval_high, interval_half_width, and interval_pooled when it borrows the noise of others
// (confirmed_low and so on for a leader's confirmation); `best` is `confirmed` or not. `time` is absent when no
// orchestrator runs.
nlohmann::json view_of(const core::Run& run, std::size_t slots, const std::optional<ViewTime>& time);

nlohmann::json view_of(const core::Note& note);

// How long until the run ends, by the pace so far and the budget that binds first; none if nothing can be said.
std::optional<core::Millis> time_left(const core::Run& run, std::size_t slots);

}  // namespace overnight::server
