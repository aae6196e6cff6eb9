// What every executor promises, asked of the fake and of the real one on this machine (keepers, shell tasks).
#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <deque>
#include <filesystem>

#include "orchestrator/cli/real_clock.h"
#include "orchestrator/executors/local_executor.h"
#include "tests/core/home.h"
#include "tests/fakes/fake_executor.h"

namespace overnight::contract_tests {
namespace {

namespace fs = std::filesystem;
using core::AttemptId;

const core::RunId run{"run-1"};

core::Study study_of(bool endless) {
  core::Study study = core::small_study();
  study.task.train.command = {"/bin/sh", "-c", endless ? "exec tail -f /dev/null" : "echo loss: 0.5"};
  study.task.train.timeout = core::seconds(60);
  study.task.train.metrics = {{"loss", "^loss: ([0-9.]+)"}};
  study.attempt.free_floor = {};
  return study;
}

class Subject {
 public:
  virtual ~Subject() = default;
  virtual ports::Executor& executor() = 0;
  virtual void wait_once() = 0;  // until something may have been told
  virtual void next_life(const std::vector<AttemptId>& expected) = 0;
  virtual void set_endless(bool) {}

  void hear(core::Event event) { heard_.push_back(std::move(event)); }
  // The next event of this kind; others are kept for `all`.
  template <typename T>
  T wait_for() {
    for (;;) {
      while (read_ < heard_.size()) {
        if (const T* found = std::get_if<T>(&heard_[read_++])) return *found;
      }
      wait_once();
    }
  }
  template <typename T>
  std::size_t count() const {
    return static_cast<std::size_t>(std::count_if(
        heard_.begin(), heard_.end(), [](const core::Event& event) { return std::holds_alternative<T>(event); }));
  }
  void launch(std::int64_t attempt, bool endless) {
    set_endless(endless);
    const core::Study study = study_of(endless);
    if (!slots_known_) executor().capacity(study);
    slots_known_ = true;
    executor().launch({AttemptId{attempt},
                       core::TrialId{attempt},
                       core::ExperimentId{1},
                       run,
                       core::SlotId{1},
                       {{"x", 0.5}},
                       7,
                       core::Purpose::search,
                       core::worst_case_wall(study)},
                      study);
  }

 protected:
  void forget_life() { slots_known_ = false; }

 private:
  std::vector<core::Event> heard_;
  std::size_t read_ = 0;
  bool slots_known_ = false;
};

class FakeSubject final : public Subject {
 public:
  FakeSubject() { listen(); }
  ports::Executor& executor() override { return executor_; }
  void wait_once() override {
    const auto next = executor_.next_ms();
    if (!next) throw std::runtime_error("nothing will ever be told");
    clock_.advance_to(*next);
    executor_.deliver();
  }
  void next_life(const std::vector<AttemptId>&) override {
    executor_.orchestrator_died();
    listen();
    forget_life();
  }
  void set_endless(bool endless) override { executor_.longest_ms = endless ? INT64_MAX / 4 : 50; }

