#include "orchestrator/executors/receipt_event.h"

#include <gtest/gtest.h>

namespace overnight::executors {
namespace {

workers::Receipt sample() {
  workers::Receipt receipt;
  receipt.attempt = 7;
  receipt.cause = core::Cause::completed;
  receipt.took_ms = 1500;
  receipt.metrics = {{"loss", {0.5, -1, core::Phase::train, true}}, {"other", {2, -1, core::Phase::train, true}}};
  receipt.phases = {{core::Phase::train, 0, 900, 0, 0, false, 0, 5000, 0, 0, {}},
                    {core::Phase::evaluate, 0, 100, 0, 0, false, 0, 7000, 0, 0, {}}};
  return receipt;
}

TEST(ReceiptEvent, CarriesTheObjectiveAsScore) {
  const auto gone = gone_from(sample(), "loss");
  EXPECT_EQ(gone.score, 0.5);
  EXPECT_TRUE(gone.self_reported);
  EXPECT_EQ(gone.metrics.at("other"), 2);
  EXPECT_EQ(gone.took, core::Millis::of(1500));
  EXPECT_EQ(gone.phase_ms.at("evaluate"), 100);
  EXPECT_EQ(gone.memory_peak_bytes, 7000);
}

TEST(ReceiptEvent, SumsUpWhatTheGpusDidInItsPhases) {
  EXPECT_TRUE(gone_from(sample(), "loss").gpus.empty());
  auto receipt = sample();
  workers::GpuUse use;
  use.uuid = "GPU-1";
  use.judged_ms = 900, use.slowed_ms = 100, use.energy_mj = 7;
  receipt.phases[0].gpus = receipt.phases[1].gpus = {use};
  const auto gone = gone_from(receipt, "loss");
  ASSERT_EQ(gone.gpus.size(), 1u);
  EXPECT_EQ(gone.gpus[0].slowed_ms, 200);
  EXPECT_EQ(gone.gpus[0].energy_mj, 14);
}

TEST(ReceiptEvent, HasNoScoreUnlessItCompleted) {
  auto receipt = sample();
  receipt.cause = core::Cause::timeout;
  EXPECT_FALSE(gone_from(receipt, "loss").score);
  EXPECT_FALSE(gone_from(sample(), "missing").score);
}

TEST(ReceiptEvent, DoesNotTakeNegativeAmounts) {
  auto receipt = sample();
  receipt.took_ms = -5;
  receipt.artifact_bytes = -1;
  receipt.killed_in_ms = -1;
  const auto gone = gone_from(receipt, "loss");
  EXPECT_EQ(gone.took, core::Millis::of(0));
  EXPECT_EQ(gone.artifacts, budgets::Bytes{});
  receipt.phases = {{.log_kept_bytes = -7}, {.log_kept_bytes = 100}, {.log_kept_bytes = 20}};
  EXPECT_EQ(gone_from(receipt, "loss").logs, budgets::Bytes::of(120));
  EXPECT_EQ(gone.killed_in, core::Millis{});
}

TEST(ReceiptEvent, WithoutAReceiptNobodyKnowsWhatItTook) {
  EXPECT_FALSE(gone_without_receipt(core::AttemptId{1}, core::Cause::infrastructure, "x").took);
}

}  // namespace
}  // namespace overnight::executors
