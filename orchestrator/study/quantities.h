// Quantities as people write them in a study: "20s", "8h", "64GiB", "$20", "20M". Pure.
//
// Read exactly (integers, no floating point); a part below one unit is rounded to the nearest, but never to nothing.
// Every kind has a largest value, so that no sum or product of limits can leave 64 bits. A refusal says what is wrong
// with the text and how to write it; it does not repeat the text.
#pragma once

#include <cstdint>
#include <string>

#include "budgets/result.h"

namespace overnight::study {

using Read = budgets::Result<std::int64_t, std::string>;

inline constexpr std::int64_t duration_ms_max =
    std::int64_t{36'525} * 86'400'000;                            // 100 years: longer is a typing slip
inline constexpr std::int64_t bytes_max = std::int64_t{1} << 60;  // 1 EiB: no machine has more
inline constexpr std::int64_t microusd_max = std::int64_t{1'000'000'000} * 1'000'000;  // a billion dollars
inline constexpr std::int64_t count_max = 1'000'000'000'000;                           // 10^12 of anything

// "500ms" "20s" "10m" "8h" "2d", also "1h30m"; in milliseconds. 0 needs no unit.
Read parse_duration(const std::string& text);
// "64GiB" "10MB" "500k" "100B"; in bytes. 0 needs no unit.
Read parse_bytes(const std::string& text);
// "$20" "$0.05"; in millionths of a dollar.
Read parse_money(const std::string& text);
// "2000" "100k" "20M" "1.5M".
Read parse_count(const std::string& text);
// "10%" or "10".
Read parse_percent(const std::string& text);

// The shortest text that is read back as the same number: "1h30m", "64GiB", "$0.05".
std::string duration_text(std::int64_t ms);
std::string bytes_text(std::int64_t bytes);
std::string money_text(std::int64_t microusd);

}  // namespace overnight::study
