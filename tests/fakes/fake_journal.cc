#include "tests/fakes/fake_journal.h"

#include <algorithm>
#include <iterator>

#include "orchestrator/core/rows.h"

namespace overnight::fakes {
namespace {

template <typename T>
void append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

budgets::Result<void, ports::JournalError> FakeJournal::commit(const ports::Batch& batch) {
  if (before_commit) before_commit();
  if (refuses) return budgets::unexpected(ports::JournalError{"the fake disk is full"});
  ++commits;
  append(entries, batch.entries);
  for (const auto& [run, study] : batch.studies) studies[run] = study;
  for (const auto& [name, row] : batch.rows) rows[name] = row;
  for (const core::RunId& run : batch.ended) {
    ended.insert(run);
    const auto is_of_run = [&](const auto& entry) { return entry.first.starts_with(run.text + "/"); };
    std::copy_if(rows.begin(), rows.end(), std::inserter(ended_rows, ended_rows.end()), is_of_run);
    std::erase_if(rows, is_of_run);
  }
  for (const core::ExperimentRecord& one : batch.experiments) experiments[one.experiment] = one;
  append(trials, batch.trials);
  append(attempts, batch.attempts);
  append(notes, batch.notes);
  for (const core::NumberedAction& action : batch.outbox) outbox[action.id] = action;
  for (const core::ActionId done : batch.performed) outbox.erase(done);
  if (after_commit) after_commit();
  return {};
}

budgets::Result<ports::Loaded, ports::JournalError> FakeJournal::load() {
  ports::Loaded loaded;
  if (!entries.empty()) loaded.last = entries.back().seq;
  std::map<core::RunId, std::map<std::string, std::string>> parts;
  for (const auto& [name, row] : rows) {
    const auto slash = name.rfind('/');
    if (slash != std::string::npos) parts[{name.substr(0, slash)}][name.substr(slash + 1)] = row;
  }
  for (const auto& [id, texts] : parts) {
    auto run = core::read_run_rows(texts, studies.at(id));
    if (!run) return budgets::unexpected(ports::JournalError{run.error()});
    for (const auto& [_, experiment] : experiments) {
      if (experiment.run == id) run->seen.insert(experiment.hash);
    }
    loaded.state.runs.emplace(id, std::move(*run));
  }
  if (const auto home = rows.find("home"); home != rows.end()) {
    if (auto read = core::read_home_row(loaded.state, home->second); !read)
      return budgets::unexpected(ports::JournalError{read.error()});
  }
  for (const auto& [_, action] : outbox) loaded.outbox.push_back(action);
  return loaded;
}

}  // namespace overnight::fakes
