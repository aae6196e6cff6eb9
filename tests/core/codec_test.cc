// Every event and every action survives its JSON; text that is none is refused with a reason.
#include "orchestrator/core/codec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "tests/core/home.h"

namespace overnight::core {
namespace {

std::string any_text() {
  // Printable, with what JSON must escape; journals hold UTF-8.
  return *rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab Z09\"\\/\n\t{}[]:,\x01")));
}
std::int64_t any_number() { return *rc::gen::arbitrary<std::int64_t>(); }
std::int64_t any_count() { return *rc::gen::inRange<std::int64_t>(0, 1'000'000); }
double any_real() {
  const double real = *rc::gen::arbitrary<double>();
  return std::isfinite(real) ? real : 0.5;
}
Moment any_moment() { return Moment::at(any_count()); }
RunId any_run() { return {any_text()}; }
std::optional<RunId> maybe_run() { return *rc::gen::arbitrary<bool>() ? std::optional(any_run()) : std::nullopt; }
budgets::Cost any_cost() {
  return {budgets::SlotMillis::of(any_number()),  budgets::GpuMillis::of(any_number()),
          budgets::Experiments::of(any_number()), budgets::Actions::of(any_number()),
          budgets::MicroUsd::of(any_number()),    budgets::Tokens::of(any_number()),
          budgets::Bytes::of(any_number())};
}
ParamValue any_value() {
  switch (any_count() % 4) {
    case 0:
      return any_number();
    case 1:
      return any_real();
    case 2:
      return any_text();
    default:
      return *rc::gen::arbitrary<bool>();
  }
}
Params any_params() {
  Params params;
  for (std::int64_t i = any_count() % 4; i > 0; --i) params[any_text()] = any_value();
  return params;
}
std::vector<Proposal> any_proposals() {
  std::vector<Proposal> proposals(static_cast<std::size_t>(any_count() % 3));
  for (Proposal& one : proposals) one = {any_params(), any_text(), {ExperimentId{any_count()}}};
  return proposals;
}
SlotFound any_slot() { return {SlotId{any_count()}, any_text(), {0, 3}, {any_text()}}; }

Study any_study() {
  Study study = small_study();
  study.owner = any_text();
  study.objective.direction = *rc::gen::element(Direction::minimize, Direction::maximize);
  study.objective.minimum_effect = any_real();
  study.objective.tradeoffs = {{any_text(), *rc::gen::element(Direction::minimize, Direction::maximize)}};
  study.task.build = PhaseSpec{{any_text()}, Millis::of(any_count()), Millis::of(any_count()), 2, seconds(1), {}};
  study.task.train.metrics = {{any_text(), any_text()}};
  study.task.seed = {*rc::gen::element(SeedDelivery::Kind::env, SeedDelivery::Kind::replace), any_text(), any_text()};
  study.task.secrets = {{any_text(), any_text()}};
  study.baseline = any_params();
  study.space.dimensions.push_back(
      {any_text(), IntRange{1, any_count(), Scale::log, 2}, {{any_text(), {any_value()}}}});
  study.space.dimensions.push_back({any_text(), Choice{{any_value(), any_value()}}, {}});
  study.proposers[0].settings = {{any_text(), any_text()}};
  study.proposers[0].points = {any_params()};
  study.run_budget.wall = Millis::of(any_count());
  study.governor.breakers.on_crash_rate = *rc::gen::element(budgets::TripLevel::note, budgets::TripLevel::lock);
  return study;
}

AttemptGone any_gone() {
  AttemptGone gone{AttemptId{any_number()}};
  gone.cause = *rc::gen::element(Cause::completed, Cause::crash, Cause::bad_metric, Cause::lease_lost);
  gone.phase = *rc::gen::element(Phase::build, Phase::train, Phase::evaluate);
  gone.detail = any_text();
  gone.log_tail = any_text();
  if (*rc::gen::arbitrary<bool>()) gone.score = any_real();
  if (*rc::gen::arbitrary<bool>()) gone.took = Millis::of(any_count());
  gone.metrics[any_text()] = any_real();
  gone.phase_ms[any_text()] = any_number();
  gone.artifacts = budgets::Bytes::of(any_number());
  gone.disturbed = *rc::gen::arbitrary<bool>();
  if (*rc::gen::arbitrary<bool>()) {
    workers::GpuUse& use = gone.gpus.emplace_back();
    use.uuid = any_text();
    use.judged_ms = any_count();
    use.slowed_by = {any_text(), any_text()};
    use.energy_mj = any_number();
    use.energy_from_power = *rc::gen::arbitrary<bool>();
  }
  return gone;
}

