// Optimization history: each trial where it ended, the best so far, the baseline, and what failed.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "orchestrator/report/charts.h"
#include "orchestrator/report/words.h"

namespace overnight::report {
namespace {

using core::Purpose;

constexpr std::size_t dense_from = 4000;  // trials: more want smaller dots
constexpr double width = 960, height = 368, left = 76, right = 896, top = 14, bottom = 296, failed_y = 314,
                 axis_y = 328;

bool is_shown(const core::TrialRecord& trial) {
  return trial.purpose != Purpose::canary && trial.cause != core::Cause::stopped &&
         trial.cause != core::Cause::lease_lost;
}

struct History {
  const ReportData& data;
  const Findings& found;
  ScoreRange range;
  Axis x, y;
  std::size_t shown = 0, failed = 0;
  std::map<int, bool> colours;  // drawn ones
  bool confirmations = false;

  double inside(double score) const { return y.at(std::clamp(score, y.low(), y.high())); }
  const core::ExperimentRecord* record(const core::TrialRecord& trial) const {
    const auto at = found.records.find(trial.experiment);
    return at == found.records.end() ? nullptr : at->second;
  }
  int colour(const core::TrialRecord& trial) const {
    const core::ExperimentRecord* one = record(trial);
    return one == nullptr || one->purpose == Purpose::baseline ? -1 : colour_of(data.run, one->proposer);
  }
};

std::string hint_of(const History& h, const core::TrialRecord& trial) {
  const core::ExperimentRecord* one = h.record(trial);
  std::string hint = fmt::format("experiment {}", core::number(trial.experiment));
  if (one != nullptr) hint += ", " + harmless(one->proposer, 40);
  hint += ", " + std::string(core::name_of(trial.purpose)) + fmt::format(", seed {}: ", trial.seed);
  if (trial.score) return hint + harmless(h.data.run.study.objective.metric, 40) + " " + number_words(*trial.score);
  return hint + std::string(workers::name_of(trial.cause)) + " in " + std::string(workers::name_of(trial.phase));
}

void draw_baseline(const History& h, Svg& svg) {
  if (!h.found.baseline) return;
  const evals::Estimate& base = h.found.baseline->estimate;
  const double y = h.inside(base.mean);
  if (base.interval) {
    const double high = h.inside(base.interval->high), low = h.inside(base.interval->low);
    svg.box(left, high, right - left, std::max(1.0, low - high), "band", "baseline, 95 % interval of its mean");
  }
  svg.line(left, y, right, y, "baseline");
  svg.text(right + 6, y + 4, "baseline", "start", "note");
}

void draw_trials(History& h, Svg& svg) {
  const bool hints = h.shown <= hints_max;
  std::map<int, PathData> dots, diamonds;
  std::map<int, Pixels> taken;
  PathData crosses;
  Pixels crossed;
  std::size_t i = 0;
  for (const core::TrialRecord& trial : h.data.trials) {
    if (!is_shown(trial)) continue;
    const double x = h.x.at(static_cast<double>(++i));
    if (!trial.score) {
      if (hints) {
        PathData one;
        one.cross(x, failed_y, 3.5);
        svg.path(one.data(), "failed", hint_of(h, trial));
      } else if (crossed.is_new(x, failed_y)) {
        crosses.cross(x, failed_y, 3);
      }
      continue;
    }
    const int colour = h.colour(trial);
    h.colours[colour] = true;
    const double y = h.inside(*trial.score);
    if (trial.purpose == Purpose::confirm) {
      h.confirmations = true;
      diamonds[colour].diamond(x, y, 4.5);
    } else if (hints) {
      const bool beyond = !h.y.holds(*trial.score);
      svg.dot(x, y, 3.2, fmt::format("dot f{}{}", colour < 0 ? "b" : std::to_string(colour), beyond ? " beyond" : ""),
              hint_of(h, trial));
    } else if (taken[colour].is_new(x * 2, y * 2)) {
      dots[colour].dot(x, y);
    }
  }
  svg.path(crosses.data(), "failed");
  for (const auto& [colour, path] : dots)
    svg.path(path.data(), fmt::format("dots {}s{}", h.shown > dense_from ? "dense " : "",
                                      colour < 0 ? "b" : std::to_string(colour)));
  for (const auto& [colour, path] : diamonds)
    svg.path(path.data(), fmt::format("diamond s{}", colour < 0 ? "b" : std::to_string(colour)));
}

// Steps at each search score that was better than all before it.
void draw_best(const History& h, Svg& svg) {
  PathData path;
  std::optional<double> best;
  std::size_t i = 0;
  double last_x = left;
  for (const core::TrialRecord& trial : h.data.trials) {
    if (!is_shown(trial)) continue;
    last_x = h.x.at(static_cast<double>(++i));
    if (!trial.score || trial.purpose == Purpose::confirm) continue;
    if (best && h.data.run.loss(*trial.score) >= h.data.run.loss(*best)) continue;
    if (best) {
      path.across(last_x);
      path.down(h.inside(*trial.score));
    } else {
      path.move(last_x, h.inside(*trial.score));
    }
    best = trial.score;
  }
  if (!best) return;
  path.across(last_x);
  svg.path(path.data(), "best");
}

// The confirmed winner with its interval, beside the plot.
void draw_champion(const History& h, Svg& svg) {
  if (h.found.confirmed == 0) return;
  const evals::Estimate& made = h.found.ranked.front().estimate;
  const double x = right - 2, y = h.inside(made.mean);
  if (made.interval) {
    const double high = h.inside(made.interval->high), low = h.inside(made.interval->low);
    svg.line(x, high, x, low, "error");
    svg.line(x - 4, high, x + 4, high, "error");
    svg.line(x - 4, low, x + 4, low, "error");
  }
  svg.dot(x, y, 4, "champion", "the best confirmed result: " + estimate_words(made));
  svg.text(right + 6, y + 4, fmt::format("#{}", core::number(h.found.ranked.front().record->experiment)), "start",
           "strong");
}

// Whether anything but the baseline has no proposer of the study: what people enqueued.
bool others(const History& h) {
  return std::any_of(h.found.ranked.begin(), h.found.ranked.end(),
                     [&](const Result& r) { return colour_of(h.data.run, r.record->proposer) < 0; });
}

std::string legend_of(const History& h) {
  std::string out;
  const core::Run& run = h.data.run;
  if (h.colours.contains(-1))
    out += legend_entry("<circle cx=\"11\" cy=\"6\" r=\"4\" class=\"fb\"/>",
                        others(h) ? "baseline, enqueued" : "baseline");
  for (std::size_t i = 0; i < run.study.proposers.size() && i < 12; ++i) {
    if (!h.colours.contains(static_cast<int>(i % 6))) continue;
    out += legend_entry(fmt::format("<circle cx=\"11\" cy=\"6\" r=\"4\" class=\"f{}\"/>", i % 6),
                        run.study.proposers[i].name);
  }
  if (h.confirmations)
    out += legend_entry("<path d=\"M11 1L16 6L11 11L6 6Z\" class=\"diamond st\"/>", "confirmation on a fresh seed");
  out += legend_entry("<path d=\"M1 3H11V9H21\" class=\"best\"/>", "best of the search so far");
  if (h.found.confirmed > 0)
    out += legend_entry(
        "<path d=\"M11 1V11M7 1H15M7 11H15\" class=\"error\"/><circle cx=\"11\" cy=\"6\" r=\"3\" class=\"champion\"/>",
        "best confirmed, with 95 % interval");
  if (h.failed > 0) out += legend_entry("<path d=\"M7 2L15 10M7 10L15 2\" class=\"failed\"/>", "failed");
  return out;
}

}  // namespace

std::string history_chart(const ReportData& data, const Findings& found) {
  History h{data, found, score_range(data, found), {}, {}, 0, 0, {}, false};
  for (const core::TrialRecord& trial : data.trials) {
    if (!is_shown(trial)) continue;
    ++h.shown;
    if (!trial.score) ++h.failed;
  }
  if (h.shown == h.failed) return "";  // the failures have a table of their own
  h.x = Axis::linear(0, static_cast<double>(h.shown) + 1, left, right, h.shown < 8 ? static_cast<int>(h.shown) : 8);
  h.y = score_axis(h.range, bottom, top, 6);
  Svg svg(width, height, "Optimization history",
          fmt::format("{} trials in the order in which they ended, {} of them failed; the vertical axis is {}.",
                      h.shown, h.failed, score_label(data.run)));
  svg.left_axis(h.y, left, right, score_label(data.run), (top + bottom) / 2);
  svg.bottom_axis(h.x, axis_y, top, "trials, in the order in which they ended", (left + right) / 2);
  if (h.failed > 0) svg.text(left - 8, failed_y + 4, "failed", "end");
  draw_baseline(h, svg);
  draw_trials(h, svg);
  draw_best(h, svg);
  draw_champion(h, svg);
  std::string caption = fmt::format("{} trials, {} with a score.", count_words(static_cast<std::int64_t>(h.shown)),
                                    count_words(static_cast<std::int64_t>(h.shown - h.failed)));
  if (h.range.beyond > 0)
    caption += fmt::format(" {} scored so much worse that they are drawn at the edge.",
                           count_words(static_cast<std::int64_t>(h.range.beyond)));
  if (h.shown > hints_max)
    caption += " Dots that would cover each other are drawn once; all trials are in the CSV and JSON forms.";
  return figure(svg.take(), legend_of(h), caption);
}

}  // namespace overnight::report
