#include "orchestrator/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "orchestrator/report/words.h"

namespace overnight::report {

int colour_of(const core::Run& run, const std::string& proposer) {
  for (std::size_t i = 0; i < run.study.proposers.size(); ++i) {
    if (run.study.proposers[i].name == proposer) return static_cast<int>(i % 6);
  }
  return -1;
}

ScoreRange score_range(const ReportData& data, const Findings& found) {
  const core::Run& run = data.run;
  std::vector<double> losses;
  for (const core::TrialRecord& trial : data.trials) {
    if (trial.score && trial.purpose != core::Purpose::canary) losses.push_back(run.loss(*trial.score));
  }
  if (losses.empty()) return {};
  std::sort(losses.begin(), losses.end());
  const double best = losses.front(), worst = losses.back();
  double bound = losses[(losses.size() - 1) * 4 / 5];
  const auto include = [&](double score) { bound = std::max(bound, run.loss(score)); };
  if (found.baseline) {
    include(found.baseline->estimate.mean);
    if (const auto& interval = found.baseline->estimate.interval) {
      const double width = interval->high - interval->low;
      if (width < 2 * (bound - best)) include(interval->low), include(interval->high);
    }
  }
  if (worst <= best + 1.4 * (bound - best) || losses.size() < 4) bound = std::max(bound, worst);
  ScoreRange range;
  range.low = run.minimizes() ? best : -bound;
  range.high = run.minimizes() ? bound : -best;
  range.logarithmic = range.low > 0 && range.high / range.low > 30;
  if (!range.logarithmic) {
    const double room = (range.high - range.low) * 0.06;
    range.low -= room, range.high += room;
  } else {
    range.low /= 1.15, range.high *= 1.15;
  }
  for (const double loss : losses) {
    const double score = run.minimizes() ? loss : -loss;
    if (range.high > range.low && (score < range.low || score > range.high)) ++range.beyond;
  }
  return range;
}

Axis score_axis(const ScoreRange& range, double from, double to, int ticks) {
  return range.logarithmic ? Axis::logarithmic(range.low, range.high, from, to)
                           : Axis::linear(range.low, range.high, from, to, ticks);
}

std::string score_label(const core::Run& run) {
  return harmless(run.study.objective.metric, 40) + (run.minimizes() ? " (lower is better)" : " (higher is better)");
}

std::int64_t end_of(const ReportData& data) {
  std::int64_t end = data.run.end ? data.run.end->wall.ms() : data.written.ms();
  for (const core::AttemptRecord& attempt : data.attempts) end = std::max(end, attempt.gone.ms());
  return std::max(end, data.run.started.ms() + 1);
}

std::string figure(std::string svg, const std::string& legend_html, std::string_view caption) {
  std::string out = "<figure>\n<div class=\"wide\">" + std::move(svg) + "</div>\n";
  if (!legend_html.empty()) out += "<ul class=\"legend\">" + legend_html + "</ul>\n";
  if (!caption.empty()) out += "<figcaption>" + html(caption, 1500) + "</figcaption>\n";
  return out + "</figure>\n";
}

std::string legend_entry(std::string_view mark, std::string_view words) {
  return fmt::format("<li><svg viewBox=\"0 0 22 12\" aria-hidden=\"true\">{}</svg>{}</li>\n", mark, html(words, 100));
}

}  // namespace overnight::report