 private:
  void listen() {
    executor_.listen([this](core::Event event) { hear(std::move(event)); });
  }
  fakes::FakeClock clock_;
  fakes::Random random_{3};
  fakes::FakeExecutor executor_{clock_, random_};
};

class LocalSubject final : public Subject {
 public:
  LocalSubject() {
    std::string name = (fs::temp_directory_path() / "overnight-executor-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    home_ = name;
    begin();
  }
  ~LocalSubject() override {
    executor_.reset();
    fs::remove_all(home_);
  }
  ports::Executor& executor() override { return *executor_; }
  void wait_once() override {
    // What another thread will post is waited for too: an io_context without work of its own would not.
    const auto work = boost::asio::make_work_guard(*io_);
    io_->restart();
    if (io_->run_one_for(std::chrono::seconds(60)) == 0) throw std::runtime_error("nothing will ever be told");
  }
  void next_life(const std::vector<AttemptId>& expected) override {
    executor_.reset();
    begin();
    for (const AttemptId attempt : expected) executor_->expect(attempt, run);
    forget_life();
  }

 private:
  void begin() {
    io_ = std::make_unique<boost::asio::io_context>();
    executors::LocalSettings settings;
    settings.home = home_;
    settings.home_uuid = "6f1c2f4e-0000-4000-8000-000000000001";
    settings.epoch = ++epoch_;
    settings.keeper = OVERNIGHT_WORKER;
    executor_ = std::make_unique<executors::LocalExecutor>(
        *io_, clock_, std::move(settings), [this](core::Event event) { hear(std::move(event)); },
        [](const executors::LiveMetric&) {});
  }
  cli::RealClock clock_;
  fs::path home_;
  std::int64_t epoch_ = 0;
  std::unique_ptr<boost::asio::io_context> io_;
  std::unique_ptr<executors::LocalExecutor> executor_;
};

enum class Kind { fake, local };

class ExecutorContract : public testing::TestWithParam<Kind> {
 protected:
  ExecutorContract() {
    if (GetParam() == Kind::fake) {
      subject = std::make_unique<FakeSubject>();
    } else {
      subject = std::make_unique<LocalSubject>();
    }
  }
  std::vector<AttemptId> live_now(const std::vector<AttemptId>& expected) {
    subject->executor().observe(expected);
    return subject->wait_for<core::Observed>().live;
  }
  std::unique_ptr<Subject> subject;
};

TEST_P(ExecutorContract, OffersAtLeastOneSlotWithIdsOfItsOwn) {
  const auto slots = subject->executor().capacity(study_of(false));
  ASSERT_FALSE(slots.empty());
  std::set<core::SlotId> ids;
  for (const core::SlotFound& slot : slots) EXPECT_TRUE(ids.insert(slot.slot).second);
}

TEST_P(ExecutorContract, AnAttemptIsToldToStartAndToBeGoneWithWhatItTook) {
  subject->launch(1, false);
  EXPECT_EQ(subject->wait_for<core::AttemptStarted>().attempt, AttemptId{1});
  const core::AttemptGone gone = subject->wait_for<core::AttemptGone>();
  EXPECT_EQ(gone.attempt, AttemptId{1});
  EXPECT_EQ(gone.cause, core::Cause::completed) << gone.detail;
  EXPECT_TRUE(gone.score);
  EXPECT_TRUE(gone.took);
  EXPECT_TRUE(live_now({}).empty()) << "gone means gone";
}

TEST_P(ExecutorContract, LaunchingTwiceIsLaunchingOnce) {
  subject->launch(1, false);
  subject->launch(1, false);
  subject->wait_for<core::AttemptGone>();
  subject->launch(1, false);
  EXPECT_TRUE(live_now({}).empty());
  EXPECT_EQ(subject->count<core::AttemptGone>(), 1u);
}

TEST_P(ExecutorContract, WhatIsAliveIsObservedAndNothingElse) {
  subject->launch(1, true);
  subject->wait_for<core::AttemptStarted>();
  EXPECT_EQ(live_now({AttemptId{1}}), std::vector<AttemptId>{AttemptId{1}});
}

TEST_P(ExecutorContract, AKillEndsAnAttemptAndASecondOneChangesNothing) {
  subject->launch(1, true);
  subject->wait_for<core::AttemptStarted>();
  subject->executor().stop(AttemptId{1}, core::StopLevel::kill, "test");
  subject->executor().stop(AttemptId{1}, core::StopLevel::kill, "test");
  const core::AttemptGone gone = subject->wait_for<core::AttemptGone>();
  EXPECT_EQ(gone.cause, core::Cause::stopped);
  EXPECT_FALSE(gone.score);
  subject->executor().stop(AttemptId{1}, core::StopLevel::kill, "test");
  EXPECT_TRUE(live_now({}).empty());
  EXPECT_EQ(subject->count<core::AttemptGone>(), 1u);
}

TEST_P(ExecutorContract, StoppingWhatNobodyKnowsIsNothing) {
  subject->executor().stop(AttemptId{99}, core::StopLevel::kill, "test");
  EXPECT_TRUE(live_now({}).empty());
  EXPECT_EQ(subject->count<core::AttemptGone>(), 0u);
}

TEST_P(ExecutorContract, DeletedArtifactsAreToldAlsoWhenThereWereNone) {
  subject->executor().drop_artifacts(AttemptId{5}, run);
  EXPECT_EQ(subject->wait_for<core::ArtifactsDropped>().attempt, AttemptId{5});
}

TEST_P(ExecutorContract, WhatWasDecidedAndNeverLaunchedIsToldByTheNextLifeAndCostNothing) {
  subject->next_life({AttemptId{1}});
  subject->executor().observe({AttemptId{1}});
  const core::AttemptGone gone = subject->wait_for<core::AttemptGone>();
  EXPECT_EQ(gone.cause, core::Cause::lease_lost);
  EXPECT_EQ(gone.took, core::Millis{});
}

TEST_P(ExecutorContract, WhatDiedWithTheOrchestratorIsToldByTheNextLife) {
  subject->launch(1, true);
  subject->wait_for<core::AttemptStarted>();
  subject->next_life({AttemptId{1}});
  while (!live_now({AttemptId{1}}).empty() && subject->count<core::AttemptGone>() == 0) {
  }
  if (subject->count<core::AttemptGone>() == 0) subject->executor().observe({AttemptId{1}});
  while (subject->count<core::AttemptGone>() == 0) subject->wait_once();
  EXPECT_TRUE(live_now({}).empty());
}

INSTANTIATE_TEST_SUITE_P(Executor, ExecutorContract, testing::Values(Kind::fake, Kind::local),
                         [](const auto& kind) { return kind.param == Kind::fake ? "fake" : "local"; });

}  // namespace
}  // namespace overnight::contract_tests
