#include "tests/sim/planted.h"

#include <algorithm>

#include "orchestrator/core/step.h"

// The linker sends every call of core::step here (-Wl,--wrap); the real one is reached by its other name.
extern "C" {
void __real__ZN9overnight4core4stepERNS0_5StateERKNS0_5InputERNS0_7ChangesE(overnight::core::State&,
                                                                            const overnight::core::Input&,
                                                                            overnight::core::Changes&);
void __wrap__ZN9overnight4core4stepERNS0_5StateERKNS0_5InputERNS0_7ChangesE(overnight::core::State&,
                                                                            const overnight::core::Input&,
                                                                            overnight::core::Changes&);
}

namespace overnight::sim {

void planted_step(core::State& state, const core::Input& input, core::Changes& changes);

namespace {

using namespace core;

Bug planted = Bug::none;

void real_step(State& state, const Input& input, Changes& changes) {
  __real__ZN9overnight4core4stepERNS0_5StateERKNS0_5InputERNS0_7ChangesE(state, input, changes);
}

void rebook(Run& run, void (*change)(budgets::Ledger::Book&)) {
  budgets::Ledger::Book book = run.ledger.book();
  change(book);
  run.ledger = budgets::Ledger::from(book);
}

// What must be wrong before the step sees it.
Input spoil_before(State& state, Input input) {
  if (auto* seen = std::get_if<Observed>(&input.event); seen != nullptr && planted == Bug::call_the_living_lost)
    seen->live.clear();
  for (auto& [_, run] : state.runs) {
    if (planted == Bug::admit_duplicates) run.seen.clear();
  }
  if (planted == Bug::lose_an_experiment && std::holds_alternative<RunResumed>(input.event)) {
    for (auto& [_, run] : state.runs) {
      if (run.trials.empty() || run.trials.rbegin()->second.running) continue;
      const ExperimentId lost = run.trials.rbegin()->second.experiment;
      if (run.experiments.at(lost).open_trials > 1) continue;
      run.experiments.erase(lost);
      run.trials.erase(run.trials.rbegin()->first);
    }
  }
  return input;
}

void spoil_actions(State& state, Changes& changes) {
  if (planted == Bug::launch_twice) {
    for (std::size_t i = 0, n = changes.actions.size(); i < n; ++i) {
      if (const auto* launch = std::get_if<Launch>(&changes.actions[i].action)) {
        Launch again = *launch;
        again.attempt = AttemptId{number(again.attempt) + 1'000'000};
        changes.actions.push_back({ActionId{state.next_action++}, again});
        changes.home_touched = true;
      }
    }
  }
  if (planted == Bug::forget_the_report) {
    std::erase_if(changes.actions,
                  [](const NumberedAction& one) { return std::holds_alternative<PublishReport>(one.action); });
  }
  if (planted == Bug::repeat_a_seed) {
    for (NumberedAction& one : changes.actions) {
      auto* launch = std::get_if<Launch>(&one.action);
      if (launch != nullptr && launch->purpose == Purpose::confirm)
        launch->seed = state.runs.at(launch->run).study.seed;
      if (launch != nullptr && launch->purpose == Purpose::search) launch->seed = state.runs.at(launch->run).study.seed;
    }
  }
  if (planted == Bug::count_twice && !changes.trials.empty()) changes.trials.push_back(changes.trials.back());
}

void spoil_after(State& state, const Input& input, Changes& changes) {
  spoil_actions(state, changes);
  if (planted == Bug::forget_a_row && !std::holds_alternative<RunStarted>(input.event))
    std::erase_if(changes.touched, [](const auto& touched) { return touched.second == RunPart::leaders; });
  for (auto& [id, run] : state.runs) {
    if (planted == Bug::forget_to_settle && std::holds_alternative<AttemptGone>(input.event))
      rebook(run, [](budgets::Ledger::Book& book) { book.settled.slot_time = {}; });
    if (planted == Bug::confirm_halts_early && run.halt && !run.halt->confirmed_after) {
      run.halt->confirmed_after = Millis{};
      changes.touch(id, RunPart::status);
    }
    if (planted == Bug::forget_a_deadline) {
      for (auto& [_, trial] : run.trials) {
        if (!trial.running && trial.not_before > input.now) trial.not_before = Moment::never();
      }
    }
  }
}

}  // namespace

void planted_step(State& state, const Input& input, Changes& changes) {
  if (planted == Bug::none) return real_step(state, input, changes);
  const Input spoiled = spoil_before(state, input);
  std::map<RunId, Hold> holds;
  std::map<RunId, budgets::Cost> grants;
  for (auto& [id, run] : state.runs) {
    if (planted == Bug::launch_behind_a_hold && run.hold && !std::holds_alternative<ReleaseRequested>(input.event)) {
      holds.emplace(id, *run.hold);
      run.hold.reset();
    }
    if (planted == Bug::ignore_the_grant) {
      grants.emplace(id, run.ledger.grant());
      rebook(run, [](budgets::Ledger::Book& book) { book.grant.slot_time = budgets::SlotMillis::unlimited(); });
    }
  }
  real_step(state, spoiled, changes);
  for (const auto& [id, hold] : holds) {
    if (const auto run = state.runs.find(id); run != state.runs.end()) run->second.hold = hold;
  }
  for (const auto& [id, grant] : grants) {
    if (const auto run = state.runs.find(id); run != state.runs.end()) run->second.ledger.regrant(grant);
  }
  spoil_after(state, spoiled, changes);
}

void plant(Bug bug) { planted = bug; }

}  // namespace overnight::sim

extern "C" void __wrap__ZN9overnight4core4stepERNS0_5StateERKNS0_5InputERNS0_7ChangesE(
    overnight::core::State& state, const overnight::core::Input& input, overnight::core::Changes& changes) {
  overnight::sim::planted_step(state, input, changes);
}
