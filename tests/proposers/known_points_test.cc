#include "orchestrator/proposers/known_points.h"

#include <gtest/gtest.h>

namespace overnight::proposers {
namespace {

ports::KnownTrial trial(double x) { return {core::ExperimentId{1}, {{"x", x}}, x, "", "", ""}; }
std::string hash(double x) { return core::canonical_hash({{"x", x}}); }

TEST(History, ACopyStaysAsItWasWhileTheOriginalGrows) {
  ports::History history;
  for (int i = 0; i < 300; ++i) history.push_back(trial(i));
  const ports::History before = history;
  for (int i = 300; i < 600; ++i) history.push_back(trial(i));
  ASSERT_EQ(before.size(), 300u);
  EXPECT_EQ(before.back(), trial(299));
  int expected = 0;
  for (const ports::KnownTrial& one : history) EXPECT_EQ(one, trial(expected++));
  EXPECT_EQ(expected, 600);
  EXPECT_TRUE(history.continues(before));
  EXPECT_FALSE(before.continues(history));
}

TEST(History, CopiesThatGoDifferentWaysDoNotDisturbEachOther) {
  ports::History one;
  one.push_back(trial(0));
  ports::History other = one;
  one.push_back(trial(1));
  other.push_back(trial(2));
  EXPECT_EQ(one.back(), trial(1));
  EXPECT_EQ(other.back(), trial(2));
  EXPECT_FALSE(one.continues(other));
  EXPECT_FALSE(other.continues(one));
}

TEST(KnownPoints, PendingPointsAreForgottenWithTheirAskAndRunOnesAreNot) {
  KnownPoints known;
  ports::AskRequest request;
  request.history.push_back(trial(1));
  request.pending = {{{"x", 2.0}}};
  known.begin(request);
  EXPECT_TRUE(known.was_run(hash(1)));
  EXPECT_TRUE(known.contains(hash(2)));
  EXPECT_FALSE(known.add(hash(2)));
  EXPECT_TRUE(known.add(hash(3)));
  request.pending.clear();
  request.history.push_back(trial(4));
  EXPECT_TRUE(known.begin(request));
  EXPECT_FALSE(known.contains(hash(2)));
  EXPECT_FALSE(known.contains(hash(3)));
  EXPECT_TRUE(known.was_run(hash(1)));
  EXPECT_TRUE(known.was_run(hash(4)));
}

TEST(KnownPoints, AnotherHistoryIsTakenInFromItsBeginning) {
  KnownPoints known;
  ports::AskRequest request;
  request.history.push_back(trial(1));
  known.begin(request);
  ports::AskRequest other;
  other.history.push_back(trial(5));
  other.history.push_back(trial(6));
  EXPECT_FALSE(known.begin(other));
  EXPECT_FALSE(known.contains(hash(1)));
  EXPECT_TRUE(known.contains(hash(5)));
}

}  // namespace
}  // namespace overnight::proposers
