// Words and tables on a terminal: widths, colours where they help, plain text elsewhere. Text of tasks and proposers is
// cleaned of control characters before it is shown.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace overnight::cli {

// Control characters become '?', the length in characters is bounded.
std::string clean(const std::string& text, std::size_t width_max);

std::string duration_words(std::int64_t ms);                            // "1 h 20 min", "45 s"
std::string bytes_words(std::int64_t bytes);                            // "3.2 GiB"
std::string count_words(std::int64_t amount, const std::string& unit);  // by the unit of a budget line
std::string clock_words(std::int64_t unix_ms);                          // "23:41:07", local time
std::string date_words(std::int64_t unix_ms);                           // "2026-11-24 23:41", local time
std::string number_words(double value);                                 // at most six significant digits

// Columns as wide as their widest cell (bounded by `width_max` each), two blanks between them; numbers to the right.
std::string table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows,
                  std::size_t width_max = 48);

}  // namespace overnight::cli
