// A home with memory for tests of the core: tells `step` things and remembers what it wanted done.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "orchestrator/core/rows.h"
#include "orchestrator/core/step.h"

namespace overnight::core {

inline Study small_study() {
  Study study;
  study.name = "small";
  study.objective = {"loss", Direction::minimize, 0.0};
  study.task.train.command = {"train"};
  study.task.train.timeout = seconds(10);
  study.task.retries.crash = 0;
  study.baseline = {{"x", 0.5}};
  study.space.dimensions.push_back({"x", FloatRange{0, 1, Scale::linear}, {}});
  study.proposers.push_back(ProposerSpec{.kind = "random", .name = "random"});
  study.evaluation = {.baseline_replicates = 1, .confirm_replicates = 0, .confirm_top = 0};
  return study;
}

struct Home {
  State state;
  Changes changes;  // of the last tell
  std::vector<Action> actions;
  std::vector<Note> notes;
  std::vector<TrialRecord> trials;
  std::vector<ExperimentRecord> experiments;
  std::vector<Run> ended;
  std::int64_t now = 0;
  RunId run{"run-1"};

  explicit Home(int slots) {
    HomeOpened opened;
    opened.epoch = Epoch{1};
    for (int i = 1; i <= slots; ++i) opened.slots.push_back({SlotId{i}, "cpu", {i - 1}, {}});
    tell(opened);
  }

  void tell(Event event, std::int64_t after_ms = 0) {
    now += after_ms;
    changes = {};
    const State before = state;
    step(state, {Moment::at(now), WallTime::at(1'000'000 + now), 7, std::move(event)}, changes);
    expect_changed_rows_touched(before);
    for (const auto& action : changes.actions) actions.push_back(action.action);
    notes.insert(notes.end(), changes.notes.begin(), changes.notes.end());
    trials.insert(trials.end(), changes.trials.begin(), changes.trials.end());
    experiments.insert(experiments.end(), changes.experiments.begin(), changes.experiments.end());
    for (const Run& one : changes.ended) ended.push_back(one);
  }
  // What changed and is not touched would not be written: after a crash the disk would tell another story.
  void expect_changed_rows_touched(const State& before) const {
    if (!changes.home_touched) {
      EXPECT_EQ(home_row(state), home_row(before));
    }
    for (const auto& [id, was] : before.runs) {
      const auto is = state.runs.find(id);
      if (is == state.runs.end()) continue;
      for (const RunPart part : all_run_parts) {
        if (changes.touched.contains({id, part})) continue;
        EXPECT_EQ(run_row(is->second, part), run_row(was, part)) << id.text;
      }
    }
  }
  // Lets the time pass until the core wants to be told; false if it waits for nothing.
  bool wait() {
    const Moment next = next_deadline(state);
    if (next == Moment::never()) return false;
    tell(TimePassed{}, next.ms() - now);
    return true;
  }
  void start(const Study& study) { tell(RunStarted{run, study, WallTime::never(), {}}); }

  template <typename T>
  std::vector<T> all() const {
    std::vector<T> found;
    for (const Action& action : actions) {
      if (const T* one = std::get_if<T>(&action)) found.push_back(*one);
    }
    return found;
  }
  Run& live() { return state.runs.at(run); }

  // The attempt ends with this score, after a second.
  void score(AttemptId attempt, double value) {
    tell(AttemptStarted{attempt});
    AttemptGone gone{attempt};
    gone.cause = Cause::completed;
    gone.score = value;
    gone.took = seconds(1);
    tell(gone, 1000);
  }
  void fail(AttemptId attempt, Cause cause = Cause::crash) {
    AttemptGone gone{attempt};
    gone.cause = cause;
    gone.detail = "exit status 1 in train";
    gone.took = seconds(1);
    tell(gone, 1000);
  }
  // Answers the last ask with these points.
  void offer(const std::vector<double>& xs, bool exhausted = false) {
    const Ask ask = all<Ask>().back();
    OffersArrived offers;
    offers.run = run;
    offers.ask = ask.ask;
    for (const double x : xs) offers.proposals.push_back({{{"x", x}}, "", {}});
    offers.exhausted = exhausted;
    tell(offers);
  }
};

}  // namespace overnight::core
