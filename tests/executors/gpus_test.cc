#include "orchestrator/executors/gpus.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "orchestrator/executors/gpu_watch.h"
#include "tests/workers/keeper/kept_attempt.h"

namespace overnight::executors {
namespace {

using core::SlotFound;
using core::SlotId;

class GpusTest : public testing::Test {
 protected:
  GpusFound gpus(const std::string& file) {
    ::setenv("OVERNIGHT_FAKE_GPUS", folder_.write("gpus", file).c_str(), 1);
    return find_gpus(OVERNIGHT_FAKE_NVML);
  }
  // As the executor asks: who is foreign is its judgement.
  GpusFound seen(const std::string& file) {
    ::setenv("OVERNIGHT_FAKE_GPUS", folder_.write("gpus", file).c_str(), 1);
    return source_();
  }
  static std::string own_pid() { return std::to_string(::getpid()); }
  workers::Folder folder_;
  std::function<GpusFound()> source_ = gpu_source(OVERNIGHT_FAKE_NVML);
};

TEST_F(GpusTest, AreNoneWhereThereIsNoDriverAndItSaysSo) {
  const auto none = find_gpus("libno-such-driver.so");
  EXPECT_TRUE(none.found.empty());
  EXPECT_NE(none.note.find("no NVIDIA driver"), std::string::npos);
}

TEST_F(GpusTest, AreNoneWhereTheDriverDoesNotAnswer) {
  ::unsetenv("OVERNIGHT_FAKE_GPUS");
  EXPECT_EQ(find_gpus(OVERNIGHT_FAKE_NVML).note, "the NVIDIA driver does not answer");
}

TEST_F(GpusTest, AreFoundWithUuidAndName) {
  const auto found = gpus("GPU-1 H200\nGPU-2 A100\n").found;
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].uuid, "GPU-1");
  EXPECT_EQ(found[1].name, "A100");
  EXPECT_EQ(found[0].used_by, "");
}

TEST_F(GpusTest, WithAForeignProcessAreNotFree) {
  const auto found = gpus("GPU-1 H200 1\nGPU-2 H200 " + own_pid() + "\n").found;
  EXPECT_EQ(found[0].used_by, "process 1");
  EXPECT_EQ(found[1].used_by, "") << "what runs below us is ours";
}

TEST_F(GpusTest, WhoseUsersCannotBeToldAreNotFree) {
  std::string many = "GPU-2 H200";
  for (int i = 0; i < 100; ++i) many += " 1";
  const auto found = gpus("GPU-1 broken\n" + many + "\nGPU-3 H200 3999999\n").found;
  EXPECT_EQ(found[0].used_by, "its users cannot be asked for");
  EXPECT_EQ(found[1].used_by, "more than 64 processes");
  EXPECT_NE(found[2].used_by.find("not visible"), std::string::npos);
}

std::map<SlotId, SlotFound> two_slots() {
  return {{SlotId{1}, {SlotId{1}, "H200", {}, {"GPU-1"}}}, {SlotId{2}, {SlotId{2}, "H200", {}, {"GPU-2"}}}};
}

TEST_F(GpusTest, ASlotIsUnusableWhileSomebodyElseIsOnItAndUsableAgainAfter) {
  std::map<SlotId, std::string> reasons;
  EXPECT_TRUE(judge_slots(two_slots(), seen("GPU-1 H\nGPU-2 H " + own_pid() + "\n"), reasons).empty());
  auto told = judge_slots(two_slots(), seen("GPU-1 H\nGPU-2 H " + own_pid() + " 1\n"), reasons);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].checked, (core::SlotChecked{SlotId{2}, false, "process 1 uses GPU-2"}));
  EXPECT_TRUE(told[0].disturbed && told[0].changed);
  told = judge_slots(two_slots(), seen("GPU-1 H\nGPU-2 H 1\n"), reasons);
  ASSERT_EQ(told.size(), 1u) << "still disturbed: what was started meanwhile is, too";
  EXPECT_FALSE(told[0].changed);
  told = judge_slots(two_slots(), seen("GPU-1 H\nGPU-2 H\n"), reasons);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].checked.usable);
}

TEST_F(GpusTest, AProcessThatHasJustEndedDisturbsNobody) {
  std::map<SlotId, std::string> reasons;
  EXPECT_TRUE(judge_slots(two_slots(), seen("GPU-1 H 3999999\nGPU-2 H\n"), reasons).empty());
}

TEST_F(GpusTest, AGpuThatTheDriverDoesNotNameAnyMoreIsUnusable) {
  std::map<SlotId, std::string> reasons;
  const auto told = judge_slots(two_slots(), seen("GPU-1 H\n"), reasons);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_FALSE(told[0].checked.usable);
  EXPECT_FALSE(told[0].disturbed);
}

}  // namespace
}  // namespace overnight::executors
