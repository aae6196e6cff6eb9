#include "orchestrator/report/facts.h"

#include <fmt/format.h>
#include <algorithm>
#include <set>

#include "orchestrator/report/charts.h"
#include "orchestrator/report/words.h"

namespace overnight::report {
namespace {

std::string slots_words(const ReportData& data) {
  std::set<core::SlotId> used;
  for (const core::AttemptRecord& attempt : data.attempts) used.insert(attempt.slot);
  for (const auto& [slot, _] : data.slots) used.insert(slot);
  std::string words =
      used.empty() ? "none was used" : fmt::format("{} {}", used.size(), used.size() == 1 ? "slot" : "slots");
  std::set<std::string> classes;
  for (const auto& [_, slot] : data.slots) classes.insert(slot.slot_class);
  for (const std::string& one : classes) words += ", " + one;
  const core::Task& task = data.run.study.task;
  words += fmt::format("; {} CPU{} and {} GPU{} per attempt", task.cpus, task.cpus == 1 ? "" : "s", task.gpus,
                       task.gpus == 1 ? "" : "s");
  return words;
}

std::string halt_words(const core::Halt& halt) {
  std::string words =
      fmt::format("requested at {} with {} attempts running; ", clock_words(halt.requested_wall.ms()), halt.attempts);
  return words + (halt.confirmed_after
                      ? "all were seen to be gone after " + duration_words(halt.confirmed_after->count())
                      : "not confirmed: something may still run");
}

std::string experiments_words(const ReportData& data, const Findings& found) {
  const core::Counts& counts = data.run.counts;
  std::int64_t failed = 0;
  for (const auto& [_, count] : counts.failed) failed += count;
  std::string words = fmt::format("{} admitted, {} with a score; {} trials", count_words(counts.admitted),
                                  count_words(found.measurements), count_words(counts.trials_finished));
  if (failed > 0) words += fmt::format(", {} of them failed", count_words(failed));
  const auto canaries = std::count_if(data.trials.begin(), data.trials.end(), [](const core::TrialRecord& trial) {
    return trial.purpose == core::Purpose::canary;
  });
  if (canaries > 0) words += fmt::format(", {} of them canaries of the baseline", count_words(canaries));
  if (counts.retries > 0) words += fmt::format(", {} retries", count_words(counts.retries));
  if (counts.duplicates > 0)
    words += fmt::format(", {} duplicates refused before they ran", count_words(counts.duplicates));
  if (counts.dropped > 0) words += fmt::format(", {} never launched", count_words(counts.dropped));
  return words;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> facts_of(const ReportData& data, const Findings& found) {
  const core::Run& run = data.run;
  const core::Study& study = run.study;
  std::vector<std::pair<std::string, std::string>> facts;
  const auto add = [&](const char* name, std::string value) {
    if (!value.empty()) facts.emplace_back(name, std::move(value));
  };
  add("study", study.name);
  add("purpose", study.purpose);
  add("owner", study.owner);
  add("objective", study.objective.metric + (run.minimizes() ? ", minimized" : ", maximized") +
                       (study.objective.minimum_effect > 0
                            ? "; differences below " + number_words(study.objective.minimum_effect) + " are ties"
                            : ""));
  add("ended", ending_words(data));
  const std::int64_t length = end_of(data) - run.started.ms();
  add("time", span_words(run.started.ms(), end_of(data)) + ", " + duration_words(length) +
                  (length > run.wall_used.count() + length / 20 + 3000
                       ? " (" + duration_words(run.wall_used.count()) + " of it at work)"
                       : ""));
  if (run.halt) add("halt", halt_words(*run.halt));
  if (run.latch) add("latch", "closed by " + run.latch->by + " (" + run.latch->path + "): " + run.latch->reason);
  if (run.hold) add("hold", "by " + run.hold->by + ": " + run.hold->reason);
  add("experiments", experiments_words(data, found));
  add("slots", slots_words(data));
  if (study.task.gpus > 0) add("energy", energy_words(found.energy) + " on GPUs, of all trials");
  if (found.noise)
    add("noise", fmt::format("standard deviation {:.2g} of one score, from {} degrees of freedom",
                             found.noise->deviation, found.noise->degrees));
  add("seed", fmt::format("{} (of the run; trials derive theirs from it)", study.seed));
  add("run", run.id.text);
  return facts;
}

std::vector<const core::Note*> notes_that_matter(const ReportData& data, std::size_t most) {
  static const std::set<std::string> everyday{"best", "ask", "duplicate", "retry"};
  std::vector<const core::Note*> notes;
  for (const core::Note& note : data.notes) {
    if (!everyday.contains(note.kind)) notes.push_back(&note);
  }
  if (notes.size() > most) notes.erase(notes.begin(), notes.end() - static_cast<std::ptrdiff_t>(most));
  return notes;
}

std::string params_words(const core::Params& params) {
  std::string words;
  for (const auto& [name, value] : params) words += (words.empty() ? "" : " ") + name + "=" + core::text_of(value);
  return words;
}

LlmShare llm_share(const core::Run& run, const std::string& proposer) {
  for (std::size_t i = 0; i < run.study.proposers.size() && i < run.proposers.size(); ++i) {
    if (run.study.proposers[i].name != proposer || run.proposers[i].admitted <= 0) continue;
    const double admitted = static_cast<double>(run.proposers[i].admitted);
    return {static_cast<double>(run.proposers[i].used.money.count()) / admitted,
            static_cast<double>(run.proposers[i].used.tokens.count()) / admitted};
  }
  return {};
}

}  // namespace overnight::report
