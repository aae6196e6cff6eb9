#include "orchestrator/cli/terminal.h"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <ctime>
#include <sstream>

namespace overnight::cli {
namespace {

struct Character {
  char32_t code = U'?';
  std::size_t bytes = 1;
  bool good = false;
};

// The character at `at`, by strict UTF-8.
Character character_at(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || at + length > text.size()) return {};
  char32_t code = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(at + i) & 0x3FU);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  if (overlong || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {code, length, true};
}

bool within(char32_t code, char32_t low, char32_t high) { return code >= low && code <= high; }

// What could move a cursor, turn the direction of writing, or hide.
bool is_treacherous(char32_t c) {
  return c < 0x20 || within(c, 0x7F, 0x9F) || c == 0xAD || within(c, 0x200B, 0x200F) || within(c, 0x2028, 0x202E) ||
         within(c, 0x2060, 0x206F) || c == 0xFEFF || within(c, 0xFFF0, 0xFFFB) || within(c, 0xE0000, 0xE0FFF);
}

// As terminals count: marks that combine take none, East Asian and pictures two.
std::size_t columns_of(char32_t c) {
  if (within(c, 0x300, 0x36F) || within(c, 0x1AB0, 0x1AFF) || within(c, 0x20D0, 0x20FF) || within(c, 0xFE00, 0xFE0F))
    return 0;
  const bool wide = within(c, 0x1100, 0x115F) || within(c, 0x2E80, 0xA4CF) || within(c, 0xAC00, 0xD7A3) ||
                    within(c, 0xF900, 0xFAFF) || within(c, 0xFE30, 0xFE6F) || within(c, 0xFF00, 0xFF60) ||
                    within(c, 0xFFE0, 0xFFE6) || within(c, 0x1F300, 0x1FAFF) || within(c, 0x20000, 0x3FFFD);
  return wide ? 2 : 1;
}

std::size_t distance(const std::string& a, const std::string& b) {  // Levenshtein's
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t before = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = before;
    }
  }
  return row[b.size()];
}

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789.+-eE±%= ") == std::string::npos &&
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

Look look_of(int descriptor) {
  const auto set = [](const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
  };
  std::string locale = set("LC_ALL");
  if (locale.empty()) locale = set("LC_CTYPE");
  if (locale.empty()) locale = set("LANG");
  for (char& c : locale) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  Look look;
  look.utf8 = locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  look.colours = is_screen(descriptor) && set("NO_COLOR").empty();
  return look;
}

bool is_screen(int descriptor) {
  const char* terminal = std::getenv("TERM");
  return isatty(descriptor) != 0 && terminal != nullptr && *terminal != '\0' && std::string(terminal) != "dumb";
}

std::size_t width_of(const std::string& text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character one = character_at(text, at);
    width += columns_of(one.code);
    at += one.bytes;
  }
  return width;
}

std::string clean(const std::string& text, std::size_t width_max, bool utf8) {
  const std::string cut = utf8 ? "…" : "~";
  std::string out, fitting;  // `fitting`: as much of it as leaves room for the mark
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character one = character_at(text, at);
    const bool blank = one.code == '\n' || one.code == '\r' || one.code == '\t';
    const bool shown = one.good && !is_treacherous(one.code) && (utf8 || one.code < 0x80);
    const std::size_t columns = shown ? columns_of(one.code) : 1;
    if (width + columns > width_max) return width_max == 0 ? "" : fitting + cut;
    out += shown ? text.substr(at, one.bytes) : blank ? " " : "?";
    width += columns;
    if (width + 1 <= width_max) fitting = out;
    at += one.bytes;
  }
  return out;
}

std::string clean_lines(const std::string& text) {
  std::string out, line;
  std::istringstream lines(text);
  while (std::getline(lines, line)) {
    std::string part;
    std::istringstream parts(line);
    for (bool first = true; std::getline(parts, part, '\t'); first = false)
      out += (first ? "" : "\t") + clean(part, part.size());
    out += "\n";
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

std::string nearest(const std::string& typed, const std::vector<std::string>& known) {
  constexpr std::size_t compared_max = 200;  // longer names are no slips of known ones
  std::string best;
  std::size_t least = typed.size() / 3 + 1;
  for (const std::string& candidate : known) {
    if (typed.empty() || typed.size() > compared_max || candidate.size() > compared_max) continue;
    const std::size_t far = candidate.find(typed) != std::string::npos ? 0 : distance(typed, candidate);
    if (far < least || (far == 0 && best.empty())) least = far, best = candidate;
  }
  return best;
}

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
