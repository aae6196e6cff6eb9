// The whole page: verdict, figures, facts, and then section after section.
#include <fmt/format.h>

#include <cmath>

#include "orchestrator/report/budget_lines.h"
#include "orchestrator/report/charts.h"
#include "orchestrator/report/facts.h"
#include "orchestrator/report/style.h"
#include "orchestrator/report/tables.h"
#include "orchestrator/report/words.h"
#include "orchestrator/report/writers.h"

namespace overnight::report {
namespace {

// Nothing may be fetched or run, whatever got past the escapes.
constexpr const char* head = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
)";

struct Badge {
  const char *css_class, *words;
};

Badge badge_of(const core::Run& run) {
  if (!run.end) return run.live ? Badge{"info", "running"} : Badge{"warn", "not ended"};
  switch (run.end->kind) {
    case core::EndKind::done:
      return {"good", "done"};
    case core::EndKind::failed:
      return {"bad", "failed"};
    case core::EndKind::halted:
      return {"bad", "halted"};
    case core::EndKind::tripped:
      return {"bad", "tripped"};
    case core::EndKind::stopped:
      return {"warn", "stopped"};
    case core::EndKind::abandoned:
      return {"warn", "abandoned"};
  }
  return {"warn", "ended"};
}

Badge verdict_badge(VerdictKind kind) {
  switch (kind) {
    case VerdictKind::better:
      return {"good", "better than the baseline, confirmed"};
    case VerdictKind::tie:
      return {"info", "no difference shown"};
    case VerdictKind::worse:
      return {"warn", "not better than the baseline"};
    case VerdictKind::unconfirmed:
      return {"warn", "not confirmed"};
    case VerdictKind::no_baseline:
      return {"info", "confirmed, no baseline"};
    case VerdictKind::nothing:
    case VerdictKind::no_start:
      return {"bad", "no result"};
  }
  return {"warn", ""};
}

std::string card(std::string_view name, std::string_view value, std::string_view under) {
  return fmt::format(
      "<div class=\"card\"><p class=\"name\">{}</p><p class=\"value\">{}</p><p class=\"under\">{}</p></div>\n",
      html(name), html(value), html(under));
}

// The mean with as many digits as its error allows; the error stands below it.
std::string mean_words(const evals::Estimate& estimate) {
  return estimate.interval && estimate.interval->half_width() > 0
             ? number_words(estimate.mean, decimals_of(estimate.interval->half_width()))
             : number_words(estimate.mean);
}

std::string error_words(const evals::Estimate& estimate) {
  const std::string n = fmt::format("n = {}", estimate.n);
  if (!estimate.interval) return n;
  const double error = estimate.interval->half_width();
  return "± " + number_words(error, decimals_of(error)) + ", " + n;
}

std::string result_cards(const core::Run& run, const Findings& found) {
  const std::string metric = harmless(run.study.objective.metric, 40);
  std::string out;
  if (!found.ranked.empty()) {
    const Result& best = found.ranked.front();
    out += card("best " + metric, mean_words(best.estimate),
                best.confirmed() ? error_words(best.estimate) + ", confirmed" : "one score, not confirmed");
  }
  if (found.baseline)
    out += card("baseline " + metric, mean_words(found.baseline->estimate), error_words(found.baseline->estimate));
  if (found.verdict.gain) {
    const evals::Difference& gain = *found.verdict.gain;
    const double base = found.baseline->estimate.mean;
    out += card("gain", (gain.value > 0 ? "+" : "") + mean_words({gain.value, 1, gain.interval, gain.pooled}),
                base != 0 ? percent_words(std::abs(gain.value / base)) + " of the baseline" : "over the baseline");
  }
  return out;
}

std::string cards(const ReportData& data, const Findings& found) {
  const core::Run& run = data.run;
  const budgets::Cost used = run.ledger.settled() + run.ledger.overrun();
  std::int64_t failed = 0;
  for (const auto& [_, count] : run.counts.failed) failed += count;
  std::string out = result_cards(run, found);
  out += card("experiments", count_words(run.counts.admitted),
              failed == 0   ? "no trial failed"
              : failed == 1 ? "1 trial failed"
                            : count_words(failed) + " trials failed");
  out += card("time", duration_words(end_of(data) - run.started.ms()),
              duration_words(used.slot_time.count()) + " on slots");
  if (used.money.count() > 0 || used.tokens.count() > 0)
    out += card("LLM", money_words(used.money.count()), count_words(used.tokens.count()) + " tokens");
  return "<div class=\"cards\">\n" + out + "</div>\n";
}

// No line break between a number and what belongs to it.
std::string unbroken(std::string text) {
  for (const std::string_view sign : {" ± ", " %"}) {
    const std::string held = sign.size() > 2 ? "\u00a0±\u00a0" : "\u00a0%";
    for (std::size_t at = text.find(sign); at != std::string::npos; at = text.find(sign, at + held.size()))
      text.replace(at, sign.size(), held);
  }
  return text;
}

std::string header(const ReportData& data, const Findings& found) {
  const core::Run& run = data.run;
  const Badge state = badge_of(run), verdict = verdict_badge(found.verdict.kind);
  std::string out = "<header>\n";
  out += fmt::format("<p class=\"eyebrow\">overnight · {} · {}</p>\n", html(run.study.name, 100),
                     html(time_words(end_of(data))));
  out += fmt::format("<p><span class=\"badge {}\">{}</span> <span class=\"badge {}\">{}</span></p>\n", state.css_class,
                     state.words, verdict.css_class, verdict.words);
  out += fmt::format("<h1>{}</h1>\n", unbroken(html(found.verdict.headline, 900)));
  if (run.end && run.end->kind != core::EndKind::done)
    out += fmt::format("<p class=\"ending\">The run {}{}</p>\n",
                       run.end->kind == core::EndKind::failed || run.end->kind == core::EndKind::tripped ? "" : "was ",
                       html(ending_words(data), 600));
  if (!found.verdict.caveats.empty()) {
    out += "<ul class=\"caveats\">\n";
    for (const std::string& caveat : found.verdict.caveats) out += "<li>" + html(caveat, 600) + "</li>\n";
    out += "</ul>\n";
  }
  if (!found.verdict.log_tail.empty())
    out +=
        fmt::format("<h2>The end of its log</h2>\n<pre>{}</pre>\n", html_lines(last_lines(found.verdict.log_tail, 30)));
  return out + "</header>\n";
}

std::string section(const char* id, const char* title, const std::string& body) {
  if (body.empty()) return "";
  return fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n{}</section>\n", id, title, body);
}

std::string facts_list(const ReportData& data, const Findings& found) {
  std::string out = "<dl class=\"facts\">\n";
  for (const auto& [name, value] : facts_of(data, found))
    out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", html(name), html(value, 700));
  return out + "</dl>\n";
}

std::string reproduce(const ReportData& data) {
  const core::Run& run = data.run;
  std::string out = "<dl class=\"facts\">\n";
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) out += fmt::format("<div><dt>{}</dt><dd><code>{}</code></dd></div>\n", name, html(value, 300));
  };
  add("run again", fmt::format("overnight run STUDY.yaml --set seed={}", run.study.seed));
  add("all trials", fmt::format("overnight report {} --format csv --output trials.csv", run.id.text));
  add("verify", "overnight audit verify");
  add("home", data.home_uuid);
  add("journal", data.journal_head.empty()
                     ? ""
                     : fmt::format("{} entries, newest hash {}", data.journal_entries, data.journal_head));
  add("written", time_words(data.written.ms()) + (data.version.empty() ? "" : " by overnight " + data.version));
  out += "</dl>\n";
  const std::string study = study_words(run.study);
  out += fmt::format("<details><summary>The study as it ran (JSON)</summary><pre>{}</pre></details>\n",
                     html_lines(study, study_bytes_max));
  return out;
}

}  // namespace

std::string to_html(const ReportData& data, const Findings& found) {
  std::string out = head;
  out += fmt::format("<title>{}: {}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n",
                     html(data.run.study.name, 100), html(data.run.id.text, 100), style_sheet());
  out += header(data, found);
  out += cards(data, found);
  out += section("facts", "The run", facts_list(data, found));
  out += section("ranking", "Ranked results", ranking_table(data, found));
  out += section("tradeoffs", "What a better score costs", tradeoffs_chart(data, found) + tradeoffs_table(data, found));
  out += section("history", "Optimization history", history_chart(data, found));
  out += section("parameters", "What each parameter did", parameter_charts(data, found));
  out += section("slots", "What the slots did", slots_chart(data));
  out += section("budgets", "Budgets", budgets_chart(data));
  out += section("failures", "Failures by cause", failures_table(data, found));
  out += section("proposers", "Who proposed it", proposers_table(data, found));
  out += section("notes", "What happened", notes_table(data));
  out += section("reproduce", "How to reproduce and to check", reproduce(data));
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace overnight::report
