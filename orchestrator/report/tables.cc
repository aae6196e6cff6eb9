#include "orchestrator/report/tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "orchestrator/report/charts.h"
#include "orchestrator/report/facts.h"
#include "orchestrator/report/tradeoffs.h"
#include "orchestrator/report/words.h"
#include "orchestrator/report/writers.h"

namespace overnight::report {
namespace {

std::string th(std::string_view words, bool numeric = false) {
  return fmt::format("<th scope=\"col\"{}>{}</th>", numeric ? " class=\"num\"" : "", words);
}

std::string num(const std::string& escaped_words) { return "<td class=\"num\">" + escaped_words + "</td>"; }

// The parameters, those in bold that the baseline has otherwise.
std::string params_cell(const core::Run& run, const Result& result) {
  std::string out;
  for (const auto& [name, value] : result.record->params) {
    const auto base = run.study.baseline.find(name);
    const bool same = base != run.study.baseline.end() && core::text_of(base->second) == core::text_of(value);
    const double* number = std::get_if<double>(&value);
    const std::string words = number != nullptr ? fmt::format("{:.4g}", *number) : core::text_of(value);
    out += fmt::format("<span class=\"param\">{}\u00a0{}{}{}</span> ", html(name, 60), same ? "" : "<b>",
                       html(words, 80), same ? "" : "</b>");
  }
  if (!result.record->hypothesis.empty() && result.record->purpose != core::Purpose::baseline)
    out += fmt::format("<span class=\"hypothesis\">{}</span>", html(result.record->hypothesis, 200));
  return out;
}

std::string seeds_cell(const Result& result) {
  std::string out;
  for (std::size_t i = 0; i < result.seeds.size() && i < 4; ++i)
    out += (i > 0 ? " " : "") + std::to_string(result.seeds[i]);
  if (result.seeds.size() > 4) out += fmt::format(" +{}", result.seeds.size() - 4);
  return out;
}

std::string gain_cell(const Result& result) {
  if (!result.gain) return "–";
  const evals::Difference& gain = *result.gain;
  const std::string sign = gain.value > 0 ? "+" : "";
  if (!gain.interval || !result.confirmed())
    return sign + (gain.interval ? number_words(gain.value, decimals_of(gain.interval->half_width()))
                                 : number_words(gain.value));
  return sign + estimate_words({gain.value, 1, gain.interval, gain.pooled});
}

std::string cost_cell(const core::Run& run, const Result& result) {
  std::string out = duration_words(result.used.slot_time.count());
  if (run.study.task.gpus > 0) out += "<br><span class=\"dim\">" + energy_words(result.energy) + "</span>";
  const LlmShare share = llm_share(run, result.record->proposer);
  if (share.microusd > 0 || share.tokens > 0)
    out += fmt::format("<br><span class=\"dim\">{}, {} tokens</span>",
                       money_words(static_cast<std::int64_t>(share.microusd)),
                       count_words(static_cast<std::int64_t>(share.tokens)));
  return out;
}

std::string throttled_span(const Throttled& throttled) {
  std::string why = fmt::format("a GPU was slowed in {} of {} measurements", throttled.yes, throttled.all);
  for (const std::string& reason : throttled.by) why += (reason == *throttled.by.begin() ? ": " : ", ") + reason;
  if (throttled.yes > 0) return "<span title=\"" + html(why) + "\">‡</span>";
  return throttled.unknown > 0 ? "<span title=\"whether a GPU was slowed is not known\">‡?</span>" : "";
}

std::string result_row(const core::Run& run, const Result& result, const std::string& rank, const char* css_class) {
  std::string score = html(estimate_words(result.estimate));
  if (result.self_reported) score += "<span title=\"self-reported by the training process\">†</span>";
  score += throttled_span(result.throttled);
  if (result.estimate.pooled) score += "<span class=\"dim\" title=\"interval from the pooled noise\">\u00a0p</span>";
  const bool baseline = result.record->purpose == core::Purpose::baseline;
  const int colour = colour_of(run, result.record->proposer);
  return fmt::format(
      "<tr class=\"{}\"><td class=\"num rank\">{}</td><th scope=\"row\" class=\"num\">#{}</th>{}{}{}<td "
      "class=\"params\">{}</td><td class=\"who\"><i class=\"swatch b{}\"></i>{}</td><td class=\"num "
      "seeds\">{}</td>{}</tr>\n",
      css_class, rank, core::number(result.record->experiment), num(score), num(std::to_string(result.estimate.n)),
      num(baseline ? "–" : gain_cell(result)), params_cell(run, result), colour < 0 ? "b" : std::to_string(colour),
      html(result.record->proposer, 60), seeds_cell(result), num(cost_cell(run, result)));
}

std::string group_row(const std::string& words) {
  return fmt::format("<tr class=\"group\"><th colspan=\"9\" scope=\"colgroup\">{}</th></tr>\n", html(words));
}

std::string ranking_of(const core::Run& run, const std::string& rows) {
  return "<div class=\"wide\"><table class=\"ranking\">\n<thead><tr>" + th("rank", true) + th("exp.", true) +
         th(html(run.study.objective.metric, 40), true) + th("n", true) + th("gain", true) + th("parameters") +
         th("proposer") + th("seeds", true) + th(run.study.task.gpus > 0 ? "spent" : "slot time, LLM", true) +
         "</tr></thead>\n<tbody>\n" + rows + "</tbody>\n</table></div>\n";
}

std::string ranking_caption(const Findings& found, std::size_t shown) {
  std::string caption = "± is the half width of a 95 % interval, each by itself";
  if (std::any_of(found.ranked.begin(), found.ranked.end(), [](const Result& r) { return r.estimate.pooled; }))
    caption += "; p: it borrows the noise of the experiments that were repeated";
  caption +=
      ". Gain is over the baseline, positive is better. “2=” is a tie with the best of its group: within the noise, or "
      "below the minimum effect. Bold parameters differ from the baseline.";
  const bool llm = std::any_of(found.credits.begin(), found.credits.end(),
                               [](const Credit& credit) { return credit.book.used.tokens.count() > 0; });
  if (llm) caption += " The LLM's part is its proposer's cost, spread evenly over what was admitted of it.";
  if (shown < found.ranked.size())
    caption += fmt::format(" {} more results are in the CSV and JSON forms.",
                           count_words(static_cast<std::int64_t>(found.ranked.size() - shown)));
  return caption;
}

// A long name may go on in the next line behind each of its words.
std::string breakable(std::string escaped) {
  for (std::size_t at = escaped.find('_'); at != std::string::npos; at = escaped.find('_', at + 6))
    escaped.insert(at + 1, "<wbr>");
  return escaped;
}

std::string tradeoffs_caption(const Tradeoffs& tradeoffs, std::size_t best) {
  std::string caption =
      fmt::format("{} of {} results are beaten by none in everything (costs to two significant digits)", best,
                  tradeoffs.points.size());
  if (best > rows_max) caption += fmt::format("; the first {} stand here", rows_max);
  if (tradeoffs.incomplete > 0)
    caption += fmt::format("; {} lack one of the numbers and are left out", tradeoffs.incomplete);
  return caption + ".";
}

}  // namespace

std::string ranking_table(const ReportData& data, const Findings& found) {
  if (found.ranked.empty() && !found.baseline) return "";
  const core::Run& run = data.run;
  std::string rows;
  if (found.confirmed > 0) rows += group_row("Confirmed: judged by scores on fresh seeds alone");
  for (std::size_t i = 0; i < found.confirmed; ++i)
    rows += result_row(run, found.ranked[i], rank_words(found.ranked[i].place), i == 0 ? "first" : "");
  if (found.baseline) rows += result_row(run, *found.baseline, "–", "reference");
  if (found.confirmed < found.ranked.size())
    rows += group_row("Search only: single scores that stand here because they are good, so too good on average");
  const std::size_t end = std::min(found.ranked.size(), found.confirmed + rows_max);
  const std::size_t open_end = std::min(end, found.confirmed + rows_open_max);
  for (std::size_t i = found.confirmed; i < open_end; ++i)
    rows += result_row(run, found.ranked[i], rank_words(found.ranked[i].place), "");
  std::string more;
  for (std::size_t i = open_end; i < end; ++i)
    more += result_row(run, found.ranked[i], rank_words(found.ranked[i].place), "");
  if (!more.empty())
    more = fmt::format("<details><summary>{} more of the search</summary>{}</details>\n", end - open_end,
                       ranking_of(run, more));
  return ranking_of(run, rows) + more + "<p class=\"caption\">" + html(ranking_caption(found, end), 1500) + "</p>\n";
}

std::string tradeoffs_table(const ReportData& data, const Findings& found) {
  const Tradeoffs tradeoffs = tradeoffs_of(data, found);
  if (tradeoffs.metrics.empty()) return "";
  std::string rows;
  std::size_t best = 0;
  for (const Weighed& point : tradeoffs.points) {
    if (!point.best || ++best > rows_max) continue;
    const Result& result = *point.result;
    rows += fmt::format("<tr><th scope=\"row\" class=\"num\">#{}</th>", core::number(result.record->experiment)) +
            num(html(estimate_words(result.estimate)));
    for (std::size_t i = 0; i < point.costs.size(); ++i)
      rows += num(html(cost_words(tradeoffs.metrics[i], point.costs[i])));
    rows += fmt::format("<td class=\"who\">{}</td><td class=\"params\">{}</td></tr>\n",
                        result.confirmed()                                  ? "confirmed"
                        : result.record->purpose == core::Purpose::baseline ? "baseline"
                                                                            : "search only",
                        params_cell(data.run, result));
  }
  if (rows.empty()) return "<p class=\"caption\">" + html(tradeoffs_caption(tradeoffs, best)) + "</p>\n";
  std::string columns = th("exp.", true) + th(html(data.run.study.objective.metric, 40), true);
  for (const std::string& metric : tradeoffs.metrics) columns += th(breakable(html(metric, 64)), true);
  return "<div class=\"wide\"><table><thead><tr>" + columns + th("status") + th("parameters") +
         "</tr></thead>\n<tbody>\n" + rows + "</tbody></table></div>\n<p class=\"caption\">" +
         html(tradeoffs_caption(tradeoffs, best)) + "</p>\n";
}

std::string failures_table(const ReportData&, const Findings& found) {
  if (found.failures.empty()) return "";
  std::string rows;
  for (const Failure& failure : found.failures) {
    std::string example = html(failure.example->detail, 300);
    if (!failure.example->log_tail.empty())
      example += fmt::format("<details><summary>log of experiment #{}, its end</summary><pre>{}</pre></details>",
                             core::number(failure.example->experiment),
                             html_lines(last_lines(failure.example->log_tail, 12), 2000));
    rows += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td>{}{}<td>{}</td></tr>\n",
                        workers::name_of(failure.cause), workers::name_of(failure.phase),
                        num(count_words(failure.attempts)), num(duration_words(failure.lost_ms)), example);
  }
  return "<div class=\"wide\"><table><thead><tr>" + th("cause") + th("phase") + th("attempts", true) +
         th("slot time lost", true) + th("for example") + "</tr></thead><tbody>\n" + rows + "</tbody></table></div>\n";
}

