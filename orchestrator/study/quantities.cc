#include "orchestrator/study/quantities.h"

#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

namespace overnight::study {
namespace {

using Units = std::vector<std::pair<std::string, double>>;

constexpr double largest = 4e18;  // below INT64_MAX, so that rounding cannot pass it

// A number at the start of `text` from `at` on; moves `at` behind it.
std::optional<double> number_at(const std::string& text, std::size_t& at) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data() + at, text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || value < 0) return std::nullopt;
  at = static_cast<std::size_t>(end - text.data());
  return value;
}

std::optional<std::int64_t> whole(double value) {
  if (!(value >= 0) || value > largest) return std::nullopt;
  return static_cast<std::int64_t>(std::llround(value));
}

// One or, if `repeated`, several numbers with their units.
std::optional<std::int64_t> with_units(const std::string& text, const Units& units, bool repeated) {
  std::size_t at = 0;
  double sum = 0;
  if (text.empty()) return std::nullopt;
  while (at < text.size()) {
    const auto value = number_at(text, at);
    if (!value) return std::nullopt;
    const std::size_t from = at;
    while (at < text.size() && (text[at] < '0' || text[at] > '9')) ++at;
    const std::string unit = text.substr(from, at - from);
    bool known = false;
    for (const auto& [name, factor] : units) {
      if (name != unit) continue;
      sum += *value * factor;
      known = true;
    }
    if (!known || (!repeated && at < text.size())) return std::nullopt;
  }
  return whole(sum);
}

}  // namespace

std::optional<std::int64_t> parse_duration(const std::string& text) {
  if (text == "0") return 0;
  static const Units units{{"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}};
  return with_units(text, units, true);
}

std::optional<std::int64_t> parse_bytes(const std::string& text) {
  if (text == "0") return 0;
  static const Units units{{"B", 1},
                           {"k", 1e3},
                           {"kB", 1e3},
                           {"KB", 1e3},
                           {"MB", 1e6},
                           {"GB", 1e9},
                           {"TB", 1e12},
                           {"KiB", 1024.0},
                           {"MiB", 1048576.0},
                           {"GiB", 1073741824.0},
                           {"TiB", 1099511627776.0}};
  return with_units(text, units, false);
}

std::optional<std::int64_t> parse_money(const std::string& text) {
  if (text.size() < 2 || text[0] != '$') return std::nullopt;
  std::size_t at = 1;
  const auto value = number_at(text, at);
  if (!value || at != text.size()) return std::nullopt;
  return whole(*value * 1e6);
}

std::optional<std::int64_t> parse_count(const std::string& text) {
  static const Units units{{"", 1}, {"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}};
  const auto count = with_units(text, units, false);
  return count;
}

std::optional<std::int64_t> parse_percent(const std::string& text) {
  static const Units units{{"", 1}, {"%", 1}};
  const auto percent = with_units(text, units, false);
  return percent && *percent <= 100 ? percent : std::nullopt;
}

}  // namespace overnight::study
