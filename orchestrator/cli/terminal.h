// Words and tables on a terminal: widths, colours where they help, plain text elsewhere. Text of tasks and proposers is
// cleaned before it is shown: control characters (C0, C1, DEL), invisible and direction-turning ones become '?'.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace overnight::cli {

// What an output understands.
struct Look {
  bool utf8 = true;
  bool colours = false;
  bool operator==(const Look&) const = default;
};

// By LC_ALL, LC_CTYPE, LANG, NO_COLOR, TERM and whether the descriptor is a terminal.
Look look_of(int descriptor);
// A terminal that can move its cursor.
bool is_screen(int descriptor);

// How many columns a text takes.
std::size_t width_of(const std::string& text);

// Cleaned, and cut to so many columns, with a mark where it was cut. Line ends count as control characters.
std::string clean(const std::string& text, std::size_t width_max, bool utf8 = look_of(1).utf8);
// Several lines: cleaned line by line, tabs kept.
std::string clean_lines(const std::string& text);

std::string duration_words(std::int64_t ms);                            // "1 h 20 min", "45 s"
std::string bytes_words(std::int64_t bytes);                            // "3.2 GiB"
std::string count_words(std::int64_t amount, const std::string& unit);  // by the unit of a budget line
std::string clock_words(std::int64_t unix_ms);                          // "23:41:07", local time
std::string date_words(std::int64_t unix_ms);                           // "2026-11-24 23:41", local time
std::string number_words(double value);                                 // at most six significant digits

// Columns as wide as their widest cell (bounded by `width_max` each), two blanks between them; numbers to the right.
std::string table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows,
                  std::size_t width_max = 48);

// The nearest of `known` to what was typed, for "did you mean"; empty if none is near.
std::string nearest(const std::string& typed, const std::vector<std::string>& known);

}  // namespace overnight::cli
