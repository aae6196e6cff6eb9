#include "orchestrator/executors/slots.h"

#include <gtest/gtest.h>

#include <set>

namespace overnight::executors {
namespace {

std::vector<GpuFound> gpus(int count) {
  std::vector<GpuFound> found;
  for (int i = 1; i <= count; ++i) found.push_back({"GPU-" + std::to_string(i), "H200", "", {}});
  return found;
}

TEST(Slots, WithoutGpusAreSharesOfTheCpusThatDoNotOverlap) {
  const auto slots = slots_of({0, 1, 2, 3, 4, 5, 6}, {}, 2, 0, 0);
  ASSERT_EQ(slots.size(), 3u);
  std::set<int> seen;
  for (const auto& slot : slots) {
    EXPECT_EQ(slot.cpus.size(), 2u);
    EXPECT_EQ(slot.slot_class, "cpu");
    for (const int cpu : slot.cpus) EXPECT_TRUE(seen.insert(cpu).second) << cpu;
  }
}

TEST(Slots, AreAlwaysAtLeastOneWithoutGpus) {
  const auto slots = slots_of({0, 1}, {}, 8, 0, 0);
  ASSERT_EQ(slots.size(), 1u);
  EXPECT_EQ(slots[0].cpus, (std::vector<int>{0, 1}));
}

TEST(Slots, MoreThanThereAreCpusShareThem) {
  const auto slots = slots_of({0, 1}, {}, 1, 0, 4);
  ASSERT_EQ(slots.size(), 4u);
  for (const auto& slot : slots) EXPECT_EQ(slot.cpus.size(), 1u);
}

TEST(Slots, WithGpusAreGroupsOfFreeOnes) {
  auto found = gpus(5);
  found[1].used_by = "process 7";
  const auto slots = slots_of({0, 1, 2, 3}, found, 1, 2, 0);
  ASSERT_EQ(slots.size(), 2u);
  EXPECT_EQ(slots[0].gpus, (std::vector<std::string>{"GPU-1", "GPU-3"}));
  EXPECT_EQ(slots[1].gpus, (std::vector<std::string>{"GPU-4", "GPU-5"}));
  EXPECT_EQ(slots[0].slot_class, "H200");
}

TEST(Slots, WithGpusAreNeverMoreThanTheGpusWhateverIsWanted) {
  EXPECT_EQ(slots_of({0}, gpus(2), 1, 1, 8).size(), 2u);
  EXPECT_EQ(slots_of({0}, gpus(4), 1, 1, 3).size(), 3u);
  EXPECT_TRUE(slots_of({0}, {}, 1, 1, 0).empty());
}

TEST(Slots, UsableCpusAreThoseOfThisProcess) { EXPECT_FALSE(usable_cpus().empty()); }

}  // namespace
}  // namespace overnight::executors
