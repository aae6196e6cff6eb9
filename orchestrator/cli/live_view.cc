#include "orchestrator/cli/live_view.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "orchestrator/cli/terminal.h"

namespace overnight::cli {
namespace {

using nlohmann::json;

struct Style {
  bool colours;
  std::string dim(const std::string& text) const { return colours ? "\x1b[2m" + text + "\x1b[0m" : text; }
  std::string bold(const std::string& text) const { return colours ? "\x1b[1m" + text + "\x1b[0m" : text; }
  std::string good(const std::string& text) const { return colours ? "\x1b[32m" + text + "\x1b[0m" : text; }
  std::string warn(const std::string& text) const { return colours ? "\x1b[33m" + text + "\x1b[0m" : text; }
};

std::string bar(double share, std::size_t width) {
  const auto full = static_cast<std::size_t>(std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(width)));
  std::string out;
  for (std::size_t i = 0; i < width; ++i) out += i < full ? "█" : "░";
  return out;
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

std::string stage_words(const json& run, const Style& style) {
  if (run.contains("halt") && run["halt"]["confirmed_after_ms"].is_null()) return style.warn("HALTING");
  if (run.contains("latch")) return style.warn("HALTED: " + clean(run["latch"]["reason"], 60));
  if (run.contains("hold"))
    return style.warn("HELD by " + clean(run["hold"]["by"], 40) + ": " + clean(run["hold"]["reason"], 60));
  if (run.value("draining", false)) return style.warn("draining");
  return run["stage"].get<std::string>();
}

void draw_budgets(const json& run, const Style& style, std::size_t columns, std::vector<std::string>& out) {
  const std::size_t width = columns > 90 ? 30 : 16;
  for (const json& budget : run["budgets"]) {
    const double granted = std::max(1.0, budget["granted"].get<double>());
    const double share = budget["used"].get<double>() / granted;
    const std::string unit = budget["unit"];
    if (budget["name"] == "actions" && share < 0.5) continue;  // a safety net that is far away is no news
    std::string line = fmt::format("  {:<12}{}  {} of {}", budget["name"].get<std::string>(), bar(share, width),
                                   count_words(budget["used"], unit), count_words(budget["granted"], unit));
    if (budget["reserved"].get<std::int64_t>() > 0)
      line += style.dim(" (+" + count_words(budget["reserved"], unit) + " reserved)");
    out.push_back(line);
  }
}

std::string slot_line(const json& slot, const Style& style, std::size_t columns) {
  std::string head = fmt::format("  slot {:<3}", slot["slot"].get<std::int64_t>());
  if (!slot["usable"].get<bool>())
    return head + style.warn("not used: " + clean(slot.value("reason", ""), columns - 20));
  if (!slot.contains("attempt")) return head + style.dim("free");
  const json& attempt = slot["attempt"];
  const double since = attempt["since_ms"].get<double>(), limit = std::max(1.0, attempt["limit_ms"].get<double>());
  std::string line = head + fmt::format("{} {:<10}{:>9}  #{} {}", bar(since / limit, 8),
                                        attempt["phase"].get<std::string>(), duration_words(attempt["since_ms"]),
                                        attempt["experiment"].get<std::int64_t>(), attempt.value("purpose", ""));
  if (attempt.contains("metrics")) {
    for (const auto& [name, value] : attempt["metrics"].items())
      line += "  " + clean(name, 16) + " " + number_words(value.get<double>());
  }
  if (attempt.contains("params")) line += "  " + params_words(attempt["params"]);
  return clean(line, columns);
}

void draw_best(const json& run, const Style& style, std::size_t columns, std::vector<std::string>& out) {
  const std::string metric = run["metric"];
  std::string line = "  ";
  if (!run["leaders"].empty()) {
    const json& best = run["leaders"][0];
    line += style.bold(fmt::format("best {} {}", metric, number_words(best["score"].get<double>())));
    if (run.contains("interval_half_width"))
      line += fmt::format(" ± {}", number_words(run["interval_half_width"].get<double>()));
    if (best.contains("confirmed_score"))
      line += style.good(fmt::format("  confirmed {} (n={})", number_words(best["confirmed_score"].get<double>()),
                                     best["confirmed_n"].get<int>()));
    line += fmt::format("  #{} by {}", best["experiment"].get<std::int64_t>(), clean(best["proposer"], 20));
    out.push_back(line);
    out.push_back("    " + style.dim(clean(params_words(best["params"]), columns - 4)));
  }
  if (run.contains("baseline")) {
    out.push_back(fmt::format("  baseline {} {} (n={})", metric, number_words(run["baseline"]["score"].get<double>()),
                              run["baseline"]["n"].get<int>()));
  }
}

std::string tally_line(const json& run, const Style& style) {
  const json& counts = run["counts"];
  std::int64_t failed = 0;
  for (const auto& [_, count] : counts["failed"].items()) failed += count.get<std::int64_t>();
  std::string line =
      fmt::format("  {} experiments, {} trials scored", counts["experiments"].get<int>(), counts["scored"].get<int>());
  if (failed > 0) line += ", " + style.warn(fmt::format("{} failed", failed));
  if (counts["retries"].get<int>() > 0) line += fmt::format(", {} retried", counts["retries"].get<int>());
  line += fmt::format(", {} queued, {} running", run["queued"].get<int>(), run["running"].get<int>());
  return line;
}

}  // namespace

std::vector<std::string> draw(const json& view, const std::vector<std::string>& events, ScreenSize size, bool colours) {
  const Style style{colours};
  std::vector<std::string> out;
  for (const json& run : view["runs"]) {
    if (!run["live"].get<bool>() && !run.contains("halt")) continue;
    std::string head = style.bold("overnight  " + clean(run["run"], 60)) + "  " + stage_words(run, style);
    if (run.contains("time_left_ms") && run["time_left_ms"].is_number())
      head += style.dim("  about " + duration_words(run["time_left_ms"]) + " left");
    out.push_back(head);
    draw_budgets(run, style, size.columns, out);
    out.push_back(tally_line(run, style));
    draw_best(run, style, size.columns, out);
  }
  for (const json& slot : view["slots"]) {
    if (out.size() + 4 > size.rows) {
      out.push_back(style.dim("  … more slots"));
      break;
    }
    out.push_back(slot_line(slot, style, size.columns));
  }
  const std::size_t room = size.rows > out.size() + 1 ? size.rows - out.size() - 1 : 0;
  const std::size_t shown = std::min({room, events.size(), std::size_t{8}});
  for (std::size_t i = events.size() - shown; i < events.size(); ++i)
    out.push_back("  " + style.dim(clean(events[i], size.columns - 2)));
  if (out.size() > size.rows) out.resize(size.rows);
  return out;
}

Screen::Screen(int terminal) : terminal_(terminal) {}
Screen::~Screen() { leave(); }

ScreenSize Screen::size() const {
  winsize found{};
  if (ioctl(terminal_, TIOCGWINSZ, &found) != 0 || found.ws_col == 0) return {};
  return {found.ws_col, found.ws_row};
}

void Screen::show(const std::vector<std::string>& lines) {
  std::string out;
  if (shown_ > 0) out += "\x1b[" + std::to_string(shown_) + "A";
  out += "\r\x1b[J";
  for (const std::string& line : lines) out += line + "\n";
  shown_ = lines.size();
  (void)!write(terminal_, out.data(), out.size());  // a terminal that is gone is no reason to stop
}

void Screen::leave() { shown_ = 0; }

}  // namespace overnight::cli
