// The pictures of a report: inline SVG in a <figure> with a caption. Pure. Each returns an empty text when there is
// nothing to draw, and stays small whatever the number of trials (limits below; the caption says what was left out).
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <utility>

#include "orchestrator/report/axis.h"
#include "orchestrator/report/findings.h"
#include "orchestrator/report/svg.h"

namespace overnight::report {

inline constexpr std::size_t hints_max = 1200;  // marks with a hint of their own; beyond it they are merged into paths
inline constexpr std::size_t lanes_max = 48;    // slots of the timeline
inline constexpr std::size_t panels_max = 16;   // parameters
inline constexpr std::size_t curve_points = 400;  // of a curve: more than a screen shows

std::string history_chart(const ReportData& data, const Findings& found);
std::string slots_chart(const ReportData& data);
std::string budgets_chart(const ReportData& data);
std::string parameter_charts(const ReportData& data, const Findings& found);
std::string tradeoffs_chart(const ReportData& data, const Findings& found);

// ---- shared by them ----

// The colour of a proposer: 0 to 5 in the order of the study, then again; -1: baseline or none of the study's.
int colour_of(const core::Run& run, const std::string& proposer);

// The scores that a chart shows. Bad outliers are cut off, or they would press all others into a line.
struct ScoreRange {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::size_t beyond = 0;  // scores outside; drawn at the edge
};
ScoreRange score_range(const ReportData& data, const Findings& found);
Axis score_axis(const ScoreRange& range, double from, double to, int ticks);
std::string score_label(const core::Run& run);  // "val_bpb (lower is better)"

// When the run was over; for one that is not, when the report was written.
std::int64_t end_of(const ReportData& data);

// Remembers which pixels have a dot, so that dots upon dots are drawn once.
class Pixels {
 public:
  bool is_new(double x, double y) { return seen_.emplace(static_cast<int>(x), static_cast<int>(y)).second; }

 private:
  std::set<std::pair<int, int>> seen_;
};

std::string figure(std::string svg, const std::string& legend_html, std::string_view caption);
// One entry of a legend: `mark` is SVG in a box of 22 by 12.
std::string legend_entry(std::string_view mark, std::string_view words);

}  // namespace overnight::report
