// Numbers, times and foreign texts as a report shows them. Pure; times of day are local to the machine.
//
// Everything that a task, an LLM or a person wrote passes through one of the escapes on its way into a document, and
// through nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "evals/statistics.h"

namespace overnight::report {

// ---- numbers ----

std::string number_words(double value);                       // five significant digits, no more than are there
std::string number_words(double value, int decimals);         // so many behind the point
int decimals_of(double error);                                // that show two significant digits of an error
std::string estimate_words(const evals::Estimate& estimate);  // "1.9012 ± 0.0031": as many digits as the error has
std::string interval_words(const evals::Interval& interval);  // "0.046 to 0.058"
std::string count_words(std::int64_t count);                  // "20,000"
std::string percent_words(double share);                      // "2.7 %"

// ---- quantities ----

std::string duration_words(std::int64_t ms);  // "1 h 20 min", "45 s", "380 ms"
std::string bytes_words(std::int64_t bytes);
std::string money_words(std::int64_t microusd);
std::string time_words(std::int64_t unix_ms);   // "2026-11-24 23:41:07 UTC", in the zone of the machine
std::string clock_words(std::int64_t unix_ms);  // "23:41:07"
std::string span_words(std::int64_t from_unix_ms, std::int64_t to_unix_ms);  // the date once where one is enough
std::string iso_words(std::int64_t unix_ms);                                 // "2026-11-24T23:41:07.123Z"

// ---- foreign text ----

// Valid UTF-8 without control characters (a line break and a tab may stay) and without those that turn the direction of
// writing; at most `bytes_max` bytes, then an ellipsis.
std::string harmless(std::string_view text, std::size_t bytes_max, bool keep_lines = false);

std::string html(std::string_view text, std::size_t bytes_max = 400);  // for element content and quoted attributes
std::string html_lines(std::string_view text, std::size_t bytes_max = 4000);  // the same, for <pre>: lines stay lines
std::string markdown(std::string_view text, std::size_t bytes_max = 400);     // one line; nothing in it is markup
// One field as RFC 4180 wants it. A text that a spreadsheet would take for a formula gets an apostrophe in front.
std::string csv(std::string_view text, std::size_t bytes_max = 4000);

// The last lines of a log, at most `lines_max`.
std::string last_lines(std::string_view text, std::size_t lines_max);

}  // namespace overnight::report
