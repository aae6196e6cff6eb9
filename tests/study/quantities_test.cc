#include "orchestrator/study/quantities.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace overnight::study {
namespace {

TEST(Quantities, AreReadWithTheirUnits) {
  EXPECT_EQ(parse_duration("500ms").value(), 500);
  EXPECT_EQ(parse_duration("20s").value(), 20'000);
  EXPECT_EQ(parse_duration("1h30m").value(), 5'400'000);
  EXPECT_EQ(parse_duration("1.5h").value(), 5'400'000);
  EXPECT_EQ(parse_duration("2d").value(), 172'800'000);
  EXPECT_EQ(parse_duration("0").value(), 0);
  EXPECT_EQ(parse_bytes("64GiB").value(), std::int64_t{64} << 30);
  EXPECT_EQ(parse_bytes("10MB").value(), 10'000'000);
  EXPECT_EQ(parse_bytes("500k").value(), 500'000);
  EXPECT_EQ(parse_bytes("0.5KiB").value(), 512);
  EXPECT_EQ(parse_money("$20").value(), 20'000'000);
  EXPECT_EQ(parse_money("$0.05").value(), 50'000);
  EXPECT_EQ(parse_count("2000").value(), 2000);
  EXPECT_EQ(parse_count("100k").value(), 100'000);
  EXPECT_EQ(parse_count("1.5M").value(), 1'500'000);
  EXPECT_EQ(parse_percent("10%").value(), 10);
}

TEST(Quantities, WithoutUnitNegativeOrAbsurdAreRefused) {
  for (const char* text : {"", "20", "h", "-1h", "1e3s", "1h30", "1 h", "1,5h", "1..5h", ".5h", "1.h", "inf", "nans",
                           "9999999999999999999h", "200000000d", "0.0001ms", "1h;"})
    EXPECT_FALSE(parse_duration(text)) << text;
  for (const char* text : {"", "64", "GiB", "64GiB1KiB", "-1k", "64 GiB", "9999999999TiB", "0.1B", "64gib"})
    EXPECT_FALSE(parse_bytes(text)) << text;
  for (const char* text : {"", "20", "$", "$-1", "$1k", "20$", "$1e3", "$99999999999999", "$0.0000001"})
    EXPECT_FALSE(parse_money(text)) << text;
  for (const char* text : {"", "1.5", "-3", "10x", "k", "1k2", "9999999999999"})
    EXPECT_FALSE(parse_count(text)) << text;
  for (const char* text : {"", "101%", "-1%", "x", "%"}) EXPECT_FALSE(parse_percent(text)) << text;
}

TEST(Quantities, SayWhatIsWrongAndHowToWriteIt) {
  EXPECT_EQ(parse_duration("20").error(), "has no unit; write a time like 500ms, 20s, 10m, 8h, 2d or 1h30m");
  EXPECT_EQ(parse_bytes("3GX").error(), "has a unit that is not known here; write a size like 64GiB, 10MB or 512KiB");
  EXPECT_EQ(parse_money("20").error(), "has no unit; write dollars like $20 or $0.05");
  EXPECT_EQ(parse_count("1.5").error(), "is not whole; write a whole number like 2000, 100k or 20M");
}

RC_GTEST_PROP(Quantities, DurationsReadBackAsTheyWereWritten, ()) {
  const auto ms = *rc::gen::inRange<std::int64_t>(0, duration_ms_max);
  RC_ASSERT(parse_duration(duration_text(ms)).value() == ms);
}
RC_GTEST_PROP(Quantities, BytesReadBackAsTheyWereWritten, ()) {
  const auto bytes = *rc::gen::inRange<std::int64_t>(0, bytes_max);
  RC_ASSERT(parse_bytes(bytes_text(bytes)).value() == bytes);
}
RC_GTEST_PROP(Quantities, MoneyReadsBackAsItWasWritten, ()) {
  const auto microusd = *rc::gen::inRange<std::int64_t>(0, microusd_max);
  RC_ASSERT(parse_money(money_text(microusd)).value() == microusd);
}
RC_GTEST_PROP(Quantities, AnyTextIsReadOrRefused, (const std::string& text)) {
  for (const auto parse : {parse_duration, parse_bytes, parse_money, parse_count, parse_percent}) {
    const Read read = parse(text);
    RC_ASSERT(!read || (*read >= 0 && *read <= bytes_max));
  }
}

}  // namespace
}  // namespace overnight::study
