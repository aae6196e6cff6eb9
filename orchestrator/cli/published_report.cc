#include "orchestrator/cli/published_report.h"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>

#include "orchestrator/cli/terminal.h"

namespace overnight::cli {
namespace {

// Reads page after page; what cannot be read is told once, and the rest is left out.
template <typename Item, typename Ask>
std::vector<Item> every(Ask ask) {
  std::vector<Item> all;
  std::int64_t cursor = 0;
  while (true) {
    auto page = ask(cursor);
    if (!page) {
      std::cerr << "overnight: " << page.error().explain << "\n";
      return all;
    }
    all.insert(all.end(), std::make_move_iterator(page->items.begin()), std::make_move_iterator(page->items.end()));
    if (!page->more) return all;
    cursor = page->next;
  }
}

}  // namespace

std::vector<core::ExperimentRecord> all_experiments(store::HomeReader& reader, const core::RunId& run) {
  return every<core::ExperimentRecord>(
      [&](std::int64_t after) { return reader.experiments(run, {}, after, store::page_max); });
}

std::vector<core::TrialRecord> all_trials(store::HomeReader& reader, const core::RunId& run) {
  std::vector<core::TrialRecord> trials;
  for (auto& finished :
       every<store::FinishedTrial>([&](std::int64_t after) { return reader.trials(run, after, store::page_max); }))
    trials.push_back(std::move(finished.trial));
  return trials;
}

std::vector<core::AttemptRecord> all_attempts(store::HomeReader& reader, const core::RunId& run) {
  return every<core::AttemptRecord>([&](std::int64_t after) { return reader.attempts(run, after, store::page_max); });
}

std::vector<ports::KnownTrial> history_of(store::HomeReader& reader, const core::RunId& run) {
  std::map<core::ExperimentId, core::ExperimentRecord> experiments;
  for (auto& experiment : all_experiments(reader, run))
    experiments.emplace(experiment.experiment, std::move(experiment));
  std::vector<ports::KnownTrial> history;
  for (const core::TrialRecord& trial : all_trials(reader, run)) {
    const auto experiment = experiments.find(trial.experiment);
    if (experiment == experiments.end() || trial.purpose == core::Purpose::canary) continue;
    const std::string failure =
        trial.score ? ""
                    : std::string(workers::name_of(trial.cause)) + " in " + std::string(workers::name_of(trial.phase));
    history.push_back({trial.experiment, experiment->second.params, trial.score, failure, experiment->second.proposer,
                       experiment->second.hypothesis});
  }
  return history;
}

std::string ranked_table(store::HomeReader& reader, const core::RunId& run) {
  const auto facts = reader.run(run);
  if (!facts || !*facts) return "";
  const core::Run& one = (*facts)->run;
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const std::string& rank, const core::Leader& leader) {
    std::string params;
    for (const auto& [name, value] : leader.origin.params)
      params += (params.empty() ? "" : " ") + name + "=" + core::text_of(value);
    rows.push_back({rank, "#" + std::to_string(core::number(leader.origin.id)), number_words(leader.search.mean()),
                    leader.confirm.n > 0 ? number_words(leader.confirm.mean()) : "-",
                    std::to_string(leader.search.n + leader.confirm.n), leader.origin.proposer, params});
  };
  for (std::size_t i = 0; i < one.leaders.size() && i < 10; ++i) add(std::to_string(i + 1), one.leaders[i]);
  if (one.baseline) add("-", *one.baseline);
  return table({"rank", "experiment", one.study.objective.metric, "confirmed", "n", "proposer", "parameters"}, rows,
               100);
}

void publish_report(store::HomeReader& reader, const std::filesystem::path& home, const core::RunId& run) {
  const std::filesystem::path folder = home / "runs" / run.text;
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  std::ofstream out(folder / "report.md");
  out << "# " << run.text << "\n\n```\n" << ranked_table(reader, run) << "```\n";
  if (!out) std::cerr << "overnight: the report cannot be written to " << folder.string() << "\n";
}

}  // namespace overnight::cli
