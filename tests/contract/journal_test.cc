// What every journal promises, asked of the fake and of the store on disk.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "orchestrator/shell/loop.h"
#include "orchestrator/store/home_store.h"
#include "tests/core/home.h"
#include "tests/fakes/fake_executor.h"
#include "tests/fakes/fake_journal.h"
#include "tests/fakes/fake_proposer.h"

namespace overnight::contract_tests {
namespace {

namespace fs = std::filesystem;

// A journal that can be closed and opened again, as after the end of the program.
struct Subject {
  virtual ~Subject() = default;
  virtual ports::Journal& journal() = 0;
  virtual void reopen() = 0;
};

struct FakeSubject final : Subject {
  fakes::FakeJournal kept;
  ports::Journal& journal() override { return kept; }
  void reopen() override {}
};

struct StoreSubject final : Subject {
  fs::path folder;
  std::unique_ptr<store::HomeStore> store;

  StoreSubject() {
    std::string name = (fs::temp_directory_path() / "overnight-contract-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder = name;
    reopen();
  }
  ~StoreSubject() override {
    store.reset();
    fs::remove_all(folder);
  }
  ports::Journal& journal() override { return *store; }
  void reopen() override {
    store.reset();
    auto opened = store::HomeStore::open((folder / "home").string(), store::HomeStore::Mode::read_write,
                                         core::WallTime::at(1'700'000'000'000));
    if (!opened) throw std::runtime_error(opened.error().explain);
    store = std::move(*opened);
  }
};

struct Died {};

// A loop on the journal under test, and a world that is the same for each.
struct Lives {
  Subject& subject;
  fakes::FakeClock clock;
  fakes::Random random{11};
  fakes::FakeExecutor executor{clock, random};
  fakes::ProposerMoods moods;
  std::unique_ptr<boost::asio::io_context> io;
  std::unique_ptr<shell::Loop> loop;
  std::vector<std::function<void()>> asks;
  std::int64_t epoch = 0;

  explicit Lives(Subject& subject_) : subject(subject_) { begin(); }
  ~Lives() { end(); }
  void end() {
    asks.clear();
    loop.reset();
    io.reset();
  }
  void begin() {
    end();
    io = std::make_unique<boost::asio::io_context>();
    shell::Surroundings around;
    around.make_proposer = [this](const core::Study&,
                                  std::size_t) -> budgets::Result<std::unique_ptr<ports::Proposer>, std::string> {
      return std::make_unique<fakes::FakeProposer>(moods, random, budgets::Cost{.tokens = budgets::Tokens::of(9)});
    };
    around.journal_failed = [](const std::string&) { throw Died{}; };
    around.entropy = [this] { return random(); };
    around.apart = [this](std::function<void()> work) { asks.push_back(std::move(work)); };
    around.wake = [](core::Moment) {};
    loop = std::make_unique<shell::Loop>(*io, clock, subject.journal(), std::move(around));
    loop->use(executor);
    executor.listen([this](core::Event event) { loop->post(std::move(event)); });
    loop->open(*subject.journal().load(), executor.capacity({}), "boot", core::Epoch{++epoch});
  }
  // `turns` things of the world happen.
  void live(int turns) {
    for (int i = 0; i < turns; ++i) {
      if (!asks.empty()) {
        auto work = std::move(asks.front());
        asks.erase(asks.begin());
        work();
      } else if (const auto next = executor.next_ms()) {
        clock.advance_to(*next);
        if (executor.deliver()) loop->drain();
      }
      io->restart();
      io->poll();
    }
  }
};

core::State without_clocks(core::State state) {
  state.last = {};
  state.last_wall = {};
  return state;
}

enum class Kind { fake, store };

class JournalContract : public testing::TestWithParam<Kind> {
 protected:
  JournalContract() {
    if (GetParam() == Kind::fake) {
      subject = std::make_unique<FakeSubject>();
    } else {
      subject = std::make_unique<StoreSubject>();
    }
  }
  std::unique_ptr<Subject> subject;
};

TEST_P(JournalContract, ANewOneIsEmpty) {
  const auto loaded = subject->journal().load();
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->state, core::State{});
  EXPECT_EQ(core::number(loaded->last), 0);
  EXPECT_TRUE(loaded->outbox.empty());
}

TEST_P(JournalContract, WhatIsLoadedIsWhatWasCommittedAtAnyMoment) {
  Lives lives(*subject);
  core::Study study = core::small_study();
  study.evaluation.baseline_replicates = 2;
  ASSERT_TRUE(lives.loop->start({"run-1"}, study, core::WallTime::never()));
  lives.loop->drain();
  for (int i = 0; i < 12; ++i) {
    lives.live(3);
    const core::State held = lives.loop->state();
    lives.end();
    subject->reopen();
    const auto loaded = subject->journal().load();
    ASSERT_TRUE(loaded) << loaded.error().explain;
    ASSERT_EQ(loaded->state, without_clocks(held)) << "life " << i;
    lives.executor.orchestrator_died();
    lives.begin();
    lives.live(3);
    static_cast<void>(lives.loop->resume({"run-1"}));
    lives.loop->drain();
  }
  EXPECT_GT(lives.loop->state().runs.at({"run-1"}).counts.admitted, 2);
}

TEST_P(JournalContract, TheOutboxKeepsWhatIsNotKnownToBeDone) {
  {
    Lives lives(*subject);
    ASSERT_TRUE(lives.loop->start({"run-1"}, core::small_study(), core::WallTime::never()));
    lives.executor.before_action = [] { throw Died{}; };
    EXPECT_THROW(lives.loop->drain(), Died);
  }
  subject->reopen();
  const auto loaded = subject->journal().load();
  ASSERT_EQ(loaded->outbox.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<core::Launch>(loaded->outbox[0].action));
  ports::Batch done;
  done.performed.push_back(loaded->outbox[0].id);
  ASSERT_TRUE(subject->journal().commit(done));
  EXPECT_TRUE(subject->journal().load()->outbox.empty());
}

TEST_P(JournalContract, ARunThatEndedForGoodIsNotLoadedAgain) {
  {
    Lives lives(*subject);
    core::Study study = core::small_study();
    study.run_budget.experiments = budgets::Experiments::of(2);
    ASSERT_TRUE(lives.loop->start({"run-1"}, study, core::WallTime::never()));
    lives.loop->drain();
    for (int i = 0; i < 200 && !lives.loop->state().runs.empty(); ++i) lives.live(1);
    ASSERT_TRUE(lives.loop->state().runs.empty());
  }
  subject->reopen();
  EXPECT_TRUE(subject->journal().load()->state.runs.empty());
}

INSTANTIATE_TEST_SUITE_P(Journal, JournalContract, testing::Values(Kind::fake, Kind::store),
                         [](const auto& kind) { return kind.param == Kind::fake ? "fake" : "store"; });

}  // namespace
}  // namespace overnight::contract_tests
