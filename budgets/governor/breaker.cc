#include "budgets/governor/breaker.h"

#include <algorithm>
#include <vector>

namespace overnight::budgets {
namespace {

std::optional<Trip> trip(Breakers& breakers, Trip told) {
  if (told.level <= TripLevel::throttle) {
    return breakers.told.insert(told.breaker).second ? std::optional(std::move(told)) : std::nullopt;
  }
  if (breakers.tripped && breakers.tripped->level >= told.level) return std::nullopt;
  breakers.tripped = told;
  return told;
}

std::int64_t count_last(const std::deque<Outcome>& recent, std::int64_t window, bool (*wanted)(Outcome)) {
  const auto from = recent.size() > static_cast<std::size_t>(window) ? recent.end() - window : recent.begin();
  return std::count_if(from, recent.end(), wanted);
}

bool is_bad(Outcome outcome) { return outcome != Outcome::good; }
bool is_not_finite(Outcome outcome) { return outcome == Outcome::not_finite; }

}  // namespace

std::optional<Trip> observe_outcome(Breakers& breakers, const BreakerSettings& settings, Outcome outcome) {
  const std::int64_t kept = std::max(settings.crash_rate_window, settings.not_finite_window);
  breakers.recent.push_back(outcome);
  while (breakers.recent.size() > static_cast<std::size_t>(std::max<std::int64_t>(kept, 1)))
    breakers.recent.pop_front();
  breakers.crashes_in_a_row = outcome == Outcome::good ? 0 : breakers.crashes_in_a_row + 1;

  std::vector<Trip> due;
  const std::int64_t not_finite = count_last(breakers.recent, settings.not_finite_window, is_not_finite);
  if (settings.not_finite_count > 0 && not_finite >= settings.not_finite_count) {
    due.push_back({"not_finite", settings.on_not_finite,
                   std::to_string(not_finite) + " of the last " +
                       std::to_string(std::min<std::int64_t>(static_cast<std::int64_t>(breakers.recent.size()),
                                                             settings.not_finite_window)) +
                       " trials reported no finite number"});
  }
  if (settings.consecutive_crashes > 0 && breakers.crashes_in_a_row >= settings.consecutive_crashes) {
    due.push_back({"consecutive_crashes", settings.on_consecutive_crashes,
                   std::to_string(breakers.crashes_in_a_row) + " trials in a row failed"});
  }
  const std::int64_t seen =
      std::min<std::int64_t>(static_cast<std::int64_t>(breakers.recent.size()), settings.crash_rate_window);
  const std::int64_t bad = count_last(breakers.recent, settings.crash_rate_window, is_bad);
  if (settings.crash_rate_percent > 0 && seen >= settings.crash_rate_minimum &&
      bad * 100 >= seen * settings.crash_rate_percent) {
    due.push_back({"crash_rate", settings.on_crash_rate,
                   std::to_string(bad) + " of the last " + std::to_string(seen) + " trials failed"});
  }
  for (const char* name : {"not_finite", "consecutive_crashes", "crash_rate"}) {
    if (std::none_of(due.begin(), due.end(), [&](const Trip& one) { return one.breaker == name; }))
      breakers.told.erase(name);
  }
  if (due.empty()) return std::nullopt;
  // The hardest: a breaker that only takes notes must not hide one that stops.
  return trip(breakers, *std::max_element(due.begin(), due.end(),
                                          [](const Trip& a, const Trip& b) { return a.level < b.level; }));
}

std::optional<Trip> observe_experiment(Breakers& breakers, const BreakerSettings& settings, bool gained) {
  if (gained) {
    breakers.experiments_since_gain = 0;
    breakers.stagnation_told = false;
    breakers.told.erase("stagnation");
    return std::nullopt;
  }
  ++breakers.experiments_since_gain;
  if (settings.stagnation_experiments <= 0 || breakers.stagnation_told ||
      breakers.experiments_since_gain < settings.stagnation_experiments) {
    return std::nullopt;
  }
  breakers.stagnation_told = true;
  return trip(breakers, {"stagnation", settings.on_stagnation,
                         "no gain in " + std::to_string(breakers.experiments_since_gain) + " experiments"});
}

std::optional<Trip> observe_proposer(Breakers& breakers, const BreakerSettings& settings, bool useful) {
  breakers.proposer_faults_in_a_row = useful ? 0 : breakers.proposer_faults_in_a_row + 1;
  if (useful) breakers.told.erase("proposer_faults");
  if (settings.proposer_faults <= 0 || breakers.proposer_faults_in_a_row < settings.proposer_faults)
    return std::nullopt;
  return trip(breakers,
              {"proposer_faults", settings.on_proposer_faults,
               std::to_string(breakers.proposer_faults_in_a_row) + " asks in a row brought no usable proposal"});
}

void reset(Breakers& breakers) {
  const std::int64_t since_gain = breakers.experiments_since_gain;
  const bool told = breakers.stagnation_told;
  breakers = Breakers{};
  breakers.experiments_since_gain = since_gain;
  breakers.stagnation_told = told;
}

std::string_view name_of(TripLevel level) {
  switch (level) {
    case TripLevel::note:
      return "note";
    case TripLevel::throttle:
      return "throttle";
    case TripLevel::hold:
      return "hold";
    case TripLevel::drain:
      return "drain";
    case TripLevel::kill:
      return "kill";
    case TripLevel::lock:
      return "lock";
  }
  return "?";
}

std::optional<TripLevel> trip_level_named(std::string_view name) {
  for (TripLevel level :
       {TripLevel::note, TripLevel::throttle, TripLevel::hold, TripLevel::drain, TripLevel::kill, TripLevel::lock}) {
    if (name == name_of(level)) return level;
  }
  return std::nullopt;
}

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::good:
      return "good";
    case Outcome::crashed:
      return "crashed";
    case Outcome::not_finite:
      return "not_finite";
  }
  return "?";
}

}  // namespace overnight::budgets
