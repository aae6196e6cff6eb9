// Who is remembered as one of the best, and what that costs.
#include <gtest/gtest.h>

#include "tests/core/home.h"

namespace overnight::core {
namespace {

// Runs one more search experiment to this score; tells whether the leaders' row has to be written again.
bool touches_leaders(Home& home, double x, double score) {
  home.offer({x});
  const AttemptId attempt = home.all<Launch>().back().attempt;
  home.score(attempt, score);
  return home.changes.touched.contains({home.run, RunPart::leaders});
}

TEST(Leaders, OnlyAScoreThatGetsAPlaceTouchesThem) {
  Home home(1);
  Study study = small_study();
  home.start(study);
  home.score(home.all<Launch>()[0].attempt, 100);
  for (std::size_t i = 0; i < leaders_max; ++i) {
    EXPECT_TRUE(touches_leaders(home, 0.001 * static_cast<double>(i), 10 + static_cast<double>(i)));
  }
  ASSERT_EQ(home.live().leaders.size(), leaders_max);
  const auto before = home.live().leaders;
  EXPECT_FALSE(touches_leaders(home, 0.9, 1000)) << "worse than all";
  EXPECT_FALSE(touches_leaders(home, 0.91, before.back().search.mean)) << "a tie: the older one stays";
  EXPECT_EQ(home.live().leaders, before);
  EXPECT_EQ(home.live().counts.scored, static_cast<std::int64_t>(leaders_max) + 3);
  EXPECT_TRUE(touches_leaders(home, 0.92, 5)) << "better than all";
  EXPECT_EQ(home.live().leaders.size(), leaders_max);
  EXPECT_EQ(home.live().leaders.front().search.mean, 5);
  EXPECT_EQ(home.live().best, 5);
}

}  // namespace
}  // namespace overnight::core
