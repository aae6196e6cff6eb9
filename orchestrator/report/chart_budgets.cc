// Budget burn-down: what is left of each limited budget whose use can be placed in time, and a bar for each at the end.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "orchestrator/report/budget_lines.h"
#include "orchestrator/report/charts.h"
#include "orchestrator/report/words.h"

namespace overnight::report {
namespace {

constexpr double width = 960, left = 76, right = 830, top = 12, bottom = 232;
constexpr std::size_t steps_max = 80;  // a curve of more points is drawn without its stairs

// What was used up to a moment since the start, in order of time.
using Spending = std::vector<std::pair<std::int64_t, std::int64_t>>;  // (ms, total)

struct Curve {
  std::string name;
  Spending spent;
  std::int64_t granted = 0;
  std::int64_t used = 0;  // at the end
};

Spending summed(Spending steps) {
  std::sort(steps.begin(), steps.end());
  std::int64_t total = 0;
  for (auto& [_, amount] : steps) amount = total += amount;
  return steps;
}

Spending slot_time_of(const ReportData& data, std::int64_t gpus) {
  Spending steps;
  for (const core::AttemptRecord& attempt : data.attempts)
    steps.emplace_back((attempt.gone - data.run.started).count(), attempt.took.count() * gpus);
  return summed(std::move(steps));
}

Spending experiments_of(const ReportData& data) {
  Spending steps;
  for (const core::ExperimentRecord& record : data.experiments) {
    if (record.purpose != core::Purpose::baseline && record.purpose != core::Purpose::canary)
      steps.emplace_back((record.admitted - data.run.started).count(), 1);
  }
  return summed(std::move(steps));
}

// Only what can be told of time from the records: the use of money, tokens and disk has no times of its own here.
std::vector<Curve> curves_of(const ReportData& data, std::int64_t length) {
  std::vector<Curve> curves;
  for (const BudgetLine& line : budget_lines(data.run)) {
    if (!line.limited || line.granted <= 0) continue;
    Curve curve{line.name, {}, line.granted, line.used()};
    if (line.name == "slot_time") curve.spent = slot_time_of(data, 1);
    if (line.name == "gpu_time") curve.spent = slot_time_of(data, data.run.study.task.gpus);
    if (line.name == "experiments") curve.spent = experiments_of(data);
    // The wall runs evenly, unless the run was interrupted and resumed.
    const bool uninterrupted = std::abs(length - line.used()) < length / 50 + 3000;
    if (line.name == "wall" && uninterrupted) curve.spent = {{0, 0}, {length, line.used()}};
    if (curve.spent.empty()) continue;
    // Limits on how the records account for it (an attempt of unknown length is settled whole) are kept true at the
    // end.
    curve.spent.emplace_back(length, std::max(curve.spent.back().second, line.used()));
    curves.push_back(std::move(curve));
  }
  return curves;
}

PathData path_of(const Curve& curve, const Axis& x, const Axis& y, bool steps) {
  PathData path;
  const auto share = [&](std::int64_t used) {
    return y.at(100 * std::max(0.0, 1 - static_cast<double>(used) / static_cast<double>(curve.granted)));
  };
  path.move(x.at(0), share(0));
  const double closest = (right - left) / static_cast<double>(curve_points);
  double drawn_x = x.at(0);
  for (std::size_t i = 0; i < curve.spent.size(); ++i) {
    const double at = std::clamp(x.at(static_cast<double>(curve.spent[i].first)), left, right);
    if (at - drawn_x < closest && i + 1 < curve.spent.size()) continue;
    if (steps) path.across(at);
    path.to(at, share(curve.spent[i].second));
    drawn_x = at;
  }
  return path;
}

// Labels at the right end, moved apart so that none covers another.
void draw_labels(Svg& svg, std::vector<std::pair<double, std::string>> labels) {
  std::sort(labels.begin(), labels.end());
  double last = top - 10;
  for (auto& [y, words] : labels) {
    y = std::max(y, last + 15);
    last = y;
    svg.text(right + 8, y + 4, words, "start", "note");
  }
}

std::string burn_down(const ReportData& data) {
  const std::int64_t length = end_of(data) - data.run.started.ms();
  const std::vector<Curve> curves = curves_of(data, length);
  if (curves.empty()) return "";
  const Axis x = Axis::elapsed(length, left, right), y = Axis::linear(0, 100, bottom, top, 4);
  Svg svg(width, bottom + 44, "Budget burn-down",
          fmt::format("The share of each limited budget that was left, over {}.", duration_words(length)));
  svg.left_axis(y, left, right, "left of the budget (%)", (top + bottom) / 2);
  svg.bottom_axis(x, bottom, top, "time since the start of the run", (left + right) / 2);
  std::vector<std::pair<double, std::string>> labels;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const PathData path = path_of(curves[i], x, y, curves[i].name != "wall" && curves[i].spent.size() <= steps_max);
    svg.path(path.data(), fmt::format("curve s{} dash{}", i % 6, i % 4), curves[i].name);
    const double left_share =
        std::max(0.0, 1 - static_cast<double>(curves[i].used) / static_cast<double>(curves[i].granted));
    labels.emplace_back(y.at(100 * left_share), curves[i].name + " " + percent_words(left_share));
  }
  draw_labels(svg, std::move(labels));
  return figure(svg.take(), "",
                "What was left of each limited budget whose use can be placed in time; the table has all of them.");
}

std::string bar(const BudgetLine& line) {
  const double all = std::max(1.0, static_cast<double>(std::max(line.granted, line.used() + line.reserved)));
  const double used = 100 * static_cast<double>(line.used()) / all,
               reserved = 100 * static_cast<double>(line.reserved) / all;
  return fmt::format(
      "<svg class=\"meter\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{0} of 100 "
      "used\">"
      "<rect width=\"100\" height=\"8\" class=\"track\"/><rect width=\"{1}\" height=\"8\" class=\"used\"/>"
      "<rect x=\"{1}\" width=\"{2}\" height=\"8\" class=\"reserved\"/></svg>",
      std::lround(used), coordinate(used), coordinate(reserved));
}

}  // namespace

std::string budgets_chart(const ReportData& data) {
  const std::vector<BudgetLine> lines = budget_lines(data.run);
  if (lines.empty()) return "";
  std::string rows;
  for (const BudgetLine& line : lines) {
    const bool overdrawn = line.overrun > 0;
    rows += fmt::format(
        "<tr><th scope=\"row\">{}</th><td class=\"bar-cell\">{}</td><td class=\"num\">{}{}</td><td "
        "class=\"num\">{}</td>"
        "<td class=\"num\">{}</td><td class=\"num\">{}</td></tr>\n",
        line.name, line.limited ? bar(line) : "", amount_words(line.used(), line.unit),
        overdrawn ? fmt::format(" <span class=\"bad\">({} overrun)</span>", amount_words(line.overrun, line.unit)) : "",
        line.reserved > 0 ? amount_words(line.reserved, line.unit) : "–",
        line.limited ? amount_words(line.left(), line.unit) : "–",
        line.limited ? amount_words(line.granted, line.unit) : "no limit");
  }
  return burn_down(data) +
         "<div class=\"wide\"><table><thead><tr><th scope=\"col\">budget</th><th scope=\"col\"><span "
         "class=\"sr\">share</span></th>"
         "<th scope=\"col\" class=\"num\">used</th><th scope=\"col\" class=\"num\">reserved</th>"
         "<th scope=\"col\" class=\"num\">left</th><th scope=\"col\" class=\"num\">granted</th></tr></thead><tbody>\n" +
         rows + "</tbody></table></div>\n";
}

}  // namespace overnight::report
