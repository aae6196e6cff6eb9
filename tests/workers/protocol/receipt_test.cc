#include "workers/protocol/receipt.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace overnight::workers {
namespace {

Receipt sample() {
  Receipt receipt;
  receipt.run = "r";
  receipt.attempt = 3;
  receipt.nonce = "n";
  receipt.cause = Cause::out_of_memory;
  receipt.detail = "attempt.memory 2 GiB reached";
  receipt.log_tail = "Traceback\n";
  receipt.killed_in_ms = 4;
  receipt.phases = {{Phase::train, 1, 2, -1, 9, true, 3, 4, 5, 6, {}}};
  receipt.metrics = {{"val_bpb", {2.5, 10, Phase::evaluate, false}}};
  return receipt;
}

std::string refusal(const std::string& text) {
  const auto receipt = receipt_from_json(text);
  return receipt ? "" : receipt.error().explain;
}

std::string with(const std::string& from, const std::string& to) {
  std::string text = to_json(sample());
  const auto at = text.find(from);
  return at == std::string::npos ? "the sample has no " + from : text.replace(at, from.size(), to);
}

TEST(Receipt, SurvivesTheWayThroughJson) {
  const auto back = receipt_from_json(to_json(sample()));
  ASSERT_TRUE(back) << back.error().explain;
  EXPECT_EQ(*back, sample());
}

RC_GTEST_PROP(Receipt, AnyNumbersAndCausesSurvive, (std::int64_t took, std::int64_t peak)) {
  Receipt receipt = sample();
  receipt.cause = static_cast<Cause>(*rc::gen::inRange(0, 12));
  receipt.took_ms = took & INT64_MAX;
  receipt.phases[0].memory_peak_bytes = peak;
  const auto back = receipt_from_json(to_json(receipt));
  RC_ASSERT(back.has_value());
  RC_ASSERT(*back == receipt);
}

TEST(Receipt, BytesThatAreNoUtf8AreReplacedSoThatTheReceiptStaysReadable) {
  Receipt receipt = sample();
  receipt.log_tail = "\xff\xfe";
  EXPECT_TRUE(receipt_from_json(to_json(receipt)));
}

TEST(Receipt, WhatItsGpusDidSurvivesToo) {
  Receipt receipt = sample();
  GpuUse slowed, unknown;
  slowed.uuid = "GPU-1", slowed.judged_ms = 10, slowed.slowed_ms = 4, slowed.slowed_by = {"sync boost"};
  unknown.uuid = "GPU-2";
  receipt.phases[0].gpus = {slowed, unknown};
  const auto back = receipt_from_json(to_json(receipt));
  ASSERT_TRUE(back) << back.error().explain;
  EXPECT_EQ(*back, receipt);
  receipt.phases[0].gpus[0].slowed_ms = 11;
  EXPECT_EQ(refusal(to_json(receipt)), "gpus: has a number that cannot be");
}

TEST(Receipt, OfAVersionThatKnewNothingOfGpusIsRead) {
  EXPECT_EQ(to_json(sample()).find("gpus"), std::string::npos) << "such a one says nothing of them, as this does";
  EXPECT_TRUE(receipt_from_json(to_json(sample())));
}

TEST(Receipt, AMetricThatIsNoNumberIsRefused) {
  EXPECT_EQ(refusal(with("2.5", "\"2.5\"")), "metrics.val_bpb.value: must be a number");
  EXPECT_EQ(refusal(with("2.5", "null")), "metrics.val_bpb.value: must be a number");
  EXPECT_TRUE(refusal(with("2.5", "NaN")).starts_with("not valid JSON"));
  EXPECT_TRUE(refusal(with("2.5", "1e999")).starts_with("not valid JSON"));
}

TEST(Receipt, AnUnknownCauseIsRefused) {
  EXPECT_EQ(refusal(with("out_of_memory", "lucky")), "cause: no cause has this name");
}

TEST(Receipt, AFieldGivenTwiceIsRefused) {
  EXPECT_EQ(refusal(with("\"run\":\"r\"", R"("run":"r","run":"s")")), "run: is given twice");
}

TEST(Receipt, AnOverlongLogTailIsRefused) {
  Receipt receipt = sample();
  receipt.log_tail = std::string(log_tail_bytes_max + 1, 'x');
  EXPECT_EQ(refusal(to_json(receipt)), "log_tail: is longer than 4096 bytes");
}

TEST(Receipt, AnOverlongTextIsRefusedBeforeItIsParsed) {
  EXPECT_EQ(refusal(std::string(receipt_bytes_max + 1, '{')), "the text: is longer than 262144 bytes");
}

TEST(Receipt, ANegativeTimeIsRefused) {
  EXPECT_EQ(refusal(with("\"took_ms\":0", "\"took_ms\":-1")), "took_ms: must not be negative");
}

}  // namespace
}  // namespace overnight::workers
