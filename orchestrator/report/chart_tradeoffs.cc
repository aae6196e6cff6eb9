// The score against each trade-off: a small panel per trade-off, each result a dot, what nothing beats drawn in full.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "orchestrator/report/charts.h"
#include "orchestrator/report/tradeoffs.h"
#include "orchestrator/report/words.h"

namespace overnight::report {
namespace {

constexpr double width = 460, height = 300, left = 62, right = 446, top = 14, bottom = 236, axis_y = 244;
constexpr std::size_t names_max = 16;    // of results, beside their dots
constexpr double logarithmic_from = 20;  // largest over smallest

Axis cost_axis(const Tradeoffs& tradeoffs, std::size_t which) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const Weighed& point : tradeoffs.points) {
    if (!std::isfinite(point.costs[which])) continue;
    low = std::min(low, point.costs[which]), high = std::max(high, point.costs[which]);
  }
  if (low > 0 && high / low > logarithmic_from) return Axis::logarithmic(low / 1.2, high * 1.2, left, right);
  const double room = std::max((high - low) * 0.06, std::abs(high) * 0.02);
  return Axis::linear(low - room, high + room, left, right, 4);
}

// The steps of those that are the best of this panel's two numbers alone.
void draw_steps(const Tradeoffs& tradeoffs, std::size_t which, const Axis& x, const Axis& y, Svg& svg) {
  std::vector<const Weighed*> points;
  for (const Weighed& point : tradeoffs.points) {
    if (point.complete()) points.push_back(&point);
  }
  const std::size_t cost = which + 1;
  std::sort(points.begin(), points.end(), [&](const Weighed* a, const Weighed* b) {
    return std::pair(a->losses[cost], a->losses[0]) < std::pair(b->losses[cost], b->losses[0]);
  });
  PathData path;
  double best = std::numeric_limits<double>::infinity();
  for (const Weighed* point : points) {
    if (point->losses[0] >= best) continue;
    best = point->losses[0];
    const double to_right = x.at(point->costs[which]),
                 up = y.at(std::clamp(point->result->judged().mean, y.low(), y.high()));
    if (path.empty()) {
      path.move(to_right, up);
    } else {
      path.across(to_right);
      path.down(up);
    }
  }
  svg.path(path.data(), "best");
}

void draw_points(const Tradeoffs& tradeoffs, std::size_t which, const Axis& x, const Axis& y, Svg& svg) {
  PathData others;
  Pixels taken;
  std::vector<std::pair<double, double>> names;  // where they stand
  for (const Weighed& point : tradeoffs.points) {
    if (!point.complete()) continue;
    const Result& result = *point.result;
    const double to_right = x.at(point.costs[which]);
    const double up = y.at(std::clamp(result.judged().mean, y.low(), y.high()));
    const bool baseline = result.record->purpose == core::Purpose::baseline;
    if (!point.best && !baseline) {
      if (taken.is_new(to_right * 2, up * 2)) others.dot(to_right, up);
      continue;
    }
    const std::string name = fmt::format("#{}", core::number(result.record->experiment));
    svg.dot(to_right, up, 3.6, baseline ? "dot fb" : "dot f0",
            fmt::format("experiment {}: {}, {}", name, number_words(result.judged().mean),
                        cost_words(tradeoffs.metrics[which], point.costs[which])));
    const double name_x = std::min(to_right + 6, right - 22), name_y = up - 5;
    const bool covered = std::any_of(names.begin(), names.end(), [&](const auto& other) {
      return std::abs(other.first - name_x) < 26 && std::abs(other.second - name_y) < 11;
    });
    if (!point.best || covered || names.size() >= names_max) continue;
    svg.text(name_x, name_y, name, "start", "note");
    names.emplace_back(name_x, name_y);
  }
  svg.path(others.data(), "dots small s0");
}

}  // namespace

std::string tradeoffs_chart(const ReportData& data, const Findings& found) {
  const Tradeoffs tradeoffs = tradeoffs_of(data, found);
  if (tradeoffs.incomplete == tradeoffs.points.size()) return "";
  const Axis y = score_axis(score_range(data, found), bottom, top, 4);
  std::string panels;
  for (std::size_t i = 0; i < tradeoffs.metrics.size(); ++i) {
    const bool less = tradeoffs.directions[i] == core::Direction::minimize;
    const std::string name = harmless(tradeoffs.metrics[i], 40);
    Svg svg(width, height, score_label(data.run) + " against " + name,
            fmt::format("Each dot is one experiment: across {}, up {}.", name, score_label(data.run)));
    const Axis x = cost_axis(tradeoffs, i);
    svg.left_axis(y, left, right, "", 0);
    svg.bottom_axis(x, axis_y, top, "", 0);
    draw_steps(tradeoffs, i, x, y, svg);
    draw_points(tradeoffs, i, x, y, svg);
    svg.text((left + right) / 2, height - 8, name + (less ? " (lower is better)" : " (higher is better)"), "middle",
             "label");
    panels += "<div>" + svg.take() + "</div>\n";
  }
  const std::string caption =
      "Up: " + score_label(data.run) +
      ". In full colour what no other beats in all of these together; the line joins what is best of the two numbers "
      "of its picture. Means over the trials by which a result is judged; costs are compared to two significant "
      "digits.";
  const std::string legend =
      legend_entry("<circle cx=\"11\" cy=\"6\" r=\"3.6\" class=\"f0\"/>", "not beaten in everything") +
      legend_entry("<path d=\"M11 6h0\" class=\"dots small s0\"/>", "beaten") +
      (found.baseline ? legend_entry("<circle cx=\"11\" cy=\"6\" r=\"3.6\" class=\"fb\"/>", "baseline") : "");
  return "<figure>\n<div class=\"panels pairs\">\n" + panels + "</div>\n<ul class=\"legend\">" + legend +
         "</ul>\n<figcaption>" + html(caption, 1500) + "</figcaption>\n</figure>\n";
}

}  // namespace overnight::report
