#include "orchestrator/cli/live_view.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "evals/statistics.h"
#include "orchestrator/report/words.h"

namespace overnight::cli {
namespace {

using nlohmann::json;

enum class Tone { plain, dim, bold, good, warn };

// Pieces of text in a tone each; cleaned and cut when they become a line.
struct Line {
  std::vector<std::pair<std::string, Tone>> pieces;
  Line& add(const std::string& text, Tone tone = Tone::plain) {
    if (!text.empty()) pieces.emplace_back(text, tone);
    return *this;
  }
};

const char* code_of(Tone tone) {
  switch (tone) {
    case Tone::plain:
      return "";
    case Tone::dim:
      return "\x1b[2m";
    case Tone::bold:
      return "\x1b[1m";
    case Tone::good:
      return "\x1b[32m";
    case Tone::warn:
      return "\x1b[33m";
  }
  return "";
}

std::string text_of(const Line& line, std::size_t columns, Look look) {
  std::string out;
  std::size_t left = columns;
  for (const auto& [text, tone] : line.pieces) {
    const std::string shown = clean(text, left, look.utf8);
    const bool coloured = look.colours && tone != Tone::plain;
    out += coloured ? code_of(tone) + shown + "\x1b[0m" : shown;
    left -= std::min(left, width_of(shown));
    if (left == 0) break;
  }
  return out;
}

std::string repeated(const char* text, std::size_t times) {
  std::string out;
  while (times-- > 0) out += text;
  return out;
}

// Used, reserved, left.
std::string bar(double used, double reserved, std::size_t width, Look look) {
  const auto cells = [&](double share) {
    return static_cast<std::size_t>(std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(width)));
  };
  const std::size_t full = cells(used);
  const std::size_t promised = std::min(width - full, cells(used + reserved) - std::min(cells(used + reserved), full));
  return repeated(look.utf8 ? "█" : "#", full) + repeated(look.utf8 ? "▒" : "=", promised) +
         repeated(look.utf8 ? "░" : ".", width - full - promised);
}

std::string params_words(const json& params) {
  std::string out;
  for (const auto& [name, value] : params.items()) {
    const std::string text = value.is_string()         ? value.get<std::string>()
                             : value.is_number_float() ? number_words(value.get<double>())
                                                       : value.dump();
    out += (out.empty() ? "" : " ") + name + "=" + text;
  }
  return out;
}

// What goes on, in a word or a sentence.
std::pair<std::string, Tone> stage_words(const json& run) {
  if (run.contains("halt") && run["halt"]["confirmed_after_ms"].is_null())
    return {fmt::format("HALTING: {} attempts still alive", run["halt"]["alive"].size()), Tone::warn};
  if (run.contains("latch")) return {"HALTED: " + run["latch"]["reason"].get<std::string>(), Tone::warn};
  if (run.contains("end")) return {run["end"]["kind"].get<std::string>(), Tone::plain};
  if (run.contains("hold"))
    return {"HELD by " + run["hold"]["by"].get<std::string>() + ": " + run["hold"]["reason"].get<std::string>(),
            Tone::warn};
  if (run.value("draining", false)) return {"draining: what runs may end", Tone::warn};
  return {run["stage"].get<std::string>(), Tone::plain};
}

Line head_line(const json& run, ScreenSize size) {
  Line line;
  const std::string name = run["run"].get<std::string>();
  if (size.columns >= 70) line.add("overnight  ", Tone::dim);
  line.add(name, Tone::bold);
  const auto [stage, tone] = stage_words(run);
  line.add("  ").add(stage, tone);
  if (run.contains("time_left_ms") && run["time_left_ms"].is_number())
    line.add("  about " + duration_words(run["time_left_ms"]) + " left", Tone::dim);
  return line;
}

struct BudgetLine {
  double share = 0;
  Line line;
};

BudgetLine budget_line(const json& budget, ScreenSize size, Look look) {
  const std::size_t width = size.columns >= 100 ? 30 : size.columns >= 70 ? 16 : 8;
  const std::string unit = budget["unit"];
  const auto granted = budget["granted"].get<std::int64_t>(), used = budget["used"].get<std::int64_t>(),
             reserved = budget["reserved"].get<std::int64_t>();
  const double whole = std::max<double>(1, static_cast<double>(granted));
  const double share = static_cast<double>(used) / whole;
  BudgetLine out{share, {}};
  out.line.add(fmt::format("  {:<12}", budget["name"].get<std::string>()))
      .add(bar(share, static_cast<double>(reserved) / whole, width, look), share >= 1 ? Tone::warn : Tone::plain)
      .add("  " + count_words(used, unit) + " of " + count_words(granted, unit));
  const std::int64_t left = std::max<std::int64_t>(0, granted - used - reserved);
  if (reserved > 0) out.line.add(", " + count_words(reserved, unit) + " reserved", Tone::dim);
  if (size.columns >= 70) out.line.add(", " + count_words(left, unit) + " left", Tone::dim);
  return out;
}

// All that fit, in their order; where room is short, those that are most used.
std::vector<Line> budget_lines(const json& run, ScreenSize size, Look look, std::size_t most) {
  std::vector<BudgetLine> all;
  for (const json& budget : run["budgets"]) {
    BudgetLine one = budget_line(budget, size, look);
    if (budget["name"] == "actions" && one.share < 0.5) continue;  // a safety net that is far away is no news
    all.push_back(std::move(one));
  }
  while (all.size() > most)
    all.erase(std::min_element(all.begin(), all.end(),
                               [](const BudgetLine& a, const BudgetLine& b) { return a.share < b.share; }));
  std::vector<Line> lines;
  for (BudgetLine& one : all) lines.push_back(std::move(one.line));
  return lines;
}

Line slot_line(const json& slot, ScreenSize size, Look look) {
  Line line;
  line.add(fmt::format("  slot {:<3}", slot["slot"].get<std::int64_t>()));
  if (!slot["usable"].get<bool>()) return line.add("not used: " + slot.value("reason", std::string()), Tone::warn);
  if (!slot.contains("attempt")) return line.add("free", Tone::dim);
  const json& attempt = slot["attempt"];
  const double since = attempt["since_ms"].get<double>(), limit = std::max(1.0, attempt["limit_ms"].get<double>());
  const std::string phase = attempt.contains("stopping") ? "stopping" : attempt["phase"].get<std::string>();
  if (size.columns >= 70) line.add(bar(since / limit, 0, 8, look) + " ");
  line.add(fmt::format("{:<9}", phase), attempt.contains("stopping") ? Tone::warn : Tone::plain)
      .add(fmt::format("{:>12}  #{} {}", duration_words(attempt["since_ms"]), attempt["experiment"].get<std::int64_t>(),
                       attempt.value("purpose", std::string())));
  if (attempt.contains("metrics")) {
    for (const auto& [name, value] : attempt["metrics"].items())
      line.add("  " + clean(name, 16, look.utf8) + " " + number_words(value.get<double>()), Tone::good);
  }
  if (attempt.contains("params")) line.add("  " + params_words(attempt["params"]), Tone::dim);
  return line;
}

// "0.3012 ± 0.0040 (n=3)", with as many digits as the report gives.
std::string score_words(const json& score, const json& n, const json& half_width, Look look) {
  evals::Estimate estimate{score.get<double>(), n.get<std::int64_t>(), std::nullopt, false};
  if (half_width.is_number()) {
    const double half = half_width.get<double>();
    estimate.interval = evals::Interval{estimate.mean - half, estimate.mean + half};
  }
  std::string out = report::estimate_words(estimate);
  const std::string sign = "±";
  if (const auto at = out.find(sign); at != std::string::npos && !look.utf8) out.replace(at, sign.size(), "+-");
  return out + fmt::format(" (n={})", estimate.n);
}

std::vector<Line> best_lines(const json& run, Look look) {
  const std::string metric = run["metric"];
  const auto words = [&](const json& of) {
    return score_words(of["score"], of["n"], of.value("interval_half_width", json()), look);
  };
  std::vector<Line> lines;
  if (!run.contains("best")) {
    lines.push_back(Line().add("  no score yet", Tone::dim));
  } else {
    const json& best = run["best"];
    Line line;
    line.add("  best " + metric + " " + words(best), Tone::bold);
    if (best["confirmed"].get<bool>()) line.add("  confirmed", Tone::good);
    line.add(fmt::format("  #{} by {}", best["experiment"].get<std::int64_t>(), best["proposer"].get<std::string>()));
    lines.push_back(std::move(line));
    lines.push_back(Line().add("       " + params_words(best["params"]), Tone::dim));
  }
  if (run.contains("baseline")) lines.push_back(Line().add("  baseline " + metric + " " + words(run["baseline"])));
  return lines;
}

Line tally_line(const json& run) {
  const json& counts = run["counts"];
  std::string causes;
  std::int64_t failed = 0;
  for (const auto& [cause, count] : counts["failed"].items()) {
    failed += count.get<std::int64_t>();
    causes += (causes.empty() ? "" : ", ") + count.dump() + " " + cause;
  }
  Line line;
  line.add(fmt::format("  {} experiments, {} trials scored", counts["experiments"].get<std::int64_t>(),
                       counts["scored"].get<std::int64_t>()));
  if (failed > 0) line.add(", ").add(fmt::format("{} failed ({})", failed, causes), Tone::warn);
  line.add(
      fmt::format(", {} queued, {} running", run["queued"].get<std::int64_t>(), run["running"].get<std::int64_t>()));
  if (const std::int64_t cut = run.value("interrupted", std::int64_t{0}); cut > 0)
    line.add(fmt::format(" ({} of the queued {} cut off)", cut, cut == 1 ? "was" : "were"), Tone::warn);
  if (counts["retries"].get<std::int64_t>() > 0)
    line.add(fmt::format(", {} retried", counts["retries"].get<std::int64_t>()), Tone::dim);
  return line;
}

// The parts of a view, and how they share the rows.
struct Parts {
  std::vector<Line> heads, budgets, tally, best, slots, events;
};

constexpr std::size_t events_most = 10;
constexpr std::size_t events_least = 2;

// Slots that run something come first where not all fit.
std::vector<Line> slot_lines(const json& slots, ScreenSize size, Look look, std::size_t most) {
  std::vector<const json*> order;
  for (const json& slot : slots) order.push_back(&slot);
  if (order.size() > most)
    std::stable_partition(order.begin(), order.end(), [](const json* slot) { return slot->contains("attempt"); });
  std::vector<Line> lines;
  const bool cut = order.size() > most;
  const std::size_t shown = cut ? most - std::min<std::size_t>(most, 1) : order.size();
  for (std::size_t i = 0; i < shown; ++i) lines.push_back(slot_line(*order[i], size, look));
  if (cut && most > 0) lines.push_back(Line().add(fmt::format("  and {} more slots", order.size() - shown), Tone::dim));
  return lines;
}

void append(std::vector<Line>& to, std::vector<Line> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

std::vector<std::string> draw(const json& view, const std::vector<std::string>& events, ScreenSize size, Look look,
                              const std::string& hint) {
  std::vector<Line> top;
  const std::size_t rows = size.rows - std::min<std::size_t>(size.rows, hint.empty() ? 0 : 1);
  const bool roomy = rows >= 20;
  for (const json& run : view["runs"]) {
    if (!run["live"].get<bool>() && !run.contains("halt")) continue;
    top.push_back(head_line(run, size));
    append(top, budget_lines(run, size, look, roomy ? 8 : 2));
    top.push_back(tally_line(run));
    std::vector<Line> best = best_lines(run, look);
    if (!roomy) best.resize(std::min<std::size_t>(best.size(), 2));
    append(top, std::move(best));
  }
  if (top.size() > rows) top.resize(rows);
  std::size_t room = rows - top.size();
  const std::size_t told = std::min(events.size(), events_most);
  const std::size_t for_events =
      std::min({told, room, std::max(events_least, room - std::min(room, view["slots"].size()))});
  std::vector<Line> slots = slot_lines(view["slots"], size, look, room - for_events);
  room -= std::min(room, slots.size());
  append(top, std::move(slots));
  const std::size_t shown = std::min(told, room);
  for (std::size_t i = events.size() - shown; i < events.size(); ++i)
    top.push_back(Line().add("  " + events[i], Tone::dim));
  std::vector<std::string> out;
  for (const Line& line : top) out.push_back(text_of(line, size.columns, look));
  if (!hint.empty() && size.rows > 0) out.push_back(text_of(Line().add("  " + hint, Tone::dim), size.columns, look));
  return out;
}

Screen::Screen(int terminal) : terminal_(terminal), look_(look_of(terminal)) {}

ScreenSize Screen::size() const {
  winsize found{};
  if (ioctl(terminal_, TIOCGWINSZ, &found) != 0 || found.ws_col == 0 || found.ws_row == 0) return {};
  return {found.ws_col, static_cast<std::size_t>(std::max(1, found.ws_row - 1))};
}

std::string Screen::frame(const std::vector<std::string>& lines) {
  const ScreenSize now = size();
  std::string out;
  if (shown_ > 0 && now != shown_at_) {
    out += "\x1b[2J\x1b[H";  // the terminal may have broken the old lines anew: nobody knows where they are
  } else if (shown_ > 0) {
    out += "\x1b[" + std::to_string(shown_) + "A\r";
  }
  for (const std::string& line : lines) out += "\x1b[K" + line + "\n";
  out += "\x1b[J";
  shown_ = lines.size();
  shown_at_ = now;
  return out;
}

}  // namespace overnight::cli
