// What each parameter did to the score: one small panel per parameter, each experiment a dot.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "orchestrator/report/charts.h"
#include "orchestrator/report/words.h"

namespace overnight::report {
namespace {

constexpr double width = 320, height = 226, left = 62, right = 308, top = 12, bottom = 168, failed_y = 180,
                 axis_y = 188;
constexpr std::size_t labels_max = 8;       // of a choice
constexpr std::int64_t in_the_middle = -1;  // in place of an experiment: no spread

// Where a value stands on the horizontal axis; none: the parameter is not active there, or is no value of it.
class Scale {
 public:
  explicit Scale(const core::Dimension& dimension) : dimension_(dimension) {
    if (const auto* range = std::get_if<core::FloatRange>(&dimension.domain)) {
      make(range->low, range->high, range->scale);
    } else if (const auto* whole = std::get_if<core::IntRange>(&dimension.domain)) {
      make(static_cast<double>(whole->low), static_cast<double>(whole->high), whole->scale);
    }
  }

  std::optional<double> at(const core::Params& params, std::int64_t experiment) const {
    const auto found = params.find(dimension_.name);
    if (found == params.end()) return std::nullopt;
    if (const auto* choice = std::get_if<core::Choice>(&dimension_.domain)) {
      const auto value = std::find(choice->values.begin(), choice->values.end(), found->second);
      if (value == choice->values.end()) return std::nullopt;
      const double pitch = (right - left) / static_cast<double>(choice->values.size());
      const double middle = left + pitch * (static_cast<double>(value - choice->values.begin()) + 0.5);
      if (experiment == in_the_middle) return middle;
      // Dots of one value are spread, always the same way, so that they can be told apart.
      const double spread =
          static_cast<double>(static_cast<std::uint64_t>(experiment) * 2654435761u % 1000) / 1000 - 0.5;
      return middle + pitch * spread * 0.5;
    }
    const double* number = std::get_if<double>(&found->second);
    const auto* whole = std::get_if<std::int64_t>(&found->second);
    if (number == nullptr && whole == nullptr) return std::nullopt;
    return std::clamp(axis_.at(number != nullptr ? *number : static_cast<double>(*whole)), left, right);
  }

  void draw(Svg& svg) const {
    const auto* choice = std::get_if<core::Choice>(&dimension_.domain);
    if (choice == nullptr) {
      svg.bottom_axis(axis_, axis_y, top, "", 0);
      return;
    }
    const double pitch = (right - left) / static_cast<double>(choice->values.size());
    const std::size_t every = (choice->values.size() + labels_max - 1) / labels_max;
    const auto room = static_cast<std::size_t>(pitch * static_cast<double>(every) / 6.5);
    for (std::size_t i = 0; i < choice->values.size(); i += every) {
      const double x = left + pitch * (static_cast<double>(i) + 0.5);
      svg.line(x, top, x, axis_y, "grid");
      svg.text(x, axis_y + 16, harmless(core::text_of(choice->values[i]), std::max<std::size_t>(3, room)), "middle");
    }
  }

 private:
  void make(double low, double high, core::Scale scale) {
    axis_ = scale == core::Scale::log && low > 0 ? Axis::logarithmic(low, high, left, right)
                                                 : Axis::linear(low, high, left, right, 4);
  }

  const core::Dimension& dimension_;
  Axis axis_;
};

void draw_dots(const ReportData& data, const Findings& found, const Scale& scale, const Axis& y, Svg& svg) {
  Pixels taken, crossed;
  PathData dots, crosses, confirmed;
  const auto inside = [&](double score) { return y.at(std::clamp(score, y.low(), y.high())); };
  for (const Result& result : found.ranked) {
    const auto x = scale.at(result.record->params, core::number(result.record->experiment));
    if (!x) continue;
    const double at = inside(result.judged().mean);
    if (result.confirmed()) {
      confirmed.diamond(*x, at, 4.5);
    } else if (taken.is_new(*x, at)) {
      dots.dot(*x, at);
    }
  }
  for (const core::ExperimentRecord& record : data.experiments) {
    if (record.status != "failed") continue;
    const auto x = scale.at(record.params, core::number(record.experiment));
    if (x && crossed.is_new(*x, 0)) crosses.cross(*x, failed_y, 2.5);
  }
  if (found.baseline) {
    if (const auto x = scale.at(found.baseline->record->params, in_the_middle))
      svg.line(*x, top, *x, bottom, "baseline");
    const double at = inside(found.baseline->estimate.mean);
    svg.line(left, at, right, at, "baseline");
  }
  svg.path(dots.data(), "dots small s0");
  svg.path(crosses.data(), "failed");
  svg.path(confirmed.data(), "diamond filled");
}

}  // namespace

std::string parameter_charts(const ReportData& data, const Findings& found) {
  const core::Run& run = data.run;
  if (run.study.space.dimensions.empty() || found.ranked.empty()) return "";
  const ScoreRange range = score_range(data, found);
  const Axis y = score_axis(range, bottom, top, 4);
  std::string panels;
  std::size_t drawn = 0;
  for (const core::Dimension& dimension : run.study.space.dimensions) {
    if (++drawn > panels_max) break;
    const std::string name = harmless(dimension.name, 40);
    Svg svg(width, height, name + " against " + harmless(run.study.objective.metric, 40),
            fmt::format("Each dot is one experiment: across {}, up {}.", name, score_label(run)));
    const Scale scale(dimension);
    svg.left_axis(y, left, right, "", 0);
    scale.draw(svg);
    draw_dots(data, found, scale, y, svg);
    svg.text((left + right) / 2, height - 6, name, "middle", "label");
    panels += "<div>" + svg.take() + "</div>\n";
  }
  std::string caption = "Up: " + score_label(run) + ". Each dot is the single score of one experiment of the search";
  if (found.confirmed > 0) caption += ", each diamond the mean of a confirmation";
  caption += ".";
  if (range.beyond > 0) caption += " Scores beyond the axis are drawn at its edge.";
  if (run.study.space.dimensions.size() > panels_max)
    caption += fmt::format(" The first {} of {} parameters.", panels_max, run.study.space.dimensions.size());
  const bool failed = std::any_of(data.experiments.begin(), data.experiments.end(),
                                  [](const core::ExperimentRecord& record) { return record.status == "failed"; });
  const std::string legend =
      legend_entry("<circle cx=\"11\" cy=\"6\" r=\"3\" class=\"f0\"/>", "search") +
      (found.confirmed > 0 ? legend_entry("<path d=\"M11 1L16 6L11 11L6 6Z\" class=\"diamond filled\"/>", "confirmed")
                           : "") +
      (failed ? legend_entry("<path d=\"M7 2L15 10M7 10L15 2\" class=\"failed\"/>", "failed") : "") +
      (found.baseline ? legend_entry("<path d=\"M1 6H21\" class=\"baseline\"/>", "baseline") : "");
  return "<figure>\n<div class=\"panels\">\n" + panels + "</div>\n<ul class=\"legend\">" + legend +
         "</ul>\n<figcaption>" + html(caption, 1500) + "</figcaption>\n</figure>\n";
}

}  // namespace overnight::report
