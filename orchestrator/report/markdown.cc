// The report for a terminal, an issue or a chat.
#include <fmt/format.h>

#include <algorithm>

#include "orchestrator/report/budget_lines.h"
#include "orchestrator/report/facts.h"
#include "orchestrator/report/tradeoffs.h"
#include "orchestrator/report/words.h"
#include "orchestrator/report/writers.h"

namespace overnight::report {
namespace {

std::string row(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& cell : cells) out += " " + cell + " |";
  return out + "\n";
}

std::string head(const std::vector<std::string>& cells) {
  std::string out = row(cells) + "|";
  for (std::size_t i = 0; i < cells.size(); ++i) out += "---|";
  return out + "\n";
}

std::string gain_words(const Result& result) {
  if (!result.gain) return "–";
  const evals::Difference& gain = *result.gain;
  const std::string sign = gain.value > 0 ? "+" : "";
  if (!gain.interval || !result.confirmed()) return sign + number_words(gain.value);
  return sign + estimate_words({gain.value, 1, gain.interval, gain.pooled});
}

std::string ranking(const ReportData& data, const Findings& found) {
  if (found.ranked.empty() && !found.baseline) return "";
  const bool gpus = data.run.study.task.gpus > 0;
  std::vector<std::string> names{"rank",     "experiment", markdown(data.run.study.objective.metric, 60),
                                 "n",        "gain",       "status",
                                 "proposer", "slot time"};
  if (gpus) names.push_back("energy");
  names.push_back("parameters");
  std::string out = "## Ranked results\n\n" + head(names);
  const auto add = [&](const std::string& rank, const Result& result, const char* status) {
    std::vector<std::string> cells{rank,
                                   "#" + std::to_string(core::number(result.record->experiment)),
                                   estimate_words(result.estimate) + (result.estimate.pooled ? " p" : "") +
                                       (result.self_reported ? " †" : "") + throttled_mark(result.throttled),
                                   std::to_string(result.estimate.n),
                                   gain_words(result),
                                   status,
                                   markdown(result.record->proposer, 60),
                                   duration_words(result.used.slot_time.count())};
    if (gpus) cells.push_back(energy_words(result.energy));
    cells.push_back(markdown(params_words(result.record->params), 600));
    out += row(cells);
  };
  const std::size_t end = std::min(found.ranked.size(), found.confirmed + rows_max);
  for (std::size_t i = 0; i < end; ++i)
    add(rank_words(found.ranked[i].place), found.ranked[i], found.ranked[i].confirmed() ? "confirmed" : "search only");
  if (found.baseline) add("–", *found.baseline, "baseline");
  out += "\n± is the half width of a 95 % interval; p: with noise borrowed from repeated experiments; 2=: a tie.\n";
  if (end < found.ranked.size())
    out += fmt::format("{} more are in the CSV and JSON forms.\n", found.ranked.size() - end);
  return out + "\n";
}

std::string tradeoffs(const ReportData& data, const Findings& found) {
  const Tradeoffs tradeoffs = tradeoffs_of(data, found);
  if (tradeoffs.metrics.empty()) return "";
  std::vector<std::string> names{"experiment", markdown(data.run.study.objective.metric, 60)};
  for (const std::string& metric : tradeoffs.metrics) names.push_back(markdown(metric, 64));
  names.push_back("parameters");
  std::string out = "## What a better score costs\n\n" + head(names);
  std::size_t best = 0;
  for (const Weighed& point : tradeoffs.points) {
    if (!point.best || ++best > rows_max) continue;
    std::vector<std::string> cells{"#" + std::to_string(core::number(point.result->record->experiment)),
                                   estimate_words(point.result->estimate)};
    for (std::size_t i = 0; i < point.costs.size(); ++i)
      cells.push_back(cost_words(tradeoffs.metrics[i], point.costs[i]));
    cells.push_back(markdown(params_words(point.result->record->params), 600));
    out += row(cells);
  }
  return out + fmt::format("\nNo other of {} results beats these in everything.\n\n", tradeoffs.points.size());
}

std::string budgets(const ReportData& data) {
  const auto lines = budget_lines(data.run);
  if (lines.empty()) return "";
  std::string out = "## Budgets\n\n" + head({"budget", "used", "reserved", "left", "granted"});
  for (const BudgetLine& line : lines)
    out += row({line.name, amount_words(line.used(), line.unit), amount_words(line.reserved, line.unit),
                line.limited ? amount_words(line.left(), line.unit) : "–",
                line.limited ? amount_words(line.granted, line.unit) : "no limit"});
  return out + "\n";
}

std::string failures(const Findings& found) {
  if (found.failures.empty()) return "";
  std::string out = "## Failures by cause\n\n" + head({"cause", "phase", "attempts", "slot time lost", "for example"});
  for (const Failure& failure : found.failures)
    out +=
        row({markdown(workers::name_of(failure.cause)), std::string(workers::name_of(failure.phase)),
             count_words(failure.attempts), duration_words(failure.lost_ms), markdown(failure.example->detail, 300)});
  return out + "\n";
}

std::string proposers(const Findings& found) {
  if (found.credits.empty()) return "";
  std::string out =
      "## Who proposed it\n\n" + head({"proposer", "asked", "offered", "admitted", "duplicates", "refused",
                                       "failed asks", "scored", "failed", "LLM cost", "tokens", "best"});
  for (const Credit& credit : found.credits) {
    const core::ProposerBook& book = credit.book;
    std::vector<std::string> cells{markdown(credit.proposer, 60)};
    for (const std::int64_t count : {book.asks, book.offered, book.admitted, book.duplicates, book.refused,
                                     book.failures, credit.scored, credit.failed})
      cells.push_back(count_words(count));
    cells.push_back(money_words(book.used.money.count()));
    cells.push_back(count_words(book.used.tokens.count()));
    cells.push_back(credit.best ? estimate_words(found.ranked[*credit.best].estimate) : "–");
    out += row(cells);
  }
  return out + "\n";
}

// A fence that is longer than any run of backticks inside.
std::string fenced(std::string_view text) {
  const std::string clean = harmless(text, 4000, true);
  std::size_t longest = 2, now = 0;
  for (const char c : clean) now = c == '`' ? now + 1 : 0, longest = std::max(longest, now);
  const std::string fence(longest + 1, '`');
  return fence + "text\n" + clean + "\n" + fence + "\n\n";
}

}  // namespace

std::string to_markdown(const ReportData& data, const Findings& found) {
  std::string out = "# " + markdown(found.verdict.headline, 900) + "\n\n";
  for (const std::string& caveat : found.verdict.caveats) out += "- " + markdown(caveat, 600) + "\n";
  if (!found.verdict.caveats.empty()) out += "\n";
  if (!found.verdict.log_tail.empty())
    out += "The end of its log:\n\n" + fenced(last_lines(found.verdict.log_tail, 30));
  for (const auto& [name, value] : facts_of(data, found)) out += "- **" + name + "**: " + markdown(value, 700) + "\n";
  out += "\n" + ranking(data, found) + tradeoffs(data, found) + budgets(data) + failures(found) + proposers(found);
  const auto notes = notes_that_matter(data, notes_max);
  if (!notes.empty()) out += "## What happened\n\n";
  for (const core::Note* note : notes)
    out += "- " + markdown(time_words(note->wall.ms())) + " " + markdown(note->kind, 40) + ": " +
           markdown(note->text, 600) + "\n";
  return out;
}

}  // namespace overnight::report
