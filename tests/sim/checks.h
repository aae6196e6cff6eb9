// What must hold in every world, by name, judged from outside: from what the world did and what was committed, never
// from what the core says of itself alone. Each check counts how often it was put to the test.
#pragma once

#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include "orchestrator/core/state.h"
#include "tests/fakes/fake_executor.h"
#include "tests/fakes/fake_journal.h"

namespace overnight::sim {

// A named invariant that was broken.
struct Broken : std::runtime_error {
  Broken(std::string name_, const std::string& how) : std::runtime_error(name_ + ": " + how), name(std::move(name_)) {}
  std::string name;
};

using Counts = std::map<std::string, std::int64_t, std::less<>>;

class Checks {
 public:
  Checks(Counts& counts, const fakes::FakeJournal& journal, const fakes::FakeExecutor& executor)
      : counts_(counts), journal_(journal), executor_(executor) {}

  // A new process is about to start. `alone`: its decision was the only one since the last commit.
  void launching(const core::State& state, const core::Launch& launch, bool alone);
  // A commit was made; `state` is what the core holds now. `rows_too` compares all rows with it, which is slow.
  void committed(const core::State& state, bool rows_too, bool alone);
  // A larger or smaller grant was asked for.
  void granted(const core::RunId& run, const budgets::Cost& grant);
  void published(const core::RunId& run) { ++reports_[run]; }
  // All is over.
  void at_the_end(const core::State& state);

  void holds(bool condition, std::string_view name, const std::string& how);

 private:
  void read_records();
  void read_trial(const core::TrialRecord& record);
  void read_attempt(const core::AttemptRecord& record);
  void check_run(const core::Run& run);
  void check_ended(const core::Run& run);
  void check_halts(const core::State& state);
  void check_holds(const core::State& state, bool alone);
  void check_rows(const core::State& state);

  // What the world did and what was written down of one run.
  struct Book {
    budgets::Cost most_granted;
    std::int64_t slot_ms = 0, gpu_ms = 0, attempts = 0;
    std::int64_t trials = 0, scored = 0;
    std::map<core::ExperimentId, std::int64_t> confirmed;  // scores
    std::int64_t ends = 0;                                 // told
  };
  Book& book_of(const core::RunId& run);
  const core::Study& study_of(const core::RunId& run);

  Counts& counts_;
  const fakes::FakeJournal& journal_;
  const fakes::FakeExecutor& executor_;
  std::map<core::RunId, core::Study> studies_;
  std::map<core::RunId, Book> books_;
  std::map<core::RunId, std::int64_t> reports_;
  std::map<std::pair<core::RunId, std::string>, core::ExperimentId> hashes_;
  std::map<std::pair<core::ExperimentId, std::int64_t>, core::TrialId> seeds_;
  std::set<core::TrialId> finished_;
  std::set<core::AttemptId> gone_;
  std::map<std::pair<core::TrialId, core::Cause>, std::int64_t> failures_;
  std::set<core::RunId> held_by_person_;
  std::map<core::RunId, std::optional<core::Moment>> confirmed_halts_;
  std::size_t trials_read_ = 0, attempts_read_ = 0, notes_read_ = 0;
  std::set<core::RunId> ended_read_;
};

}  // namespace overnight::sim
