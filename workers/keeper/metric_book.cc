#include "workers/keeper/metric_book.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace overnight::workers {
namespace {

using nlohmann::json;

constexpr std::size_t words_bytes_max = 64;
constexpr std::string_view number_bytes = "+-.0123456789eE";

// Bytes of the number at the front that is too large for a double (1e999); 0 if there is none.
std::size_t overflowing_number(std::string_view line) {
  const std::size_t size = std::min(line.size(), line.find_first_not_of(number_bytes));
  double value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + size, value);
  return error == std::errc::result_out_of_range ? size : 0;
}

// NaN, Infinity and numbers beyond a double, outside of texts, as null: JSON does not know them, programs write them.
std::string without_special_numbers(std::string_view line) {
  std::string out;
  bool in_text = false;
  while (!line.empty()) {
    const char c = line.front();
    if (in_text && c == '\\' && line.size() > 1) {
      out += line.substr(0, 2);
      line.remove_prefix(2);
      continue;
    }
    if (c == '"') in_text = !in_text;
    std::size_t special = 0;
    for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
      if (!in_text && line.starts_with(word)) special = word.size();
    }
    const bool inside_number = !out.empty() && number_bytes.find(out.back()) != std::string_view::npos;
    if (special == 0 && !in_text && !inside_number) special = overflowing_number(line);
    if (special > 0) {
      out += "null";
      line.remove_prefix(special);
    } else {
      out += c;
      line.remove_prefix(1);
    }
  }
  return out;
}

// Does not throw; depth is bounded because the line is and nlohmann parses without recursion.
json parse_flat(std::string_view line) {
  bool twice = false;
  std::vector<std::string> keys;
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::key && depth == 1) {
      for (const auto& key : keys) twice = twice || key == parsed.get_ref<const std::string&>();
      keys.push_back(parsed.get<std::string>());
    }
    return true;
  };
  json value = json::parse(line, check, false);
  return twice ? json(json::value_t::discarded) : value;
}

bool is_report(const json& line) {
  if (!line.is_object() || !line.contains("name") || !line.contains("value") || !line["name"].is_string()) return false;
  if (line.contains("step") && !line["step"].is_number_integer()) return false;
  const auto& name = line["name"].get_ref<const std::string&>();
  // Names end up in tables, lines and file formats; none of them holds a control character for a good reason.
  const bool clean = std::none_of(name.begin(), name.end(), [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; });
  return clean && !name.empty() && name.size() <= metric_name_bytes_max &&
         line.size() == (line.contains("step") ? 3U : 2U);
}

}  // namespace

std::optional<double> finite_number(std::string_view words) {
  if (words.starts_with('+') && !words.starts_with("+-")) words.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(words.data(), words.data() + words.size(), value);
  if (error != std::errc{} || end != words.data() + words.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<Report> report_from_line(std::string_view line) {
  json parsed = parse_flat(line);
  std::string words;
  if (parsed.is_discarded()) {
    // nlohmann refuses 1e999 as out of range, and does not know NaN.
    parsed = parse_flat(without_special_numbers(line));
    words = "not a number or infinite";
  }
  if (!is_report(parsed)) return std::nullopt;
  Report report{parsed["name"].get<std::string>(), std::nullopt, words, parsed.value("step", std::int64_t{-1})};
  if (parsed["value"].is_number()) report.value = parsed["value"].get<double>();
  if (!report.value && report.words.empty()) {
    report.words = parsed["value"].dump(-1, ' ', true, json::error_handler_t::replace).substr(0, words_bytes_max);
  }
  return report;
}

void MetricBook::note(Phase phase, const Report& report) {
  auto& reports = reports_[phase];
  const auto known = reports.find(report.name);
  if (known == reports.end() && report.name != objective_ && reports.size() + 1 >= metrics_per_attempt_max) {
    ++names_dropped_;
    return;
  }
  reports[report.name] = report;
}

const Report* MetricBook::objective() const {
  for (const Phase phase : {Phase::evaluate, Phase::train}) {
    const auto reports = reports_.find(phase);
    if (reports == reports_.end() || (evaluated_ && phase != Phase::evaluate)) continue;
    const auto found = reports->second.find(objective_);
    if (found != reports->second.end()) return &found->second;
  }
  return nullptr;
}

std::map<std::string, MetricReceipt> MetricBook::receipts() const {
  std::map<std::string, MetricReceipt> receipts;
  for (const Phase phase : {Phase::evaluate, Phase::train, Phase::build}) {
    const auto reports = reports_.find(phase);
    if (reports == reports_.end()) continue;
    for (const auto& [name, report] : reports->second) {
      const bool has_room = receipts.size() + (receipts.contains(objective_) ? 0U : 1U) < metrics_per_attempt_max;
      if (!has_room && name != objective_) continue;
      if (name == objective_ && &report != objective()) continue;
      if (report.value)
        receipts.emplace(name, MetricReceipt{*report.value, report.step, phase, phase != Phase::evaluate});
    }
  }
  return receipts;
}

void LineCutter::append(std::string_view bytes, const std::function<void(std::string_view)>& line) {
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (end == std::string_view::npos) {
      if (open_.size() + part.size() > metric_line_bytes_max) {
        swallowing_ = true;
        open_.clear();
      }
      if (!swallowing_) open_ += part;
      return;
    }
    if (open_.empty()) {
      end_line(part, line);
    } else {
      open_ += part.substr(0, metric_line_bytes_max + 1);
      end_line(open_, line);
    }
    open_.clear();
    bytes.remove_prefix(end + 1);
  }
}

void LineCutter::end_line(std::string_view line, const std::function<void(std::string_view)>& use) {
  if (swallowing_ || line.size() > metric_line_bytes_max) {
    ++too_long_;
  } else if (!line.empty()) {
    use(line.ends_with('\r') ? line.substr(0, line.size() - 1) : line);
  }
  swallowing_ = false;
}

void LineCutter::finish(const std::function<void(std::string_view)>& line) {
  if (!open_.empty() || swallowing_) end_line(open_, line);
  open_.clear();
}

StdoutMetrics::StdoutMetrics(const std::map<std::string, std::string>& patterns) {
  for (const auto& [name, text] : patterns) {
    if (auto pattern = Pattern::compile(text)) patterns_.emplace_back(name, std::move(*pattern));
  }
}

std::vector<Report> StdoutMetrics::match(std::string_view line) const {
  std::vector<Report> reports;
  for (const auto& [name, pattern] : patterns_) {
    const auto match = pattern.search(line);
    if (!match) continue;
    const std::string_view words = line.substr(match->group_begin, match->group_end - match->group_begin);
    reports.push_back({name, finite_number(words), std::string(words.substr(0, words_bytes_max)), -1});
  }
  return reports;
}

}  // namespace overnight::workers
