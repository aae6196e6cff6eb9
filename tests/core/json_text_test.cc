#include "orchestrator/core/json_text.h"

#include <gtest/gtest.h>

#include <limits>

#include "orchestrator/core/codec.h"
#include "tests/core/home.h"

namespace overnight::core {
namespace {

using nlohmann::json;

// Both ways of writing say the same.
template <typename T>
void expect_same(const T& value) {
  EXPECT_EQ(json::parse(json_text(value)), json(value));
}

TEST(JsonText, SaysWhatATreeWouldSay) {
  Home home(2);
  home.start(small_study());
  home.score(home.all<Launch>()[0].attempt, 1.0 / 3);
  home.offer({0.1, 0.7, 1.0});
  const core::Run& run = home.live();
  expect_same(run.trials);
  expect_same(run.experiments);
  expect_same(run.attempts);
  expect_same(run.asks);
  expect_same(run.ledger);
  expect_same(run.breakers);
  expect_same(run.counts);
  expect_same(run.proposers);
  expect_same(run.leaders);
  expect_same(run.baseline);
  expect_same(home.state.slots);
  for (const NumberedAction& action : home.changes.actions)
    EXPECT_EQ(json::parse(action_to_json(action))["id"], number(action.id));
}

TEST(JsonText, EscapesWhatNeedsItAndReplacesWhatIsNoText) {
  EXPECT_EQ(json_text(std::string("a\"b\\c\n\x01 \xc3\xa9")), R"("a\"b\\c\n\u0001 é")");
  EXPECT_EQ(json::parse(json_text(std::string("\xff"))), "\xef\xbf\xbd");
  EXPECT_EQ(json_text(std::map<std::string, std::int64_t>{{"a\"", 1}, {"b", 2}}), R"({"a\"":1,"b":2})");
}

TEST(JsonText, NumbersReadBackAsWhatTheyWere) {
  for (const double value : {0.0, -0.0, 1.0, 1e22, 1e-300, 0.1, 1.0 / 3, -123456789.25,
                             std::numeric_limits<double>::max(), std::numeric_limits<double>::denorm_min()}) {
    const json read = json::parse(json_text(value));
    EXPECT_TRUE(read.is_number_float()) << json_text(value);
    EXPECT_EQ(read.get<double>(), value);
  }
  EXPECT_EQ(json_text(std::numeric_limits<double>::infinity()), "null");
  EXPECT_EQ(json_text(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(json_text(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(json_text(std::vector<double>{}), "[]");
  EXPECT_EQ(json_text(std::optional<double>{}), "null");
}

}  // namespace
}  // namespace overnight::core