Event any_event(std::size_t index) {
  switch (index) {
    case 0:
      return HomeOpened{Epoch{any_count()}, any_text(), {any_slot(), any_slot()}};
    case 1:
      return TimePassed{};
    case 2:
      return RunStarted{any_run(), any_study(), WallTime::at(any_number()), {any_cost()}};
    case 3:
      return RunResumed{any_run()};
    case 4:
      return HaltRequested{maybe_run(), any_text(), any_text(), any_text()};
    case 5:
      return HoldRequested{any_run(), any_text(), any_text()};
    case 6:
      return ReleaseRequested{maybe_run(), any_text(), any_text()};
    case 7:
      return DrainRequested{any_run(), any_text()};
    case 8:
      return StopRequested{any_run(), any_text()};
    case 9:
      return BudgetChanged{any_run(), any_cost(), Millis::of(any_count()), any_text(), any_text()};
    case 10:
      return OffersArrived{any_run(), AskId{any_count()}, any_proposals(), any_text(), true, any_cost(),
                           false,     any_count(),        any_count()};
    case 11:
      return Enqueued{any_run(), any_proposals(), any_text()};
    case 12:
      return AttemptStarted{AttemptId{any_number()}};
    case 13:
      return AttemptInPhase{AttemptId{any_number()}, *rc::gen::element(Phase::build, Phase::evaluate)};
    case 14:
      return any_gone();
    case 15:
      return Observed{any_moment(), {AttemptId{any_number()}, AttemptId{any_number()}}};
    case 16:
      return SlotChecked{SlotId{any_number()}, *rc::gen::arbitrary<bool>(), any_text()};
    default:
      return ArtifactsDropped{AttemptId{any_number()}, any_run(), budgets::Bytes::of(any_number())};
  }
}

Action any_action(std::size_t index) {
  switch (index) {
    case 0:
      return Launch{AttemptId{any_number()},
                    TrialId{any_number()},
                    ExperimentId{any_number()},
                    any_run(),
                    SlotId{any_number()},
                    any_params(),
                    any_number(),
                    Purpose::confirm,
                    Millis::of(any_count())};
    case 1:
      return StopAttempt{AttemptId{any_number()}, *rc::gen::element(StopLevel::drain, StopLevel::kill), any_text()};
    case 2:
      return Ask{AskId{any_number()}, any_run(), any_text(), any_count(), *rc::gen::arbitrary<std::uint64_t>(),
                 {any_params()}};
    case 3:
      return DropArtifacts{AttemptId{any_number()}, any_run()};
    default:
      return PublishReport{any_run(), *rc::gen::arbitrary<bool>()};
  }
}

TEST(Codec, TheGeneratorsMakeEveryAlternative) {
  rc::check("each index makes the alternative of that index", [] {
    for (std::size_t i = 0; i < std::variant_size_v<Event>; ++i) RC_ASSERT(any_event(i).index() == i);
    for (std::size_t i = 0; i < std::variant_size_v<Action>; ++i) RC_ASSERT(any_action(i).index() == i);
  });
}

RC_GTEST_PROP(Codec, EveryInputSurvivesItsJson, ()) {
  const auto index = *rc::gen::inRange<std::size_t>(0, std::variant_size_v<Event>);
  const Input input{any_moment(), WallTime::at(any_number()), *rc::gen::arbitrary<std::uint64_t>(), any_event(index)};
  const auto read = input_from_json(input_to_json(input));
  RC_ASSERT(read.has_value());
  RC_ASSERT(*read == input);
}

