#include "budgets/governor/breaker.h"

#include <algorithm>
#include <utility>

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

std::int64_t seen_of(const std::deque<Outcome>& recent, std::int64_t window) {
  return std::min(static_cast<std::int64_t>(recent.size()), window);
}

Reading not_finite(const Breakers& breakers, const BreakerSettings& settings) {
  const std::int64_t seen = seen_of(breakers.recent, settings.not_finite_window);
  const std::int64_t bad = count_last(breakers.recent, settings.not_finite_window, is_not_finite);
  return {"not_finite",
          settings.on_not_finite,
          bad,
          settings.not_finite_count,
          seen,
          0,
          std::to_string(bad) + " of the last " + std::to_string(seen) + " trials reported no finite number"};
}

// Of a breaker that judges by a count alone, from the first on.
Reading by_count(std::string breaker, TripLevel level, std::int64_t value, std::int64_t limit, std::string reason) {
  return {std::move(breaker), level, value, limit, value, 0, std::move(reason)};
}

Reading consecutive_crashes(const Breakers& breakers, const BreakerSettings& settings) {
  return by_count("consecutive_crashes", settings.on_consecutive_crashes, breakers.crashes_in_a_row,
                  settings.consecutive_crashes, std::to_string(breakers.crashes_in_a_row) + " trials in a row failed");
}

// In percent.
Reading crash_rate(const Breakers& breakers, const BreakerSettings& settings) {
  const std::int64_t seen = seen_of(breakers.recent, settings.crash_rate_window);
  const std::int64_t bad = count_last(breakers.recent, settings.crash_rate_window, is_bad);
  return {"crash_rate",
          settings.on_crash_rate,
          seen == 0 ? 0 : bad * 100 / seen,
          settings.crash_rate_percent,
          seen,
          settings.crash_rate_minimum,
          std::to_string(bad) + " of the last " + std::to_string(seen) + " trials failed"};
}

Reading stagnation(const Breakers& breakers, const BreakerSettings& settings) {
  return by_count("stagnation", settings.on_stagnation, breakers.experiments_since_gain,
                  settings.stagnation_experiments,
                  "no gain in " + std::to_string(breakers.experiments_since_gain) + " experiments");
}

Reading proposer_faults(const Breakers& breakers, const BreakerSettings& settings) {
  return by_count("proposer_faults", settings.on_proposer_faults, breakers.proposer_faults_in_a_row,
                  settings.proposer_faults,
                  std::to_string(breakers.proposer_faults_in_a_row) + " asks in a row brought no usable proposal");
}

Trip trip_of(const Reading& reading) { return {reading.breaker, reading.level, reading.reason}; }

}  // namespace

std::vector<Reading> readings(const Breakers& breakers, const BreakerSettings& settings) {
  return {consecutive_crashes(breakers, settings), crash_rate(breakers, settings), not_finite(breakers, settings),
          stagnation(breakers, settings), proposer_faults(breakers, settings)};
}

std::optional<Trip> observe_outcome(Breakers& breakers, const BreakerSettings& settings, Outcome outcome) {
  const std::int64_t kept = std::max(settings.crash_rate_window, settings.not_finite_window);
  breakers.recent.push_back(outcome);
  while (breakers.recent.size() > static_cast<std::size_t>(std::max<std::int64_t>(kept, 1)))
    breakers.recent.pop_front();
  breakers.crashes_in_a_row = outcome == Outcome::good ? 0 : breakers.crashes_in_a_row + 1;

  // The hardest counts: a breaker that only takes notes must not hide one that stops.
  std::optional<Trip> hardest;
  for (const Reading& reading :
       {not_finite(breakers, settings), consecutive_crashes(breakers, settings), crash_rate(breakers, settings)}) {
    if (!reading.due()) breakers.told.erase(reading.breaker);
    if (reading.due() && (!hardest || reading.level > hardest->level)) hardest = trip_of(reading);
  }
  return hardest ? trip(breakers, *hardest) : std::nullopt;
}

std::optional<Trip> observe_experiment(Breakers& breakers, const BreakerSettings& settings, bool gained) {
  if (gained) {
    breakers.experiments_since_gain = 0;
    breakers.stagnation_told = false;
    breakers.told.erase("stagnation");
    return std::nullopt;
  }
  ++breakers.experiments_since_gain;
  const Reading reading = stagnation(breakers, settings);
  if (breakers.stagnation_told || !reading.due()) return std::nullopt;
  breakers.stagnation_told = true;
  return trip(breakers, trip_of(reading));
}

std::optional<Trip> observe_proposer(Breakers& breakers, const BreakerSettings& settings, bool useful) {
  breakers.proposer_faults_in_a_row = useful ? 0 : breakers.proposer_faults_in_a_row + 1;
  const Reading reading = proposer_faults(breakers, settings);
  if (useful) breakers.told.erase(reading.breaker);
  return reading.due() ? trip(breakers, trip_of(reading)) : std::nullopt;
}

bool is_about_trials(std::string_view breaker) {
  return breaker == "consecutive_crashes" || breaker == "crash_rate" || breaker == "not_finite";
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
