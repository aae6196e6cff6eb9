// State as rows of text, for the store and for the journal's state hash. JSON, one row for the home and four for each
// run.
#pragma once

#include <map>
#include <string>

#include "budgets/result.h"
#include "orchestrator/core/changes.h"
#include "orchestrator/core/state.h"

namespace overnight::core {

std::string_view name_of(RunPart part);

std::string home_row(const State& state);
std::string run_row(const Run& run, RunPart part);

// The other way, when a home is opened. `parts` holds all rows of one run by the name of their part; `study` its study
// as JSON.
budgets::Result<void, std::string> read_home_row(State& state, const std::string& row);
budgets::Result<Run, std::string> read_run_rows(const std::map<std::string, std::string>& parts,
                                                const std::string& study);

// A hash over all rows that is cheap to keep up to date: the sum (mod 2^256) of the SHA-256 of each row with its name.
class StateHash {
 public:
  // Replaces the row `name`; an empty `row` removes it.
  void put(const std::string& name, const std::string& row);
  std::string hex() const;

 private:
  std::map<std::string, std::array<std::uint8_t, 32>> rows_;
  std::array<std::uint8_t, 32> sum_{};
};

// Brings `hash` up to date with what one step touched. `rows` receives the new text by name ("home", "RUN/status").
void update_hash(StateHash& hash, const State& state, const Changes& changes, std::map<std::string, std::string>& rows);

}  // namespace overnight::core
