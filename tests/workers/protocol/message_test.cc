#include "workers/protocol/message.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

namespace overnight::workers {
namespace {

std::string refusal(std::string_view line) {
  const auto message = message_from_json(line);
  return message ? "" : message.error().explain;
}

TEST(Message, EveryKindSurvivesTheWayThroughJson) {
  const std::vector<Message> messages{{1, "n", 0, GrantLease{5000}},
                                      {1, "n", 1, Stop{StopLevel::drain, "a person asked"}},
                                      {1, "n", 2, KeeperReady{42, "cgroup"}},
                                      {1, "n", 3, PhaseStarted{Phase::evaluate, 43}},
                                      {1, "n", 4, MetricSeen{"loss", 0.1, 7, Phase::train}},
                                      {1, "n", 5, Ended{Cause::out_of_disk}}};
  for (const auto& message : messages) {
    const std::string line = to_json_line(message);
    EXPECT_EQ(line.back(), '\n');
    const auto back = message_from_json(line);
    ASSERT_TRUE(back) << back.error().explain;
    EXPECT_EQ(*back, message);
  }
}

RC_GTEST_PROP(Message, AnyFiniteMetricIsReadBackToTheBit, (double value, std::int64_t step)) {
  RC_PRE(std::isfinite(value));
  const Message message{1, "n", 1, MetricSeen{"m", value, step, Phase::train}};
  const auto back = message_from_json(to_json_line(message));
  RC_ASSERT(back.has_value());
  RC_ASSERT(*back == message);
}

RC_GTEST_PROP(Message, AnyBytesAreReadOrRefusedButNeverAbort, (const std::string& bytes)) {
  (void)message_from_json(bytes);
}

TEST(Message, NotANumberIsRefused) {
  const Message message{1, "n", 1, MetricSeen{"m", std::nan(""), 0, Phase::train}};
  EXPECT_EQ(refusal(to_json_line(message)), "data.value: must be a number");
  EXPECT_NE(
      refusal(
          R"({"attempt":1,"nonce":"n","sequence":1,"type":"metric_seen","data":{"name":"m","value":1e999,"step":1,"phase":"train"}})"),
      "");
}

TEST(Message, AnUnknownTypeIsRefused) {
  EXPECT_EQ(refusal(R"({"attempt":1,"nonce":"n","sequence":1,"type":"raise_budget","data":{}})"),
            "type: no message has this name");
}

TEST(Message, AnUnknownFieldIsRefused) {
  EXPECT_EQ(refusal(R"({"attempt":1,"nonce":"n","sequence":1,"type":"ended","data":{"cause":"crash","x":1}})"),
            "data.x: is not a known field");
}

TEST(Message, AFieldGivenTwiceIsRefused) {
  EXPECT_EQ(refusal(R"({"attempt":1,"attempt":2,"nonce":"n","sequence":1,"type":"ended","data":{"cause":"crash"}})"),
            "attempt: is given twice");
}

TEST(Message, AMissingFieldIsRefused) {
  EXPECT_EQ(refusal(R"({"attempt":1,"nonce":"n","type":"ended","data":{"cause":"crash"}})"), "sequence: is missing");
}

TEST(Message, AWrongTypeIsRefused) {
  EXPECT_EQ(refusal(R"({"attempt":"1","nonce":"n","sequence":1,"type":"ended","data":{"cause":"crash"}})"),
            "attempt: must be a whole number");
  EXPECT_EQ(refusal(R"({"attempt":1.5,"nonce":"n","sequence":1,"type":"ended","data":{"cause":"crash"}})"),
            "attempt: must be a whole number");
  EXPECT_EQ(
      refusal(R"({"attempt":18446744073709551615,"nonce":"n","sequence":1,"type":"ended","data":{"cause":"crash"}})"),
      "attempt: is larger than 64 bits hold");
}

TEST(Message, AnOverlongLineIsRefused) {
  EXPECT_EQ(refusal(std::string(message_bytes_max + 1, ' ')), "the text: is longer than 16384 bytes");
}

TEST(Message, DeepNestingIsRefusedWithoutUsingTheStack) {
  EXPECT_EQ(refusal(std::string(message_bytes_max, '[')), "the text: is nested too deep");
}

}  // namespace
}  // namespace overnight::workers
