// "until 07:30" is the next time that the local clock shows it: across midnight, and on the nights when clocks change.
#include "orchestrator/cli/fresh_run.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace overnight::cli {
namespace {

// A zone whose rules stand in its name, so that no zone files are needed: Central Europe.
class Berlin : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* zone = std::getenv("TZ")) before_ = zone;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
  }
  void TearDown() override {
    before_.empty() ? unsetenv("TZ") : setenv("TZ", before_.c_str(), 1);
    tzset();
  }
  static budgets::WallTime at(int year, int month, int day, int hour, int minute, int summer) {
    std::tm parts{};
    parts.tm_year = year - 1900;
    parts.tm_mon = month - 1;
    parts.tm_mday = day;
    parts.tm_hour = hour;
    parts.tm_min = minute;
    parts.tm_isdst = summer;
    return budgets::WallTime::at(std::int64_t{std::mktime(&parts)} * 1000);
  }
  std::string before_;
};

constexpr int winter = 0, summer = 1;

TEST_F(Berlin, IsTodayIfTheTimeIsStillToCome) {
  EXPECT_EQ(next_time_of_day("23:30", at(2026, 11, 24, 22, 0, winter)), at(2026, 11, 24, 23, 30, winter));
}

TEST_F(Berlin, IsTomorrowAcrossMidnight) {
  EXPECT_EQ(next_time_of_day("07:30", at(2026, 11, 24, 22, 0, winter)), at(2026, 11, 25, 7, 30, winter));
  EXPECT_EQ(next_time_of_day("00:00", at(2026, 12, 31, 23, 59, winter)), at(2027, 1, 1, 0, 0, winter));
}

TEST_F(Berlin, TheSameMinuteMeansTomorrow) {
  EXPECT_EQ(next_time_of_day("07:30", at(2026, 11, 25, 7, 30, winter)), at(2026, 11, 26, 7, 30, winter));
}

TEST_F(Berlin, IsByTheClockOnTheShortAndOnTheLongNight) {
  const auto spring = next_time_of_day("07:30", at(2026, 3, 28, 22, 0, winter));
  EXPECT_EQ(spring, at(2026, 3, 29, 7, 30, summer));
  EXPECT_EQ((*spring - at(2026, 3, 28, 22, 0, winter)).count(), 8.5 * 3'600'000) << "an hour less than it looks";
  const auto autumn = next_time_of_day("07:30", at(2026, 10, 24, 22, 0, summer));
  EXPECT_EQ(autumn, at(2026, 10, 25, 7, 30, winter));
  EXPECT_EQ((*autumn - at(2026, 10, 24, 22, 0, summer)).count(), 10.5 * 3'600'000);
}

TEST_F(Berlin, ATimeThatIsSkippedIsTakenBehindTheLeap) {
  EXPECT_EQ(next_time_of_day("02:30", at(2026, 3, 28, 22, 0, winter)), at(2026, 3, 29, 3, 30, summer));
  EXPECT_EQ(next_time_of_day("02:30", at(2026, 3, 29, 1, 45, winter)), at(2026, 3, 29, 3, 30, summer));
  EXPECT_EQ(next_time_of_day("02:30", at(2026, 3, 29, 4, 0, summer)), at(2026, 3, 30, 2, 30, summer));
}

TEST_F(Berlin, ATimeThatComesTwiceIsTakenWhenItComesNext) {
  EXPECT_EQ(next_time_of_day("02:30", at(2026, 10, 24, 22, 0, summer)), at(2026, 10, 25, 2, 30, summer));
  EXPECT_EQ(next_time_of_day("02:30", at(2026, 10, 25, 2, 45, summer)), at(2026, 10, 25, 2, 30, winter));
}

TEST_F(Berlin, WhatIsNoTimeOfDayIsNone) {
  for (const char* text : {"", "7", "24:00", "12:60", "-1:30", "12:30x", "noon", "12.30"})
    EXPECT_EQ(next_time_of_day(text, at(2026, 11, 24, 22, 0, winter)), std::nullopt) << text;
}

TEST_F(Berlin, ARunIsNamedAfterItsDayAndStudyAndIsUnlikeAnyOther) {
  const auto one = fresh_run_id("tiny lm/../x", at(2026, 11, 24, 0, 30, winter));
  EXPECT_TRUE(one.text.starts_with("2026-11-24-tiny-lm----x-")) << one.text;
  EXPECT_NE(one.text, fresh_run_id("tiny lm/../x", at(2026, 11, 24, 0, 30, winter)).text);
  EXPECT_LT(fresh_run_id(std::string(500, 'n'), at(2026, 11, 24, 0, 30, winter)).text.size(), 64u);
}

}  // namespace
}  // namespace overnight::cli
