// The loop: inputs in order, a commit before any action, nothing performed that was not committed, the outbox again
// after a crash. Driven from one thread on a fake clock.
#include "orchestrator/shell/loop.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <limits>

#include "orchestrator/core/limits.h"
#include "tests/core/home.h"
#include "tests/fakes/fake_executor.h"
#include "tests/fakes/fake_journal.h"
#include "tests/fakes/fake_proposer.h"

namespace overnight::shell {
namespace {

using core::RunId;

struct JournalFailed {};

// One life of the orchestrator after another on the same journal and executor.
struct Lives {
  fakes::FakeClock clock;
  fakes::Random random{7};
  fakes::FakeJournal journal;
  fakes::FakeExecutor executor{clock, random};
  fakes::ProposerMoods moods;
  std::unique_ptr<boost::asio::io_context> io;
  std::unique_ptr<Loop> loop;
  std::vector<std::function<void()>> asks;  // that wait for their thread
  std::vector<std::string> published;
  core::Moment wake = core::Moment::never();
  bool keeps_own_time = false;              // from the next `begin` on
  fakes::FakeProposer* proposer = nullptr;  // the newest
  std::int64_t epoch = 0;
  RunId run{"run-1"};

  Lives() { begin(); }
  ~Lives() { end(); }

  void end() {
    asks.clear();
    loop.reset();
    io.reset();
  }
  void begin() {
    end();
    io = std::make_unique<boost::asio::io_context>();
    Surroundings around;
    around.make_proposer = [this](const core::Study&,
                                  std::size_t) -> budgets::Result<std::unique_ptr<ports::Proposer>, std::string> {
      auto made = std::make_unique<fakes::FakeProposer>(moods, random, budgets::Cost{});
      proposer = made.get();
      return made;
    };
    around.publish = [this](const RunId& id, bool) { published.push_back(id.text); };
    around.journal_failed = [](const std::string&) { throw JournalFailed{}; };
    around.entropy = [this] { return random(); };
    around.apart = [this](std::function<void()> work) { asks.push_back(std::move(work)); };
    if (!keeps_own_time) around.wake = [this](core::Moment moment) { wake = moment; };
    loop = std::make_unique<Loop>(*io, clock, journal, std::move(around));
    loop->use(executor);
    executor.listen([this](core::Event event) { loop->post(std::move(event)); });
    loop->open(*journal.load(), executor.capacity({}), "boot", core::Epoch{++epoch});
  }
  void start(const core::Study& study = core::small_study()) {
    ASSERT_TRUE(loop->start(run, study, core::WallTime::never()));
    loop->drain();
  }
  void turn_all() {
    io->restart();
    io->poll();
  }
  // Lets the executor's next thing happen.
  void next_event() {
    clock.advance_to(executor.next_ms().value());
    executor.deliver();
    loop->drain();
  }
  // Until the baseline is measured and the first ask waits.
  void reach_search() {
    start();
    while (asks.empty()) next_event();
  }
  void answer() {
    ASSERT_FALSE(asks.empty());
    auto work = std::move(asks.front());
    asks.erase(asks.begin());
    work();
    turn_all();
  }
  std::vector<std::string> events() const {
    std::vector<std::string> names;
    for (const ports::Entry& entry : journal.entries) names.push_back(entry.event);
    return names;
  }
};

TEST(Loop, TakesInputsInTheirOrderAndNumbersThemWithoutGaps) {
  Lives lives;
  lives.start();
  lives.loop->post(core::HoldRequested{lives.run, "user:alice", "wait"});
  lives.loop->post(core::ReleaseRequested{lives.run, "user:alice", "fine"});
  lives.loop->post(core::DrainRequested{lives.run, "user:alice"});
  lives.loop->drain();
  const auto events = lives.events();
  EXPECT_EQ(std::vector<std::string>(events.end() - 3, events.end()),
            (std::vector<std::string>{"hold_requested", "release_requested", "drain_requested"}));
  for (std::size_t i = 0; i < lives.journal.entries.size(); ++i)
    EXPECT_EQ(core::number(lives.journal.entries[i].seq), static_cast<std::int64_t>(i) + 1);
}

TEST(Loop, WhatWaitsTogetherIsOneTransaction) {
  Lives lives;
  lives.start();
  const std::int64_t before = lives.journal.commits;
  for (int i = 0; i < 10; ++i) lives.loop->post(core::TimePassed{});
  lives.loop->drain();
  EXPECT_EQ(lives.journal.commits, before + 1);
}

// As in the real program, where nobody else keeps time.
TEST(Loop, SmallNewsWaitsForTheNextCommitAndCostsNoneOfItsOwn) {
  Lives lives;
  lives.keeps_own_time = true;
  lives.begin();
  lives.start();
  const core::AttemptId attempt = lives.loop->state().runs.at(lives.run).attempts.begin()->first;
  lives.turn_all();
  const std::int64_t before = lives.journal.commits;
  lives.loop->post(core::AttemptStarted{attempt});
  lives.turn_all();
  lives.loop->post(core::AttemptInPhase{attempt, core::Phase::train});
  lives.turn_all();
  EXPECT_EQ(lives.journal.commits, before);
  lives.loop->post(core::HoldRequested{lives.run, "user:alice", "wait"});
  lives.turn_all();
  EXPECT_EQ(lives.journal.commits, before + 1);
  const auto events = lives.events();
  EXPECT_EQ(std::vector<std::string>(events.end() - 3, events.end()),
            (std::vector<std::string>{"attempt_started", "attempt_in_phase", "hold_requested"}));
}

TEST(Loop, NothingIsLaunchedBeforeItsCommit) {
  Lives lives;
  lives.journal.before_commit = [&] { EXPECT_TRUE(lives.executor.processes().empty()); };
  lives.journal.after_commit = [&] {
    if (!lives.journal.outbox.empty()) lives.journal.before_commit = nullptr;
  };
  lives.start();
  EXPECT_EQ(lives.executor.processes().size(), 1u);
}

TEST(Loop, AFailedCommitPerformsNothingAndEndsTheProgram) {
  Lives lives;
  lives.journal.refuses = true;
  ASSERT_TRUE(lives.loop->start(lives.run, core::small_study(), core::WallTime::never()));
  EXPECT_THROW(lives.loop->drain(), JournalFailed);
  EXPECT_TRUE(lives.executor.processes().empty());
  lives.journal.refuses = false;
  lives.begin();
  EXPECT_TRUE(lives.loop->state().runs.empty()) << "the disk knows nothing of it";
}

TEST(Loop, ALaunchThatWasCommittedAndNotPerformedIsFoundOutByTheNextLife) {
  Lives lives;
  lives.executor.before_action = [] { throw JournalFailed{}; };
  ASSERT_TRUE(lives.loop->start(lives.run, core::small_study(), core::WallTime::never()));
  EXPECT_THROW(lives.loop->drain(), JournalFailed);
  lives.executor.before_action = nullptr;
  lives.executor.orchestrator_died();
  lives.begin();
  while (!lives.loop->state().runs.at(lives.run).attempts.empty()) lives.next_event();
  EXPECT_TRUE(lives.executor.processes().empty());
  ASSERT_TRUE(lives.loop->resume(lives.run));
  lives.loop->drain();
  EXPECT_EQ(lives.executor.processes().size(), 1u);
  EXPECT_EQ(lives.loop->state().runs.at(lives.run).counts.retries, 0);
}

TEST(Loop, AReportThatWasNotWrittenIsWrittenByTheNextLife) {
  Lives lives;
  lives.start();
  lives.journal.after_commit = [&] {
    for (const auto& [_, action] : lives.journal.outbox) {
      if (std::holds_alternative<core::PublishReport>(action.action)) throw JournalFailed{};
    }
  };
  lives.loop->post(core::StopRequested{lives.run, "user:alice"});
  EXPECT_THROW(
      {
        lives.loop->drain();
        for (;;) lives.next_event();
      },
      JournalFailed);
  EXPECT_TRUE(lives.published.empty());
  lives.journal.after_commit = nullptr;
  lives.begin();
  EXPECT_EQ(lives.published, std::vector<std::string>{"run-1"});
  lives.loop->post(core::TimePassed{});
  lives.loop->drain();
  EXPECT_TRUE(lives.journal.outbox.empty()) << "what is known to be done leaves the outbox";
}

TEST(Loop, AnAnswerIsOneInputWithWhatTheProposerKnew) {
  Lives lives;
  lives.reach_search();
  lives.answer();
  EXPECT_EQ(lives.events().back(), "offers_arrived");
  const auto input = core::input_from_json(lives.journal.entries.back().input);
  ASSERT_TRUE(input);
  EXPECT_EQ(std::get<core::OffersArrived>(input->event).history_cursor, 1) << "the baseline";
}

TEST(Loop, WhatAnAdapterReportsAsNaNIsJournaledAsItWasStepped) {
  Lives lives;
  lives.executor.score = [](const core::Launch&) { return std::numeric_limits<double>::quiet_NaN(); };
  lives.start();
  while (lives.loop->state().runs.contains(lives.run)) lives.next_event();
  ASSERT_EQ(lives.journal.trials.size(), 1u);
  EXPECT_EQ(lives.journal.trials[0].cause, core::Cause::bad_metric);
  for (const ports::Entry& entry : lives.journal.entries) EXPECT_TRUE(core::input_from_json(entry.input));
}

// Squares of it would leave what a number can hold, and the rows of State with it.
TEST(Loop, AScoreBeyondAllMeasureIsABadMetricAndNoFaultOfTheHome) {
  for (const double score : {1e160, -1e300}) {
    Lives lives;
    lives.executor.score = [=](const core::Launch&) { return score; };
    lives.start();
    while (lives.loop->state().runs.contains(lives.run)) lives.next_event();
    EXPECT_EQ(lives.journal.trials.at(0).cause, core::Cause::bad_metric);
    EXPECT_NE(lives.journal.trials.at(0).detail.find("beyond 1e100"), std::string::npos);
    const auto loaded = lives.journal.load();
    ASSERT_TRUE(loaded) << "what was written can be read";
    EXPECT_TRUE(loaded->state.runs.empty());
  }
}

TEST(Loop, TheEndOfARunCancelsItsAsksAndALateAnswerChangesNothing) {
  Lives lives;
  lives.reach_search();
  lives.loop->post(core::StopRequested{lives.run, "user:alice"});
  lives.loop->drain();
  EXPECT_EQ(lives.proposer->cancels, 1);
  const auto counts = lives.loop->state().runs.at(lives.run).counts;
  lives.answer();
  EXPECT_EQ(lives.loop->state().runs.at(lives.run).counts, counts);
}

TEST(Loop, AProposerIsNeverAskedTwiceAtTheSameTime) {
  Lives lives;
  lives.reach_search();
  lives.clock.advance(core::ask_patience);
  lives.loop->wake_up();  // the ask is given up; its thread is still inside the proposer
  lives.loop->drain();
  lives.clock.advance(core::ask_backoff);
  lives.loop->wake_up();
  lives.loop->drain();
  EXPECT_EQ(lives.asks.size(), 1u);
  EXPECT_GE(lives.proposer->cancels, 1);
  EXPECT_EQ(lives.loop->state().runs.at(lives.run).proposers[0].failures, 2);
}

TEST(Loop, AttemptsThatNobodyHearsOfAreLookedFor) {
  Lives lives;
  lives.executor.faults.vanish = 100;  // ends without a word
  lives.executor.longest_ms = 10;
  lives.start();
  lives.clock.advance(core::seconds(1));
  lives.executor.deliver();
  lives.loop->drain();
  ASSERT_EQ(lives.loop->state().runs.at(lives.run).attempts.size(), 1u);
  EXPECT_LE(lives.wake - lives.clock.now(), look_every);
  lives.clock.advance(look_every);
  lives.loop->wake_up();
  while (!lives.loop->state().runs.at(lives.run).attempts.empty()) lives.next_event();
  EXPECT_EQ(lives.events().back(), "observed") << "and by nothing else";
}

TEST(Loop, ResumesOnlyWhatIsStoppedAndUnlatchedAndSaysWhy) {
  Lives lives;
  lives.start();
  EXPECT_FALSE(lives.loop->start(lives.run, core::small_study(), core::WallTime::never()));
  EXPECT_EQ(lives.loop->resume(lives.run).error(), "run run-1 is not stopped: there is nothing to resume");
  EXPECT_EQ(lives.loop->resume(RunId{"run-9"}).error(), "there is no unfinished run run-9 in this home");
  lives.loop->post(core::HaltRequested{lives.run, "user:alice", "api", "looks wrong"});
  lives.loop->drain();
  while (!lives.loop->state().runs.at(lives.run).end) lives.next_event();
  EXPECT_NE(lives.loop->resume(lives.run).error().find("latched (looks wrong)"), std::string::npos);
}

}  // namespace
}  // namespace overnight::shell
