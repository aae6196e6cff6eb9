// A circuit breaker: a rule over one signal that trips at a level. Values; pure.
//
// Each breaker folds outcomes into a small window and says when it trips. It does not act: core/on_breakers.cc turns a
// trip into what its level means. A tripped breaker stays tripped until `reset` (by a canary that came back healthy, or
// by a person). Defaults follow the published practice of circuit breakers: 5 consecutive failures, half of the last 20
// (at least 10), 3 of 5.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace overnight::budgets {

// What a trip means, from mild to hard. Only a person lowers a level above `throttle`.
enum class TripLevel {
  note,      // recorded and shown
  throttle,  // admit slower
  hold,      // admit nothing; what runs may finish
  drain,     // stop what runs, with its grace
  kill,      // kill what runs
  lock,      // kill, and a latch that two people lift
};

// What one finished trial tells the breakers.
enum class Outcome {
  good,        // a finite score
  crashed,     // crash, time-out, out of memory, no metric, ...
  not_finite,  // reported NaN or infinity
};

struct BreakerSettings {
  std::int64_t consecutive_crashes = 5;
  std::int64_t crash_rate_percent = 50;
  std::int64_t crash_rate_window = 20;
  std::int64_t crash_rate_minimum = 10;
  std::int64_t not_finite_count = 3;
  std::int64_t not_finite_window = 5;
  std::int64_t stagnation_experiments = 40;
  std::int64_t proposer_faults = 5;
  TripLevel on_consecutive_crashes = TripLevel::hold;
  TripLevel on_crash_rate = TripLevel::hold;
  TripLevel on_not_finite = TripLevel::hold;
  TripLevel on_stagnation = TripLevel::note;
  TripLevel on_proposer_faults = TripLevel::hold;
  bool operator==(const BreakerSettings&) const = default;
};

struct Trip {
  std::string breaker;  // its name: "consecutive_crashes"
  TripLevel level = TripLevel::note;
  std::string reason;  // "5 of 5 experiments in a row failed"
  bool operator==(const Trip&) const = default;
};

// All breakers of one run.
struct Breakers {
  std::int64_t crashes_in_a_row = 0;
  std::deque<Outcome> recent;  // the last max(crash_rate_window, not_finite_window) outcomes
  std::int64_t experiments_since_gain = 0;
  bool stagnation_told = false;
  std::int64_t proposer_faults_in_a_row = 0;
  std::optional<Trip> tripped;  // the first one; later ones are noted, and can only raise the level
  // Breakers of level note or throttle that were told and are still due: they are told again only when they were fine
  // in between.
  std::set<std::string> told;
  bool operator==(const Breakers&) const = default;
};

// How one breaker stands: what it saw, and from where on it trips.
struct Reading {
  std::string breaker;
  TripLevel level = TripLevel::note;
  std::int64_t value = 0;
  std::int64_t limit = 0;    // 0: it is off
  std::int64_t seen = 0;     // outcomes that `value` is made of
  std::int64_t minimum = 0;  // it does not judge by fewer
  std::string reason;        // what a trip would say now
  bool due() const { return limit > 0 && seen >= minimum && value >= limit; }
};

// All breakers, in the order in which they are shown.
std::vector<Reading> readings(const Breakers&, const BreakerSettings&);

// Folds one outcome in. Returns a trip if this outcome caused one.
std::optional<Trip> observe_outcome(Breakers&, const BreakerSettings&, Outcome);
// `gained`: the experiment is a new best by at least the minimum effect.
std::optional<Trip> observe_experiment(Breakers&, const BreakerSettings&, bool gained);
// An ask that failed, or that brought nothing new.
std::optional<Trip> observe_proposer(Breakers&, const BreakerSettings&, bool useful);
// What trips it may be the machine's fault: only such a hold can be cleared by a healthy baseline.
bool is_about_trials(std::string_view breaker);

// Clears windows and trip: what comes now is judged afresh.
void reset(Breakers&);

std::string_view name_of(TripLevel);
std::optional<TripLevel> trip_level_named(std::string_view);
std::string_view name_of(Outcome);

}  // namespace overnight::budgets
