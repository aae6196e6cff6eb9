// When proposers are asked: ahead of need, never beyond the money, and never waiting for a slow one.
#include <gtest/gtest.h>

#include "tests/core/home.h"

namespace overnight::core {
namespace {

using budgets::MicroUsd;
using budgets::Tokens;

Study two_proposers() {
  Study study = small_study();
  study.proposers = {ProposerSpec{.kind = "llm", .name = "model", .share = 0.5},
                     ProposerSpec{.kind = "tpe", .name = "tpe", .share = 0.5}};
  return study;
}

budgets::Cost call(std::int64_t microusd) {
  return {.actions = budgets::Actions::of(1), .money = MicroUsd::of(microusd), .tokens = Tokens::of(microusd)};
}

void answer(Home& home, const Ask& ask, const std::vector<double>& xs, const budgets::Cost& used = {},
            bool cost_unknown = false) {
  OffersArrived offers;
  offers.run = home.run;
  offers.ask = ask.ask;
  for (const double x : xs) offers.proposals.push_back({{{"x", x}}, "", {}});
  offers.used = used;
  offers.cost_unknown = cost_unknown;
  home.tell(offers);
}

std::optional<Ask> open_ask(const Home& home, const std::string& proposer) {
  std::optional<Ask> found;
  for (const Ask& ask : home.all<Ask>()) {
    const auto& open = home.state.runs.at(home.run).asks;
    if (ask.proposer == proposer && open.contains(ask.ask)) found = ask;
  }
  return found;
}

TEST(Asking, AProposerThatNeverAnswersLeavesNoSlotIdle) {
  constexpr int slots = 4;
  Home home(slots);
  home.start(two_proposers());
  home.score(home.all<Launch>()[0].attempt, 1.0);
  ASSERT_TRUE(open_ask(home, "model")) << "it is asked, and says nothing from now on";
  double x = 0;
  const auto answer_tpe = [&] {
    while (const auto ask = open_ask(home, "tpe")) {
      std::vector<double> points;
      for (std::int64_t i = 0; i < ask->count; ++i) points.push_back((x += 1) / 1000);
      answer(home, *ask, points);
    }
  };
  answer_tpe();
  for (int trial = 0; trial < 100; ++trial) {
    ASSERT_EQ(home.live().attempts.size(), static_cast<std::size_t>(slots)) << "after " << trial << " trials";
    home.score(home.live().attempts.begin()->first, 0.5);
    answer_tpe();
  }
  EXPECT_EQ(home.live().proposers[0].admitted, 0);
  EXPECT_GE(home.live().proposers[1].admitted, 100);
  EXPECT_EQ(home.live().asks.size(), 1u) << "the slow one was asked once and is not asked again";
}

TEST(Asking, AProposerThatFallsSilentIsToldOnceAndSoIsThatItSpeaksAgain) {
  Study study = small_study();
  study.governor.breakers.proposer_faults = 0;
  Home home(1);
  home.start(study);
  home.score(home.all<Launch>()[0].attempt, 1.0);
  const auto news = [&] {
    std::vector<std::string> told;
    for (const Note& note : home.notes) {
      if (note.kind == "proposer") told.push_back(note.text);
    }
    return told;
  };
  for (int i = 0; i < 5; ++i) {
    while (!open_ask(home, "random")) ASSERT_TRUE(home.wait());
    EXPECT_EQ(news().size(), i < 3 ? 0u : 1u);
    OffersArrived nothing{home.run, open_ask(home, "random")->ask};
    nothing.failure = "connection refused";
    home.tell(nothing);
  }
  EXPECT_EQ(news()[0], "random has not answered 3 times in a row: connection refused");
  EXPECT_EQ(home.live().proposers[0].last_failure, "connection refused");
  while (!open_ask(home, "random")) ASSERT_TRUE(home.wait());
  answer(home, *open_ask(home, "random"), {0.3});
  ASSERT_EQ(news().size(), 2u);
  EXPECT_EQ(news()[1], "random answers again");
}

TEST(Asking, AServerThatAsksForTimeGetsItButNotBeyondAnHour) {
  for (const std::int64_t asked : {600, 86'400}) {
    Home home(1);
    home.start(small_study());
    home.score(home.all<Launch>()[0].attempt, 1.0);
    OffersArrived limited{home.run, open_ask(home, "random")->ask};
    limited.failure = "the server answered 429";
    limited.wait = budgets::seconds(asked);
    home.tell(limited);
    EXPECT_EQ(home.live().proposers[0].not_before - Moment::at(home.now),
              budgets::seconds(std::min<std::int64_t>(asked, 3600)));
  }
}

TEST(Asking, AProposerThatNeverAnswersKeepsNoExperimentForItself) {
  Study study = two_proposers();
  study.run_budget.experiments = budgets::Experiments::of(6);
  Home home(2);
  home.start(study);
  home.score(home.all<Launch>()[0].attempt, 1.0);
  ASSERT_TRUE(open_ask(home, "model"));
  double x = 0;
  for (int turn = 0; turn < 20 && home.live().search_ended.empty(); ++turn) {
    while (const auto ask = open_ask(home, "tpe")) {
      std::vector<double> points;
      for (std::int64_t i = 0; i < ask->count; ++i) points.push_back((x += 1) / 1000);
      answer(home, *ask, points);
    }
    if (!home.live().attempts.empty()) home.score(home.live().attempts.begin()->first, 0.5);
  }
  EXPECT_EQ(home.live().proposers[1].admitted, 6);
  EXPECT_EQ(home.live().search_ended, "the number of experiments is reached");
  while (!home.live().attempts.empty()) home.score(home.live().attempts.begin()->first, 0.5);
  ASSERT_TRUE(open_ask(home, "model"));
  answer(home, *open_ask(home, "model"), {0.9});
  EXPECT_EQ(home.ended.at(0).proposers[0].admitted, 0) << "too late, and settled all the same";
}

TEST(Asking, ProposalsThatCameLateKeepTheNameOfWhoMadeThem) {
  Home home(1);
  home.start(two_proposers());
  home.score(home.all<Launch>()[0].attempt, 1.0);
  const auto slow = open_ask(home, "model");
  ASSERT_TRUE(slow);
  answer(home, *open_ask(home, "tpe"), {0.1});
  answer(home, *slow, {0.2});
  std::map<double, std::string> makers;
  for (const auto& [_, experiment] : home.live().experiments)
    makers[std::get<double>(experiment.params.at("x"))] = experiment.proposer;
  EXPECT_EQ(makers, (std::map<double, std::string>{{0.1, "tpe"}, {0.2, "model"}}));
}

TEST(Asking, TheMoneyCapEndsAskingAndTheOtherProposerGoesOn) {
  Study study = two_proposers();
  study.run_budget.llm_cost = MicroUsd::of(250);
  Home home(1);
  home.tell(RunStarted{home.run, study, WallTime::never(), {call(100), {}}});
  home.score(home.all<Launch>()[0].attempt, 1.0);
  for (int i = 1; i <= 40; ++i) {
    if (const auto ask = open_ask(home, "model")) answer(home, *ask, {i / 100.0}, call(90));
    if (const auto ask = open_ask(home, "tpe")) answer(home, *ask, {0.5 + i / 100.0});
    ASSERT_FALSE(home.live().attempts.empty());
    home.score(home.live().attempts.begin()->first, 0.5);
    ASSERT_LE((home.live().ledger.settled() + home.live().ledger.reserved()).money, MicroUsd::of(250));
  }
  // 90 + 90 settled leave 70: less than a third call could cost.
  EXPECT_EQ(home.live().proposers[0].asks, 2);
  EXPECT_EQ(home.live().proposers[0].used.money, MicroUsd::of(180));
  EXPECT_EQ(home.live().ledger.settled().money, MicroUsd::of(180));
  EXPECT_GT(home.live().proposers[1].admitted, 20);
  EXPECT_TRUE(home.live().search_ended.empty());
}

TEST(Asking, TheMoneyCapEndsTheSearchWhenNobodyElseProposes) {
  Study study = small_study();
  study.run_budget.llm_cost = MicroUsd::of(100);
  Home home(1);
  home.tell(RunStarted{home.run, study, WallTime::never(), {call(100)}});
  home.score(home.all<Launch>()[0].attempt, 1.0);
  answer(home, *open_ask(home, "random"), {0.1}, call(1));
  home.score(home.all<Launch>()[1].attempt, 0.5);
  ASSERT_EQ(home.ended.size(), 1u) << "without an end the slot would stand empty all night";
  EXPECT_EQ(home.ended[0].end->kind, EndKind::done);
  EXPECT_NE(home.ended[0].end->reason.find("llm_cost: $0.000100 wanted, $0.000099 left"), std::string::npos)
      << home.ended[0].end->reason;
}

TEST(Asking, WhatACallCostIsUnknownIsSettledAtItsWorst) {
  Study study = two_proposers();
  study.run_budget.llm_cost = MicroUsd::of(1000);
  Home home(1);
  home.tell(RunStarted{home.run, study, WallTime::never(), {call(100), {}}});
  home.score(home.all<Launch>()[0].attempt, 1.0);
  answer(home, *open_ask(home, "model"), {0.1}, call(3), true);
  EXPECT_EQ(home.live().ledger.settled().money, MicroUsd::of(100));
  EXPECT_EQ(home.live().proposers[0].used.tokens, Tokens::of(100));
}

TEST(Asking, ARemarkOfAProposerIsANote) {
  Home home(1);
  home.start(small_study());
  home.score(home.all<Launch>()[0].attempt, 1.0);
  OffersArrived offers;
  offers.run = home.run;
  offers.ask = home.all<Ask>().back().ask;
  offers.proposals.push_back({{{"x", 0.1}}, "", {}});
  offers.remark = "the server answered as another model";
  home.tell(offers);
  EXPECT_TRUE(std::any_of(home.notes.begin(), home.notes.end(), [](const Note& note) {
    return note.text == "random: the server answered as another model";
  }));
}

}  // namespace
}  // namespace overnight::core
