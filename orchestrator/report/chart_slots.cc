// The timeline: what each slot did, attempt after attempt.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "orchestrator/report/charts.h"
#include "orchestrator/report/words.h"

namespace overnight::report {
namespace {

constexpr double width = 960, left = 120, right = 890, lane_pitch = 24, lane_height = 16, top = 22;

enum Look { baseline, search, confirm, canary, failed, cut, looks };
constexpr std::array<const char*, looks> css{"bar-baseline", "bar-search", "bar-confirm",
                                             "bar-canary",   "bar-failed", "bar-cut"};
constexpr std::array<const char*, looks> words{"baseline", "search", "confirmation",
                                               "canary",   "failed", "cut short (halt, stop, crash)"};

Look look_of(const core::AttemptRecord& attempt, const std::map<core::TrialId, core::Purpose>& purposes) {
  if (attempt.cause == core::Cause::stopped || attempt.cause == core::Cause::lease_lost) return cut;
  if (attempt.cause != core::Cause::completed) return failed;
  const auto known = purposes.find(attempt.trial);
  if (known == purposes.end()) return search;
  switch (known->second) {
    case core::Purpose::baseline:
      return baseline;
    case core::Purpose::confirm:
      return confirm;
    case core::Purpose::canary:
      return canary;
    case core::Purpose::search:
    case core::Purpose::enqueued:
      return search;
  }
  return search;
}

struct Lane {
  double y = 0;
  std::int64_t busy_ms = 0;
  std::array<std::pair<double, double>, looks> open{};  // the bar that the next one may be merged with
  std::array<bool, looks> is_open{};
};

// Lanes in the order of the slots; those with most work if there are too many.
std::map<core::SlotId, Lane> lanes_of(const ReportData& data) {
  std::map<core::SlotId, Lane> lanes;
  for (const auto& [slot, _] : data.slots) lanes[slot];
  for (const core::AttemptRecord& attempt : data.attempts) lanes[attempt.slot].busy_ms += attempt.took.count();
  while (lanes.size() > lanes_max) {
    auto idlest = std::min_element(lanes.begin(), lanes.end(),
                                   [](const auto& a, const auto& b) { return a.second.busy_ms < b.second.busy_ms; });
    lanes.erase(idlest);
  }
  double y = top;
  for (auto& [_, lane] : lanes) lane.y = y, y += lane_pitch;
  return lanes;
}

struct Drawing {
  const ReportData& data;
  Axis x;
  std::map<core::SlotId, Lane> lanes;
  std::array<PathData, looks> merged;
  std::array<bool, looks> used{};

  void flush(Lane& lane, int look) {
    const auto at = static_cast<std::size_t>(look);
    if (!lane.is_open[at]) return;
    merged[at].move(lane.open[at].first, lane.y + lane_height / 2);
    merged[at].across(std::max(lane.open[at].second, lane.open[at].first + 0.5));
    lane.is_open[at] = false;
  }

  void merge(Lane& lane, Look look, double from, double to) {
    const auto at = static_cast<std::size_t>(look);
    if (lane.is_open[at] && from <= lane.open[at].second + 0.5) {
      lane.open[at].second = std::max(lane.open[at].second, to);
      return;
    }
    flush(lane, look);
    lane.open[at] = {from, to};
    lane.is_open[at] = true;
  }
};

std::string hint_of(const core::AttemptRecord& attempt, Look look) {
  std::string hint = fmt::format("attempt {} of experiment {}, {}: {} to {}, {}", core::number(attempt.attempt),
                                 core::number(attempt.experiment), words[static_cast<std::size_t>(look)],
                                 clock_words(attempt.launched.ms()), clock_words(attempt.gone.ms()),
                                 duration_words(attempt.took.count()));
  if (attempt.cause != core::Cause::completed)
    hint += fmt::format(". {} in {}: {}", workers::name_of(attempt.cause), workers::name_of(attempt.phase),
                        harmless(attempt.detail, 160));
  return hint;
}

void draw_bars(Drawing& d, Svg& svg) {
  std::map<core::TrialId, core::Purpose> purposes;
  for (const core::TrialRecord& trial : d.data.trials) purposes.emplace(trial.trial, trial.purpose);
  const bool hints = d.data.attempts.size() <= hints_max;
  for (const core::AttemptRecord& attempt : d.data.attempts) {
    const auto lane = d.lanes.find(attempt.slot);
    if (lane == d.lanes.end()) continue;
    const Look look = look_of(attempt, purposes);
    d.used[static_cast<std::size_t>(look)] = true;
    const auto place = [&](core::WallTime wall) {
      return d.x.at(static_cast<double>(std::max<std::int64_t>(0, (wall - d.data.run.started).count())));
    };
    const double from = place(attempt.launched), to = place(attempt.gone);
    if (hints) {
      svg.box(from, lane->second.y, std::max(0.8, to - from), lane_height,
              fmt::format("bar {}", css[static_cast<std::size_t>(look)]), hint_of(attempt, look));
    } else {
      d.merge(lane->second, look, from, to);
    }
  }
  for (auto& [_, lane] : d.lanes)
    for (int look = 0; look < looks; ++look) d.flush(lane, look);
  for (int look = 0; look < looks; ++look)
    svg.path(d.merged[static_cast<std::size_t>(look)].data(),
             fmt::format("bars {}", css[static_cast<std::size_t>(look)]));
}

std::string lane_name(const ReportData& data, core::SlotId slot) {
  std::string name = fmt::format("slot {}", core::number(slot));
  const auto found = data.slots.find(slot);
  if (found != data.slots.end() && !found->second.slot_class.empty())
    name += " " + harmless(found->second.slot_class, 10);
  return name;
}

}  // namespace

std::string slots_chart(const ReportData& data) {
  if (data.attempts.empty()) return "";
  const std::int64_t length = std::max<std::int64_t>(1, end_of(data) - data.run.started.ms());
  Drawing d{data, Axis::elapsed(length, left, right), lanes_of(data), {}, {}};
  const double bottom = top + lane_pitch * static_cast<double>(d.lanes.size());
  Svg svg(
      width, bottom + 46, "Timeline of the slots",
      fmt::format("{} attempts on {} slots over {}.", data.attempts.size(), d.lanes.size(), duration_words(length)));
  svg.bottom_axis(d.x, bottom, top, "time since the start of the run", (left + right) / 2);
  svg.text(right + 8, top - 8, "busy", "start", "note");
  for (const auto& [slot, lane] : d.lanes) {
    svg.box(left, lane.y, right - left, lane_height, "track");
    svg.text(left - 8, lane.y + 12, lane_name(data, slot), "end");
    svg.text(right + 8, lane.y + 12, percent_words(static_cast<double>(lane.busy_ms) / static_cast<double>(length)),
             "start", "note");
  }
  draw_bars(d, svg);
  std::string legend;
  for (std::size_t look = 0; look < looks; ++look) {
    if (d.used[look])
      legend += legend_entry(
          fmt::format("<rect x=\"1\" y=\"1\" width=\"20\" height=\"10\" class=\"bar {}\"/>", css[look]), words[look]);
  }
  std::string caption = fmt::format("{} attempts; a retry is an attempt of its own.",
                                    count_words(static_cast<std::int64_t>(data.attempts.size())));
  if (data.attempts.size() > hints_max) caption += " Neighbours of one kind are drawn as one bar.";
  if (d.lanes.size() == lanes_max)
    caption += fmt::format(" At most {} slots are shown, those with most work.", lanes_max);
  return figure(svg.take(), legend, caption);
}

}  // namespace overnight::report