RC_GTEST_PROP(Codec, EveryActionSurvivesItsJson, ()) {
  const auto index = *rc::gen::inRange<std::size_t>(0, std::variant_size_v<Action>);
  const NumberedAction action{ActionId{any_number()}, any_action(index)};
  const auto read = action_from_json(action_to_json(action));
  RC_ASSERT(read.has_value());
  RC_ASSERT(*read == action);
}

RC_GTEST_PROP(Codec, DamagedInputsAreRefusedOrReadAndNeverCrash, ()) {
  const auto index = *rc::gen::inRange<std::size_t>(0, std::variant_size_v<Event>);
  std::string text = input_to_json({any_moment(), WallTime::at(1), 7, any_event(index)});
  const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
  text[at] = static_cast<char>(*rc::gen::inRange(0, 256));
  const auto read = input_from_json(text);
  RC_ASSERT(read.has_value() || !read.error().empty());
  const auto cut = input_from_json(text.substr(0, at));
  RC_ASSERT(!cut.has_value());
}

TEST(Codec, AStudyOfAnEarlierHomeHasNoTradeoffs) {
  auto j = nlohmann::json::parse(study_to_json(small_study()));
  ASSERT_EQ(j["objective"].erase("tradeoffs"), 1u);
  EXPECT_EQ(study_from_json(j.dump()), small_study());
}

TEST(Codec, AnAttemptOfAnEarlierHomeSaysNothingOfItsGpus) {
  const Input input{Moment::at(1), WallTime::at(1), 1, AttemptGone{AttemptId{1}}};
  const std::string text = input_to_json(input);
  EXPECT_EQ(text.find("gpus"), std::string::npos) << "and is written as it was then";
  EXPECT_TRUE(input_from_json(text));
}

TEST(Codec, HostileTextIsRefusedWithAReason) {
  const std::string deep(100'000, '[');
  for (const std::string& text :
       {std::string(), std::string("null"), std::string("[]"), deep, std::string(R"({"now_ms":"5"})"),
        std::string(R"({"now_ms":1,"wall_unix_ms":1,"seed":1,"event":"launch_missiles","data":{}})"),
        std::string(R"({"now_ms":1,"wall_unix_ms":1,"seed":1,"event":"attempt_gone","data":{}})"),
        std::string(R"({"now_ms":1e400,"wall_unix_ms":1,"seed":1,"event":"time_passed","data":{}})")}) {
    const auto read = input_from_json(text);
    ASSERT_FALSE(read) << text.substr(0, 80);
    EXPECT_FALSE(read.error().empty());
  }
  EXPECT_EQ(action_from_json(R"({"id":1,"action":"launch_missiles","data":{}})").error(),
            "unknown action \"launch_missiles\"");
}

TEST(Recordable, WhatJsonCannotHoldLeavesTheEventBeforeItIsStepped) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  AttemptGone gone{AttemptId{1}};
  gone.cause = Cause::completed;
  gone.score = nan;
  gone.metrics = {{"loss", infinity}, {"steps", 3.0}};
  gone.took = Millis::of(-5);
  gone.artifacts = budgets::Bytes::of(-1);
  Event event = gone;
  make_recordable(event);
  const auto& clean = std::get<AttemptGone>(event);
  EXPECT_EQ(clean.cause, Cause::bad_metric);
  EXPECT_FALSE(clean.score);
  EXPECT_EQ(clean.metrics, (std::map<std::string, double>{{"steps", 3.0}}));
  EXPECT_EQ(clean.took, Millis{});
  EXPECT_EQ(clean.artifacts, budgets::Bytes{});

  OffersArrived offers;
  offers.proposals = {{{{"x", nan}}, "", {}}, {{{"x", 0.5}}, "", {}}};
  event = offers;
  make_recordable(event);
  EXPECT_EQ(std::get<OffersArrived>(event).proposals.size(), 1u);
  EXPECT_EQ(std::get<OffersArrived>(event).refused, 1);
  const Input input{Moment::at(1), WallTime::at(1), 1, event};
  EXPECT_EQ(*input_from_json(input_to_json(input)), input);
}

}  // namespace
}  // namespace overnight::core
