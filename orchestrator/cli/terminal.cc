#include "orchestrator/cli/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

namespace overnight::cli {
namespace {

// The number of characters of valid UTF-8; each byte that is not a continuation begins one.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789.+-eE±% ") == std::string::npos &&
         text.find_first_of("0123456789") != std::string::npos;
}

std::string local(std::int64_t unix_ms, const char* format) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[64];
  std::strftime(text, sizeof text, format, &parts);
  return text;
}

}  // namespace

std::string clean(const std::string& text, std::size_t width_max) {
  std::string out;
  std::size_t width = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool begins = (byte & 0xC0) != 0x80;
    if (begins && width + 1 > width_max) {
      if (width_max >= 3) {
        while (!out.empty() && width_of(out) > width_max - 1) {
          while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0) == 0x80) out.pop_back();
          if (!out.empty()) out.pop_back();
        }
        out += "…";
      }
      return out;
    }
    if (begins) ++width;
    out.push_back(byte < 0x20 || byte == 0x7f ? '?' : c);
  }
  return out;
}

std::string duration_words(std::int64_t ms) {
  if (ms < 0) ms = 0;
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 10'000) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000);
  const std::int64_t s = ms / 1000;
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  if (s < 48 * 3600) return fmt::format("{} h {:02} min", s / 3600, s % 3600 / 60);
  return fmt::format("{} d {} h", s / 86400, s % 86400 / 3600);
}

std::string bytes_words(std::int64_t bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit < 4) value /= 1024, ++unit;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string count_words(std::int64_t amount, const std::string& unit) {
  if (unit == "ms") return duration_words(amount);
  if (unit == "bytes") return bytes_words(amount);
  if (unit == "micro-USD") return fmt::format("${:.2f}", static_cast<double>(amount) / 1e6);
  return fmt::format("{}", amount);
}

std::string clock_words(std::int64_t unix_ms) { return local(unix_ms, "%H:%M:%S"); }
std::string date_words(std::int64_t unix_ms) { return local(unix_ms, "%Y-%m-%d %H:%M"); }
std::string number_words(double value) { return fmt::format("{:.6g}", value); }

std::string table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows,
                  std::size_t width_max) {
  std::vector<std::size_t> widths;
  for (const std::string& cell : head) widths.push_back(width_of(cell));
  std::vector<std::vector<std::string>> cells;
  for (const auto& row : rows) {
    cells.emplace_back();
    for (std::size_t i = 0; i < head.size(); ++i) {
      cells.back().push_back(clean(i < row.size() ? row[i] : "", width_max));
      widths[i] = std::max(widths[i], width_of(cells.back().back()));
    }
  }
  std::string out;
  const auto line = [&](const std::vector<std::string>& row, bool is_head) {
    std::string text;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string pad(widths[i] - width_of(row[i]), ' ');
      const bool right = !is_head && is_number(row[i]);
      text += (i > 0 ? "  " : "") + (right ? pad + row[i] : row[i] + pad);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  line(head, true);
  for (const auto& row : cells) line(row, false);
  return out;
}

}  // namespace overnight::cli