std::string proposers_table(const ReportData& data, const Findings& found) {
  if (found.credits.empty()) return "";
  std::string rows;
  for (const Credit& credit : found.credits) {
    const core::ProposerBook& book = credit.book;
    const int colour = colour_of(data.run, credit.proposer);
    std::string best = "–";
    if (credit.best) {
      const Result& result = found.ranked[*credit.best];
      best = fmt::format("{} <span class=\"dim\">#{}, rank {}</span>", html(estimate_words(result.estimate)),
                         core::number(result.record->experiment), rank_words(result.place));
    }
    rows += fmt::format("<tr><th scope=\"row\"><i class=\"swatch b{}\"></i>{}</th>",
                        colour < 0 ? "b" : std::to_string(colour), html(credit.proposer, 60));
    for (const std::int64_t count : {book.asks, book.offered, book.admitted, book.duplicates, book.refused,
                                     book.failures, credit.scored, credit.failed})
      rows += num(count_words(count));
    rows += num(duration_words(credit.slot_time.count())) + num(money_words(book.used.money.count())) +
            num(count_words(book.used.tokens.count())) + "<td>" + best + "</td></tr>\n";
  }
  return "<div class=\"wide\"><table><thead><tr>" + th("proposer") + th("asked", true) + th("offered", true) +
         th("admitted", true) + th("duplicates", true) + th("refused", true) + th("failed asks", true) +
         th("scored", true) + th("failed", true) + th("slot time", true) + th("LLM cost", true) + th("tokens", true) +
         th("best") + "</tr></thead><tbody>\n" + rows + "</tbody></table></div>\n";
}

std::string notes_table(const ReportData& data) {
  const auto notes = notes_that_matter(data, notes_max);
  if (notes.empty()) return "";
  std::string rows;
  for (const core::Note* note : notes)
    rows += fmt::format("<tr><td class=\"num\">{}</td><td>{}</td><td>{}</td></tr>\n", html(time_words(note->wall.ms())),
                        html(note->kind, 40), html(note->text, 600));
  return "<div class=\"wide\"><table class=\"notes\"><thead><tr>" + th("when", true) + th("what") + th("why") +
         "</tr></thead><tbody>\n" + rows + "</tbody></table></div>\n";
}

}  // namespace overnight::report
