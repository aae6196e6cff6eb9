// Quantities as people write them in a study: "20s", "8h", "64GiB", "$20", "20M". Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace overnight::study {

// "500ms" "20s" "10m" "8h" "2d", also "1h30m"; in milliseconds. A bare number has no unit and is refused, 0 apart.
std::optional<std::int64_t> parse_duration(const std::string& text);
// "64GiB" "10MB" "512KiB" "100B"; in bytes.
std::optional<std::int64_t> parse_bytes(const std::string& text);
// "$20" "$0.05"; in millionths of a dollar.
std::optional<std::int64_t> parse_money(const std::string& text);
// "2000" "100k" "20M" "1.5M".
std::optional<std::int64_t> parse_count(const std::string& text);
// "10%" or "10".
std::optional<std::int64_t> parse_percent(const std::string& text);

}  // namespace overnight::study
