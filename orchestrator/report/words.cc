#include "orchestrator/report/words.h"

#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <cmath>
#include <ctime>

namespace overnight::report {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view ellipsis = "…";

std::string local(std::int64_t unix_ms, const char* format) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[64];
  std::strftime(text, sizeof text, format, &parts);
  return text;
}

// The length of the well-formed UTF-8 sequence at the front, and its code point; 0 if there is none.
std::size_t sequence(std::string_view text, std::uint32_t& point) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return point = first, 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  point = first & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    point = (point << 6) | (byte(i) & 0x3Fu);
  }
  const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
  if (overlong || (point >= 0xD800 && point <= 0xDFFF) || point > 0x10FFFF) return 0;
  return length;
}

// Controls, and what can make a text read otherwise than it is written: bidirectional overrides, invisible marks,
// line separators.
bool misleads(std::uint32_t point) {
  return point < 0x20 || (point >= 0x7F && point < 0xA0) || (point >= 0x200B && point <= 0x200F) ||
         (point >= 0x2028 && point <= 0x202E) || (point >= 0x2060 && point <= 0x206F) || point == 0xFEFF ||
         (point >= 0xFFF9 && point <= 0xFFFB) || (point >= 0xE0000 && point <= 0xE0FFF);
}

std::string escaped(const std::string& text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

// "-0.00" is a zero; the minus sign of print is longer than a hyphen, but a hyphen can be copied into a program.
std::string without_minus_zero(std::string text) {
  if (text.starts_with('-') && text.find_first_not_of("-0.") == std::string::npos) text.erase(0, 1);
  return text;
}

bool is_plain(double value) { return value == 0 || (std::abs(value) >= 1e-4 && std::abs(value) < 1e7); }

}  // namespace

std::string number_words(double value) {
  if (!std::isfinite(value)) return std::isnan(value) ? "NaN" : value > 0 ? "infinity" : "-infinity";
  return fmt::format("{:.5g}", value);
}

std::string number_words(double value, int decimals) {
  if (!std::isfinite(value) || !is_plain(value) || decimals < 0 || decimals > 12) return number_words(value);
  return without_minus_zero(fmt::format("{:.{}f}", value, decimals));
}

int decimals_of(double error) {
  if (!(error > 0) || !std::isfinite(error)) return 5;
  return std::clamp(1 - static_cast<int>(std::floor(std::log10(error))), 0, 12);
}

std::string estimate_words(const evals::Estimate& estimate) {
  if (!estimate.interval) return number_words(estimate.mean);
  const double error = estimate.interval->half_width();
  if (error <= 0) return number_words(estimate.mean) + " ± 0";
  const bool plain = is_plain(estimate.mean) && error >= 1e-9 && error < 1e7;
  if (!plain) return number_words(estimate.mean) + fmt::format(" ± {:.2g}", error);
  const int decimals = decimals_of(error);
  return number_words(estimate.mean, decimals) + " ± " + fmt::format("{:.{}f}", error, decimals);
}

std::string interval_words(const evals::Interval& interval) {
  const double error = interval.half_width();
  if (error <= 0) return number_words(interval.low) + " exactly";
  const int decimals = decimals_of(error);
  return number_words(interval.low, decimals) + " to " + number_words(interval.high, decimals);
}

