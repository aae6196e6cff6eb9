#include "orchestrator/cli/published_report.h"

#include <algorithm>
#include <exception>
#include <iostream>
#include <map>

#include "orchestrator/cli/real_clock.h"
#include "orchestrator/cli/terminal.h"
#include "orchestrator/report/words.h"
#include "orchestrator/store/durable_file.h"

namespace overnight::cli {
namespace {

constexpr const char* program_version = OVERNIGHT_VERSION;
constexpr std::size_t terminal_rows = 10;

std::string params_words(const core::Params& params) {
  std::string words;
  for (const auto& [name, value] : params) {
    const double* number = std::get_if<double>(&value);
    words +=
        (words.empty() ? "" : " ") + name + "=" + (number != nullptr ? number_words(*number) : core::text_of(value));
  }
  return words;
}

// For terminals that speak no UTF-8.
std::string in_their_signs(std::string text) {
  constexpr std::string_view sign = "±";
  if (look_of(1).utf8) return text;
  for (std::size_t at = text.find(sign); at != std::string::npos; at = text.find(sign))
    text.replace(at, sign.size(), "+-");
  return text;
}

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

std::optional<report::ReportData> report_data_of(store::HomeReader& reader, const core::RunId& run) {
  auto facts = reader.run(run);
  if (!facts) {
    std::cerr << "overnight: " << facts.error().explain << "\n";
    return std::nullopt;
  }
  if (!*facts) return std::nullopt;
  report::ReportData data;
  data.run = std::move((*facts)->run);
  data.experiments = all_experiments(reader, run);
  data.trials = all_trials(reader, run);
  data.attempts = all_attempts(reader, run);
  data.version = program_version;
  data.written = RealClock().wall();
  if (auto notes = reader.last_notes(run, store::page_max)) {
    for (auto& numbered : *notes) data.notes.push_back(std::move(numbered.note));
  }
  if (auto slots = reader.slots()) {
    for (auto& [id, slot] : *slots) data.slots.emplace(id, std::move(slot.found));
  }
  if (const auto home = reader.home()) {
    data.home_uuid = home->uuid;
    data.journal_entries = home->journal_entries;
    if (const auto last = reader.entries(home->journal_entries - 1, 1); last && !last->items.empty())
      data.journal_head = last->items.front().hash;
  }
  return data;
}

std::string ranked_table(const report::ReportData& data) {
  const report::Findings found = report::findings_of(data);
  std::vector<std::vector<std::string>> rows;
  bool any_pooled = false;
  const auto add = [&](const std::string& rank, const report::Result& result, const std::string& status) {
    any_pooled = any_pooled || result.estimate.pooled;
    rows.push_back({rank, "#" + std::to_string(core::number(result.record->experiment)),
                    in_their_signs(report::estimate_words(result.estimate)) + (result.estimate.pooled ? " p" : "") +
                        in_their_signs(result.self_reported ? " †" : "") + report::throttled_mark(result.throttled),
                    std::to_string(result.estimate.n), status, result.record->proposer,
                    params_words(result.record->params)});
  };
  for (std::size_t i = 0; i < found.ranked.size() && i < std::max(terminal_rows, found.confirmed); ++i) {
    const report::Result& result = found.ranked[i];
    add(report::rank_words(result.place), result, result.confirmed() ? "confirmed" : "search only");
  }
  if (found.baseline) add("-", *found.baseline, "baseline");
  std::string out = clean(in_their_signs(found.verdict.headline), 2000) + "\n";
  if (rows.empty()) return out;
  out += "\n" + table({"rank", "experiment", data.run.study.objective.metric, "n", "status", "proposer", "parameters"},
                      rows, 100);
  if (found.noise)
    out += in_their_signs("± is the half width of a 95 % interval; 2= is a tie" +
                          std::string(any_pooled ? "; p: its noise is borrowed from repeated experiments.\n" : ".\n"));
  if (found.confirmed > 0 && found.confirmed < found.ranked.size())
    out += "Scores of the search alone are chosen, and too good on average.\n";
  for (const std::string& caveat : found.verdict.caveats) out += clean(in_their_signs(caveat), 600) + "\n";
  return out;
}

std::string ranked_table(store::HomeReader& reader, const core::RunId& run) {
  const auto data = report_data_of(reader, run);
  return data ? ranked_table(*data) : "";
}

void publish_report(store::HomeReader& reader, const std::filesystem::path& home, const core::RunId& run) noexcept {
  try {
    const auto data = report_data_of(reader, run);
    if (!data) return;
    const report::Findings found = report::findings_of(*data);
    const std::string folder = (home / "runs" / run.text).string();
    const auto write = [&](const char* name, report::Format format) {
      const auto made = store::make_folder(folder);
      const auto written =
          made ? store::write_whole(folder + "/" + name, report::write_report(*data, found, format)) : made;
      if (!written) std::cerr << "overnight: the report cannot be written: " << written.error().explain << "\n";
    };
    write("report.html", report::Format::html);
    write("report.md", report::Format::markdown);
  } catch (const std::exception& error) {
    std::cerr << "overnight: the report of " << run.text << " cannot be made: " << error.what() << "\n";
  }
}

}  // namespace overnight::cli
