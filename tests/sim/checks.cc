#include "tests/sim/checks.h"

#include "orchestrator/core/limits.h"
#include "orchestrator/core/rows.h"

namespace overnight::sim {
namespace {

using core::Cause;
using core::number;

template <typename Id>
std::string text(Id id) {
  return std::to_string(number(id));
}

std::map<std::string, std::string> parts_of(const std::map<std::string, std::string>& rows, const core::RunId& run) {
  std::map<std::string, std::string> parts;
  for (const auto& [name, row] : rows) {
    if (name.starts_with(run.text + "/")) parts[name.substr(run.text.size() + 1)] = row;
  }
  return parts;
}

}  // namespace

void Checks::holds(bool condition, std::string_view name, const std::string& how) {
  const auto found = counts_.find(name);
  if (found == counts_.end()) {
    counts_.emplace(std::string(name), 1);
  } else {
    ++found->second;
  }
  if (!condition) throw Broken(std::string(name), how);
}

const core::Study& Checks::study_of(const core::RunId& run) {
  const auto found = studies_.find(run);
  if (found != studies_.end()) return found->second;
  return studies_.emplace(run, core::study_from_json(journal_.studies.at(run))).first->second;
}

Checks::Book& Checks::book_of(const core::RunId& run) {
  const auto found = books_.find(run);
  if (found != books_.end()) return found->second;
  const core::RunBudget& budget = study_of(run).run_budget;
  Book book;
  book.most_granted = {budget.slot_time, budget.gpu_time,   budget.experiments, budget.actions,
                       budget.llm_cost,  budget.llm_tokens, budget.disk};
  return books_.emplace(run, book).first->second;
}

void Checks::granted(const core::RunId& run, const budgets::Cost& grant) {
  Book& book = book_of(run);
  book.most_granted = budgets::Cost::each(book.most_granted, grant, [](auto a, auto b) { return std::max(a, b); });
}

void Checks::launching(const core::State& state, const core::Launch& launch, bool alone) {
  const std::string what = "attempt " + text(launch.attempt) + " of " + launch.run.text;
  for (const auto& [id, process] : executor_.processes()) {
    holds(!process.alive || process.launch.slot != launch.slot, "a slot never holds two live processes",
          what + " on slot " + text(launch.slot) + " beside attempt " + text(id));
  }
  if (launch.purpose != core::Purpose::canary) {
    const auto [found, first] = seeds_.emplace(std::pair(launch.experiment, launch.seed), launch.trial);
    holds(first || found->second == launch.trial, "no seed is run twice for an experiment",
          what + ", seed " + std::to_string(launch.seed));
  }
  if (!alone) return;
  const auto run = state.runs.find(launch.run);
  holds(run != state.runs.end() && run->second.live && !run->second.end && !run->second.pending_end,
        "nothing starts behind an end", what);
  holds(!run->second.latch && !state.latch, "nothing starts behind a latch", what);
  holds(!run->second.hold || launch.purpose == core::Purpose::canary, "nothing but a canary starts behind a hold",
        what);
  holds(run->second.stage != core::Stage::baseline || launch.purpose == core::Purpose::baseline ||
            launch.purpose == core::Purpose::canary,
        "nothing starts before the baseline is measured", what);
  const auto slot = state.slots.find(launch.slot);
  holds(slot != state.slots.end() && slot->second.usable, "nothing starts on an unusable slot", what);
  const auto attempt = run->second.attempts.find(launch.attempt);
  holds(attempt != run->second.attempts.end() && run->second.ledger.is_open(attempt->second.reservation),
        "nothing starts that was not paid for", what);
}

void Checks::read_trial(const core::TrialRecord& record) {
  holds(finished_.insert(record.trial).second, "a trial is finished once", "trial " + text(record.trial));
  Book& book = book_of(record.run);
  ++book.trials;
  if (!record.score) return;
  ++book.scored;
  if (record.purpose == core::Purpose::confirm) ++book.confirmed[record.experiment];
}

void Checks::read_attempt(const core::AttemptRecord& record) {
  holds(gone_.insert(record.attempt).second, "an attempt is settled once", "attempt " + text(record.attempt));
  const core::Study& study = study_of(record.run);
  Book& book = book_of(record.run);
  const auto process = executor_.processes().find(record.attempt);
  const bool lost = record.detail == "it was not seen alive and left no receipt";
  holds(process == executor_.processes().end() || !process->second.alive, "what is called gone is gone in the world",
        "attempt " + text(record.attempt));
  const std::int64_t worst = core::worst_case_wall(study).count() + core::kill_allowance.count();
  const std::int64_t took = lost                                     ? worst
                            : process == executor_.processes().end() ? 0
                                                                     : process->second.receipt.took.value().count();
  ++book.attempts;
  book.slot_ms += took;
  book.gpu_ms += took * study.task.gpus;
  if (record.disturbed) return;
  const core::RetryPolicy& policy = study.task.retries;
  const std::map<Cause, std::int64_t> allowed{{Cause::crash, policy.crash},
                                              {Cause::timeout, policy.timeout},
                                              {Cause::out_of_memory, policy.out_of_memory},
                                              {Cause::infrastructure, policy.infrastructure},
                                              {Cause::no_metric, 0},
                                              {Cause::launch_failed, 0}};
  const auto limit = allowed.find(record.cause);
  if (limit == allowed.end()) return;
  holds(++failures_[{record.trial, record.cause}] <= limit->second + 1, "retries are bounded for each cause",
        "trial " + text(record.trial) + ", " + std::string(workers::name_of(record.cause)));
}

void Checks::read_records() {
  for (; attempts_read_ < journal_.attempts.size(); ++attempts_read_) read_attempt(journal_.attempts[attempts_read_]);
  for (; trials_read_ < journal_.trials.size(); ++trials_read_) read_trial(journal_.trials[trials_read_]);
  for (; notes_read_ < journal_.notes.size(); ++notes_read_) {
    const core::Note& note = journal_.notes[notes_read_];
    if (note.kind == "end" && !note.text.starts_with("not started")) ++book_of(note.run).ends;
  }
  for (const auto& [id, experiment] : journal_.experiments) {
    const auto [found, first] = hashes_.emplace(std::pair(experiment.run, experiment.hash), id);
    holds(first || found->second == id, "no point is admitted twice in a run", "experiment " + text(id));
  }
}

void Checks::check_run(const core::Run& run) {
  const Book& book = book_of(run.id);
  const budgets::Cost spent = run.ledger.settled() + run.ledger.overrun();
  holds(spent.slot_time.count() == book.slot_ms, "slot time settled is the time that the world used",
        run.id.text + ": " + std::to_string(spent.slot_time.count()) + " settled, " + std::to_string(book.slot_ms) +
            " used");
  holds(spent.gpu_time.count() == book.gpu_ms, "gpu time settled is the time that the world used", run.id.text);
  std::int64_t asks = -static_cast<std::int64_t>(run.asks.size());
  for (const core::ProposerBook& proposer : run.proposers) asks += proposer.asks;
  holds(spent.actions.count() == book.attempts + asks, "each launch and each ask is one action", run.id.text);
  const budgets::Cost promised = run.ledger.settled() + run.ledger.reserved();
  const budgets::Cost room = book.most_granted - promised;
  holds(room.slot_time.count() >= 0 && room.gpu_time.count() >= 0 && room.experiments.count() >= 0 &&
            room.actions.count() >= 0 && room.money.count() >= 0 && room.tokens.count() >= 0 && room.disk.count() >= 0,
        "no grant is passed but by an overrun", run.id.text);
  holds(run.counts.trials_finished == book.trials && run.counts.scored == book.scored,
        "trials are counted as they are recorded", run.id.text);
  for (const core::Leader& leader : run.leaders) {
    const auto found = book.confirmed.find(leader.origin.id);
    holds(leader.confirm.n == (found == book.confirmed.end() ? 0 : found->second) &&
              leader.confirm_trials <= std::max<std::int64_t>(0, run.study.evaluation.confirm_replicates),
          "confirmations are counted as they are recorded, and no more than asked for", run.id.text);
  }
  for (const auto& [id, trial] : run.trials)
    holds(!finished_.contains(id), "a finished trial leaves State", "trial " + text(id));
}

// A run that left State for good: nothing of it is open, and every experiment came to an end.
void Checks::check_ended(const core::Run& run) {
  check_run(run);
  std::int64_t admitted = 0;
  for (const auto& [id, experiment] : journal_.experiments) {
    if (experiment.run != run.id) continue;
    admitted += experiment.purpose == core::Purpose::search || experiment.purpose == core::Purpose::enqueued;
    const bool over = experiment.status == "scored" || experiment.status == "failed" || experiment.status == "dropped";
    holds(over || run.end->kind == core::EndKind::abandoned, "every experiment of an ended run came to an end",
          "experiment " + text(id) + " is " + experiment.status);
  }
  holds(
      admitted == run.counts.admitted, "no experiment is lost or counted twice",
      run.id.text + ": " + std::to_string(admitted) + " recorded, " + std::to_string(run.counts.admitted) + " counted");
  if (run.end->kind != core::EndKind::done || run.hold) return;  // held until its wall was over
  holds(!executor_.is_alive(run.id), "a done run has nothing alive", run.id.text);
  const auto top =
      std::min<std::size_t>(run.leaders.size(), static_cast<std::size_t>(run.study.evaluation.confirm_top));
  for (std::size_t i = 0; i < top; ++i)
    holds(run.leaders[i].confirm_trials == run.study.evaluation.confirm_replicates,
          "the best of a done run were queued for confirmation as asked", run.id.text);
}

void Checks::check_halts(const core::State& state) {
  for (const auto& [id, run] : state.runs) {
    std::optional<core::Moment>& seen = confirmed_halts_[id];
    if (!run.halt || !run.halt->confirmed_after) {
      seen.reset();
    } else if (!seen) {
      seen = run.halt->requested;
      holds(!executor_.is_alive(id), "a halt is confirmed only when nothing is alive", id.text);
    }
  }
}

void Checks::check_holds(const core::State& state, bool alone) {
  const std::string& event = journal_.entries.back().event;
  for (const auto& [id, run] : state.runs) {
    const bool held = run.hold && !run.hold->by_breaker;
    if (alone && held_by_person_.contains(id))
      holds(held || event == "release_requested", "a person's hold is lifted by a person", id.text + " by " + event);
    if (held) {
      held_by_person_.insert(id);
    } else {
      held_by_person_.erase(id);
    }
  }
}

void Checks::check_rows(const core::State& state) {
  holds(journal_.rows.at("home") == core::home_row(state), "what is committed is what the core holds", "home");
  for (const auto& [id, run] : state.runs) {
    for (const core::RunPart part : core::all_run_parts) {
      const std::string name = id.text + "/" + std::string(core::name_of(part));
      holds(journal_.rows.at(name) == core::run_row(run, part), "what is committed is what the core holds",
            name + "\n  disk " + journal_.rows.at(name) + "\n  core " + core::run_row(run, part));
    }
    auto read = core::read_run_rows(parts_of(journal_.rows, id), journal_.studies.at(id));
    holds(read.has_value(), "what is committed can be read back", id.text);
    read->seen = run.seen;
    holds(*read == run, "what is read back is what the core holds", id.text);
  }
}

void Checks::committed(const core::State& state, bool rows_too, bool alone) {
  read_records();
  for (const auto& [_, run] : state.runs) check_run(run);
  for (const core::RunId& run : journal_.ended) {
    if (!ended_read_.insert(run).second) continue;
    const auto read = core::read_run_rows(parts_of(journal_.ended_rows, run), journal_.studies.at(run));
    holds(read.has_value(), "what is committed can be read back", run.text);
    check_ended(*read);
  }
  check_halts(state);
  check_holds(state, alone);
  if (rows_too) check_rows(state);
}

void Checks::at_the_end(const core::State& state) {
  for (const auto& [run, book] : books_)
    holds(reports_[run] >= book.ends, "every end is reported", run.text + ": " + std::to_string(book.ends) + " ends");
  for (const auto& [id, run] : state.runs) holds(run.end.has_value(), "every run comes to an end", id.text);
}

}  // namespace overnight::sim