std::string count_words(std::int64_t count) {
  std::string digits = std::to_string(count < 0 ? -count : count);
  for (std::ptrdiff_t at = std::ssize(digits) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
  return (count < 0 ? "-" : "") + digits;
}

std::string percent_words(double share) {
  const double percent = share * 100;
  return fmt::format("{:.{}f} %", percent, percent != 0 && std::abs(percent) < 10 ? 1 : 0);
}

std::string duration_words(std::int64_t ms) {
  if (ms < 0) ms = 0;
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 10'000) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000);
  const std::int64_t s = ms / 1000;
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return s % 60 == 0 ? fmt::format("{} min", s / 60) : fmt::format("{} min {} s", s / 60, s % 60);
  if (s < 48 * 3600)
    return s % 3600 / 60 == 0 ? fmt::format("{} h", s / 3600) : fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
  return fmt::format("{} d {} h", s / 86400, s % 86400 / 3600);
}

std::string bytes_words(std::int64_t bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (std::abs(value) >= 1024 && unit < 4) value /= 1024, ++unit;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string money_words(std::int64_t microusd) {
  const double dollars = static_cast<double>(microusd) / 1e6;
  return fmt::format("${:.{}f}", dollars, microusd != 0 && std::abs(dollars) < 0.1 ? 4 : 2);
}

std::string time_words(std::int64_t unix_ms) { return local(unix_ms, "%Y-%m-%d %H:%M:%S %Z"); }
std::string clock_words(std::int64_t unix_ms) { return local(unix_ms, "%H:%M:%S"); }

std::string span_words(std::int64_t from_unix_ms, std::int64_t to_unix_ms) {
  const std::string day = local(from_unix_ms, "%Y-%m-%d");
  if (day != local(to_unix_ms, "%Y-%m-%d")) return time_words(from_unix_ms) + " to " + time_words(to_unix_ms);
  return day + ", " + clock_words(from_unix_ms) + " to " + local(to_unix_ms, "%H:%M:%S %Z");
}

std::string iso_words(std::int64_t unix_ms) {
  std::int64_t seconds = unix_ms / 1000, ms = unix_ms % 1000;
  if (ms < 0) ms += 1000, --seconds;
  const std::time_t whole = seconds;
  std::tm parts{};
  gmtime_r(&whole, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", text, ms);
}

std::string harmless(std::string_view text, std::size_t bytes_max, bool keep_lines) {
  std::string out;
  bool cut = false;
  while (!text.empty()) {
    std::uint32_t point = 0;
    const std::size_t length = sequence(text, point);
    const bool line = text[0] == '\n' || text[0] == '\t';
    std::string_view piece = length == 0 || misleads(point) ? replacement : text.substr(0, length);
    if (line) piece = keep_lines ? text.substr(0, 1) : std::string_view(" ");
    if (text[0] == '\r' && keep_lines) piece = text.size() > 1 && text[1] == '\n' ? "" : "\n";
    if (out.size() + piece.size() > bytes_max) {
      cut = true;
      break;
    }
    out += piece;
    text.remove_prefix(std::max<std::size_t>(1, length));
  }
  if (cut) out += ellipsis;
  return out;
}

std::string html(std::string_view text, std::size_t bytes_max) { return escaped(harmless(text, bytes_max)); }

std::string html_lines(std::string_view text, std::size_t bytes_max) {
  return escaped(harmless(text, bytes_max, true));
}

std::string markdown(std::string_view text, std::size_t bytes_max) {
  std::string out;
  const std::string safe = harmless(text, bytes_max);
  for (std::size_t i = 0; i < safe.size(); ++i) {
    const char c = safe[i];
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case ':':  // no "https://" becomes a link by itself,
        out += safe.compare(i, 3, "://") == 0 ? "&#58;" : ":";
        break;
      case '.':  // and no "www."
        out += i >= 3 && ::strncasecmp(&safe[i - 3], "www", 3) == 0 ? "&#46;" : ".";
        break;
      case '@':
        out += "&#64;";
        break;
      default:
        if (std::string_view("\\`*_{}[]()#+!|~$=").find(c) != std::string_view::npos) out.push_back('\\');
        out.push_back(c);
    }
  }
  return out;
}

std::string csv(std::string_view text, std::size_t bytes_max) {
  const std::string clean = harmless(text, bytes_max, true);
  std::string out = "\"";
  const std::size_t first = clean.find_first_not_of(" \t\n");
  if (first != std::string::npos && std::string_view("=+-@|%").find(clean[first]) != std::string_view::npos) out += "'";
  for (const char c : clean) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  return out + "\"";
}

std::string last_lines(std::string_view text, std::size_t lines_max) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  std::size_t at = text.size();
  for (std::size_t lines = 0; lines < lines_max && at != std::string_view::npos && at > 0; ++lines)
    at = text.rfind('\n', at - 1);
  return std::string(at == std::string_view::npos || at == 0 ? text : text.substr(at + 1));
}

}  // namespace overnight::report
