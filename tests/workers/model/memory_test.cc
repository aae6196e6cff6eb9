#include "workers/model/memory.h"

#include <gtest/gtest.h>

namespace overnight::workers {
namespace {

TEST(Memory, IsWhatTheMachineHas) {
  EXPECT_GT(memory_available(), 1u << 20);
  EXPECT_EQ(why_too_large(1 << 20), "");
}

TEST(Memory, ThatIsNotThereIsRefusedInWords) {
  EXPECT_NE(why_too_large(std::uint64_t{1} << 60).find("GiB"), std::string::npos);
  EXPECT_EQ(why_too_large(3 << 20, 2 << 20), "it needs 3.0 MiB of memory, and the experiment may have 2.0 MiB");
}

}  // namespace
}  // namespace overnight::workers
