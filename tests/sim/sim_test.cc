// The simulator's short form, for every build; with OVERNIGHT_TORTURE set, the long one.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/sim/planted.h"
#include "tests/sim/seeds.h"

namespace overnight::sim {
namespace {

bool torture() { return std::getenv("OVERNIGHT_TORTURE") != nullptr; }

constexpr std::uint64_t first_seed = 1;

TEST(Simulator, EveryInvariantHoldsInEverySeedAndWasPutToTheTest) {
  Tried tried;
  const std::uint64_t seeds = torture() ? 20'000 : 80;
  const auto found = try_seeds(first_seed, seeds, tried);
  if (found) {
    FAIL() << "seed " << found->seed << " broke: " << found->how << "\nsee it again: sim --seed " << found->seed << "\n"
           << found->trace;
  }
  for (const auto& [name, times] : tried.counts) {
    RecordProperty("checked", static_cast<int>(times % 1'000'000'000));
    EXPECT_GE(times, 5) << "hardly ever put to the test: " << name;
  }
  EXPECT_GE(tried.counts.size(), 38u) << "some check was never reached";
  EXPECT_GT(tried.lives, tried.seeds) << "no orchestrator ever died";
  EXPECT_GT(tried.runs_ended, 50) << "hardly any run ended for good";
}

TEST(Simulator, TheSameSeedIsTheSameWorld) {
  Counts counts;
  World one(draw(7), counts), two(draw(7), counts);
  one.run();
  two.run();
  ASSERT_EQ(one.journal().entries.size(), two.journal().entries.size());
  EXPECT_EQ(one.journal().entries.back().state_hash, two.journal().entries.back().state_hash);
}

class PlantedBugs : public testing::TestWithParam<PlantedBug> {};

TEST_P(PlantedBugs, IsFoundByTheInvariantThatIsMeantForIt) {
  plant(GetParam().bug);
  testing::internal::CaptureStderr();  // broken invariants of the core speak up there
  Tried tried;
  const auto found = try_seeds(first_seed, 200, tried);
  testing::internal::GetCapturedStderr();
  plant(Bug::none);
  ASSERT_TRUE(found) << "not found in " << tried.seeds << " seeds";
  EXPECT_EQ(found->name, GetParam().found_by) << "seed " << found->seed << ": " << found->how;
}

INSTANTIATE_TEST_SUITE_P(Simulator, PlantedBugs, testing::ValuesIn(planted_bugs),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
}  // namespace overnight::sim
