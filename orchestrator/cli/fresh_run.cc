#include "orchestrator/cli/fresh_run.h"

#include <fmt/format.h>

#include <cctype>
#include <cstdio>
#include <ctime>
#include <random>

namespace overnight::cli {
namespace {

constexpr std::size_t name_max = 40;  // of the study's name within a run's
constexpr std::time_t hour = 3600;

std::tm local_parts(std::time_t seconds) {
  std::tm parts{};
  localtime_r(&seconds, &parts);
  return parts;
}

// The first moment after `after` on the day `days` behind that of `now` when the clock shows that time; none if it
// never does.
std::optional<std::time_t> shown_on(std::time_t now, int days, int hours, int minutes, std::time_t after) {
  std::optional<std::time_t> first;
  for (const int summer : {1, 0, -1}) {
    std::tm parts = local_parts(now);
    parts.tm_mday += days;
    parts.tm_hour = hours;
    parts.tm_min = minutes;
    parts.tm_sec = 0;
    parts.tm_isdst = summer;
    const std::time_t when = std::mktime(&parts);
    const std::tm shown = local_parts(when);
    const bool fits = shown.tm_hour == hours && shown.tm_min == minutes;
    if (fits && when > after && (!first || when < *first)) first = when;
  }
  return first;
}

}  // namespace

core::RunId fresh_run_id(const std::string& study_name, budgets::WallTime now) {
  std::string name;
  for (const char c : study_name.substr(0, name_max))
    name.push_back(std::isalnum(static_cast<unsigned char>(c)) ? c : '-');
  const std::tm parts = local_parts(now.ms() / 1000);
  char day[16];
  std::strftime(day, sizeof day, "%Y-%m-%d", &parts);
  std::random_device random;
  return {fmt::format("{}-{}-{:06x}", day, name, random() & 0xffffff)};
}

std::optional<budgets::WallTime> next_time_of_day(const std::string& text, budgets::WallTime now) {
  int hours = -1, minutes = -1;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%2d:%2d%c", &hours, &minutes, &rest) != 2 || hours < 0 || hours > 23 || minutes < 0 ||
      minutes > 59)
    return std::nullopt;
  const std::time_t seconds = now.ms() / 1000;
  for (const int days : {0, 1}) {
    if (const auto when = shown_on(seconds, days, hours, minutes, seconds))
      return budgets::WallTime::at(std::int64_t{*when} * 1000);
    // Skipped on that day: an hour behind the time an hour earlier, which is behind the leap.
    const auto earlier = shown_on(seconds, hours == 0 ? days - 1 : days, (hours + 23) % 24, minutes, 0);
    const bool leaps = earlier && local_parts(*earlier + hour).tm_hour != hours;
    if (leaps && *earlier + hour > seconds) return budgets::WallTime::at(std::int64_t{*earlier + hour} * 1000);
  }
  return std::nullopt;
}

}  // namespace overnight::cli
