#include "budgets/ledger.h"

#include <gtest/gtest.h>

namespace overnight::budgets {
namespace {

// One unit in one dimension, the others empty.
struct Dimension {
  std::string name;
  Cost one;
};

std::vector<Dimension> all_dimensions() {
  return {{"slot_time", {.slot_time = SlotMillis::of(1)}},
          {"gpu_time", {.gpu_time = GpuMillis::of(1)}},
          {"experiments", {.experiments = Experiments::of(1)}},
          {"actions", {.actions = Actions::of(1)}},
          {"llm_cost", {.money = MicroUsd::of(1)}},
          {"llm_tokens", {.tokens = Tokens::of(1)}},
          {"disk", {.disk = Bytes::of(1)}}};
}

Cost times(const Cost& cost, std::int64_t n) {
  return Cost::each(cost, cost, [n](auto a, auto) { return a * n; });
}

TEST(Ledger, RefusesInEveryDimensionWhatTheGrantDoesNotPayAndSaysWhich) {
  for (const auto& [name, one] : all_dimensions()) {
    Ledger ledger(times(one, 5));
    EXPECT_TRUE(ledger.reserve(times(one, 5))) << name;
    const auto refused = ledger.affords(one);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error(), (LedgerRefusal{refused.error().dimension, 1, 0}));
    EXPECT_EQ(refused.error().dimension, name);
    EXPECT_TRUE(refused.error().explain().starts_with(name + ": ")) << refused.error().explain();
  }
}

TEST(Ledger, ARefusalSaysItsUnit) {
  EXPECT_EQ((LedgerRefusal{"slot_time", 12000, 11999}.explain()), "slot_time: 12000 ms wanted, 11999 ms left");
  EXPECT_EQ((LedgerRefusal{"llm_cost", 161948, -2999000000}.explain()),
            "llm_cost: $0.161948 wanted, $-2999.000000 left");
  EXPECT_EQ((LedgerRefusal{"disk", 6, 5}.explain()), "disk: 6 bytes wanted, 5 bytes left");
  EXPECT_EQ((LedgerRefusal{"experiments", 1, 0}.explain()), "experiments: 1 wanted, 0 left");
}

TEST(Ledger, ARefusalChangesNothing) {
  Ledger ledger(Cost{.actions = Actions::of(3)});
  const Ledger before = ledger;
  EXPECT_FALSE(ledger.reserve({.actions = Actions::of(4)}));
  EXPECT_EQ(ledger, before);
}

TEST(Ledger, SettlingGivesTheRestBackAndReleasingGivesBackAll) {
  for (const auto& [name, one] : all_dimensions()) {
    Ledger ledger(times(one, 10));
    const auto used = ledger.reserve(times(one, 6)), unused = ledger.reserve(times(one, 4));
    ledger.settle(*used, times(one, 2));
    ledger.release(*unused);
    EXPECT_EQ(ledger.settled(), times(one, 2)) << name;
    EXPECT_EQ(ledger.left(), times(one, 8)) << name;
    EXPECT_EQ(ledger.reserved(), Cost{}) << name;
  }
}

TEST(Ledger, WhatPassesItsReservationIsCountedApartAndDrawsOnWhatIsLeft) {
  for (const auto& [name, one] : all_dimensions()) {
    Ledger ledger(times(one, 10));
    const auto reservation = ledger.reserve(times(one, 4));
    ledger.settle(*reservation, times(one, 7));
    EXPECT_EQ(ledger.settled(), times(one, 4)) << name;
    EXPECT_EQ(ledger.overrun(), times(one, 3)) << name;
    EXPECT_EQ(ledger.left(), times(one, 3)) << name;
  }
}

TEST(Ledger, AnOverrunPastTheGrantStopsAllFurtherReservations) {
  Ledger ledger(Cost{.money = MicroUsd::of(10)});
  const auto reservation = ledger.reserve({.money = MicroUsd::of(10)});
  ledger.settle(*reservation, {.money = MicroUsd::of(25)});
  EXPECT_EQ(ledger.left().money, MicroUsd::of(-15));
  EXPECT_FALSE(ledger.reserve({.money = MicroUsd::of(1)}));
  EXPECT_TRUE(ledger.reserve({})) << "what costs nothing is always paid for";
}

TEST(Ledger, WhatNobodyKnowsIsSettledAtItsWorst) {
  for (const auto& [name, one] : all_dimensions()) {
    Ledger ledger(times(one, 10));
    ledger.settle_unknown(*ledger.reserve(times(one, 4)));
    EXPECT_EQ(ledger.settled(), times(one, 4)) << name;
  }
}

TEST(Ledger, DiskComesBackFirstFromTheOverrun) {
  Ledger ledger(Cost{.disk = Bytes::of(10)});
  ledger.settle(*ledger.reserve({.disk = Bytes::of(4)}), {.disk = Bytes::of(6)});
  ledger.give_back(Bytes::of(3));
  EXPECT_EQ(ledger.overrun().disk, Bytes{});
  EXPECT_EQ(ledger.settled().disk, Bytes::of(3));
  EXPECT_EQ(ledger.left().disk, Bytes::of(7));
}

TEST(Ledger, ASmallerGrantTakesNothingBackAndStopsWhatIsNew) {
  Ledger ledger(Cost{.actions = Actions::of(10)});
  const auto running = ledger.reserve({.actions = Actions::of(6)});
  ledger.regrant({.actions = Actions::of(4)});
  EXPECT_FALSE(ledger.reserve({.actions = Actions::of(1)}));
  ledger.settle(*running, {.actions = Actions::of(1)});
  EXPECT_TRUE(ledger.reserve({.actions = Actions::of(3)}));
}

TEST(Ledger, IsTheSameAfterItsBookWasStored) {
  Ledger ledger(Cost{.actions = Actions::of(10), .tokens = Tokens::of(100)});
  ASSERT_TRUE(ledger.reserve({.actions = Actions::of(2), .tokens = Tokens::of(30)}));
  ledger.settle(*ledger.reserve({.actions = Actions::of(1)}), {.actions = Actions::of(2)});
  EXPECT_EQ(Ledger::from(ledger.book()), ledger);
}

TEST(LedgerDeathTest, AReservationIsClosedExactlyOnce) {
  Ledger ledger(Cost{.actions = Actions::of(1)});
  const auto reservation = ledger.reserve({.actions = Actions::of(1)});
  ledger.release(*reservation);
  EXPECT_DEATH(ledger.settle(*reservation, {}), "a reservation is closed exactly once");
}

TEST(LedgerDeathTest, NoMoreDiskComesBackThanWasSettled) {
  Ledger ledger(Cost{.disk = Bytes::of(10)});
  EXPECT_DEATH(ledger.give_back(Bytes::of(1)), "no more disk is given back than was settled");
}

}  // namespace
}  // namespace overnight::budgets
