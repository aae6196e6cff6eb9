#include "orchestrator/study/quantities.h"

#include <array>
#include <optional>
#include <span>
#include <string_view>

namespace overnight::study {
namespace {

__extension__ using Wide = unsigned __int128;

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::array<Unit, 5> durations{{{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};
constexpr std::array<Unit, 17> sizes{{{"TiB", std::int64_t{1} << 40},
                                      {"GiB", std::int64_t{1} << 30},
                                      {"MiB", std::int64_t{1} << 20},
                                      {"KiB", 1024},
                                      {"B", 1},
                                      {"TB", 1'000'000'000'000},
                                      {"GB", 1'000'000'000},
                                      {"MB", 1'000'000},
                                      {"kB", 1000},
                                      {"KB", 1000},
                                      {"PiB", std::int64_t{1} << 50},
                                      {"PB", 1'000'000'000'000'000},
                                      {"k", 1000},
                                      {"K", 1000},
                                      {"M", 1'000'000},
                                      {"G", 1'000'000'000},
                                      {"T", 1'000'000'000'000}}};
constexpr std::array<Unit, 6> counts{
    {{"", 1}, {"k", 1000}, {"K", 1000}, {"M", 1'000'000}, {"G", 1'000'000'000}, {"B", 1'000'000'000}}};
constexpr std::array<Unit, 2> percents{{{"", 1}, {"%", 1}}};
constexpr std::array<Unit, 1> dollars{{{"", 1'000'000}}};

constexpr int digits_max = 19;  // fits 64 bits without a sign

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "12.5": mantissa 125, scale 10. Moves `at` behind it.
struct Decimal {
  std::uint64_t mantissa = 0;
  std::int64_t scale = 1;
};
std::optional<Decimal> decimal_at(const std::string& text, std::size_t& at) {
  Decimal read;
  int digits = 0;
  bool fraction = false;
  for (; at < text.size(); ++at) {
    if (text[at] == '.' && !fraction && digits > 0 && at + 1 < text.size() && is_digit(text[at + 1])) {
      fraction = true;
    } else if (is_digit(text[at])) {
      if (++digits > digits_max) return std::nullopt;
      read.mantissa = read.mantissa * 10 + static_cast<std::uint64_t>(text[at] - '0');
      if (fraction) read.scale *= 10;
    } else {
      break;
    }
  }
  return digits == 0 ? std::nullopt : std::optional(read);
}

// One number with its unit, or several in a row ("1h30m").
Read with_units(const std::string& text, std::size_t at, std::span<const Unit> units, bool several, std::int64_t most,
                const std::string& like) {
  const auto refuse = [&](const std::string& why) { return budgets::unexpected(why + "; " + like); };
  std::int64_t sum = 0;
  if (at >= text.size()) return refuse("is empty");
  while (at < text.size()) {
    const auto number = decimal_at(text, at);
    if (!number) return refuse(text[at] == '-' ? "must not be negative" : "is not a number with a unit");
    const std::size_t from = at;
    while (at < text.size() && !is_digit(text[at])) ++at;
    const std::string_view name = std::string_view(text).substr(from, at - from);
    const Unit* unit = nullptr;
    for (const Unit& one : units) {
      if (one.name == name) unit = &one;
    }
    if (unit == nullptr) return refuse(name.empty() ? "has no unit" : "has a unit that is not known here");
    if (!several && at < text.size()) return refuse("is more than one number");
    const Wide exact = static_cast<Wide>(number->mantissa) * static_cast<Wide>(unit->factor);
    const Wide rounded = (exact + static_cast<Wide>(number->scale) / 2) / static_cast<Wide>(number->scale);
    if (rounded == 0 && exact != 0) return refuse("is less than one unit can hold");
    if (rounded > static_cast<Wide>(most - sum)) return refuse("is larger than anything that makes sense");
    sum += static_cast<std::int64_t>(rounded);
  }
  return sum;
}

std::string in_largest(std::int64_t value, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (value % unit.factor == 0) return std::to_string(value / unit.factor) + std::string(unit.name);
  }
  return std::to_string(value);
}

}  // namespace

Read parse_duration(const std::string& text) {
  if (text == "0") return 0;
  return with_units(text, 0, durations, true, duration_ms_max, "write a time like 500ms, 20s, 10m, 8h, 2d or 1h30m");
}

Read parse_bytes(const std::string& text) {
  if (text == "0") return 0;
  return with_units(text, 0, sizes, false, bytes_max, "write a size like 64GiB, 10MB or 512KiB");
}

Read parse_money(const std::string& text) {
  const std::string like = "write dollars like $20 or $0.05";
  if (text.empty() || text[0] != '$') return budgets::unexpected("has no unit; " + like);
  return with_units(text, 1, dollars, false, microusd_max, like);
}

Read parse_count(const std::string& text) {
  const std::string like = "write a whole number like 2000, 100k or 20M";
  std::size_t at = 0;
  const auto number = decimal_at(text, at);
  if (number && number->scale > 1 && at == text.size()) return budgets::unexpected("is not whole; " + like);
  return with_units(text, 0, counts, false, count_max, like);
}

Read parse_percent(const std::string& text) {
  return with_units(text, 0, percents, false, 100, "write a share from 0% to 100%");
}

std::string duration_text(std::int64_t ms) {
  if (ms == 0) return "0";
  std::string text;
  for (const Unit& unit : durations) {
    if (ms >= unit.factor) text += std::to_string(ms / unit.factor) + std::string(unit.name);
    ms %= unit.factor;
  }
  return text;
}

std::string bytes_text(std::int64_t bytes) { return bytes == 0 ? "0" : in_largest(bytes, std::span(sizes).first(5)); }

std::string money_text(std::int64_t microusd) {
  std::string text = "$" + std::to_string(microusd / 1'000'000);
  std::int64_t rest = microusd % 1'000'000;
  if (rest == 0) return text;
  std::string digits = std::to_string(1'000'000 + rest).substr(1);
  while (digits.back() == '0') digits.pop_back();
  return text + "." + digits;
}

}  // namespace overnight::study
