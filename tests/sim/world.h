// One seed's world: the shipped loop and core on the fakes, driven from one thread on a clock that only this moves.
//
// First faults (the orchestrator dies at any moment, messages get lost, people interfere, budgets change), with the
// checks after every commit; then fairness: faults end, and every run must come to its end.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "orchestrator/shell/loop.h"
#include "tests/sim/checks.h"
#include "tests/sim/options.h"

namespace overnight::sim {

// The orchestrator died here.
struct Died {};

class World {
 public:
  World(const Options& options, Counts& counts);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Throws Broken.
  void run();

  // What happened, the last `lines` inputs; for a failing seed.
  std::string trace(std::size_t lines) const;
  const fakes::FakeJournal& journal() const { return journal_; }
  std::int64_t lives() const { return core::number(epoch_); }

 private:
  struct Answering {  // an ask on its way
    std::int64_t at_ms = 0;
    std::function<void()> work;
  };

  shell::Surroundings surroundings();
  void begin_life();
  void end_life();
  void start_or_resume();
  void guarded(const std::function<void()>& what);  // a new life begins if the orchestrator dies in it
  void tell(core::Event event);
  void maybe_die();
  bool turn();  // the next thing that is due; false if nothing will ever happen
  void wake_up();
  void operate();
  void trouble_slots();
  core::RunId any_run();
  core::BudgetChanged any_budget();
  void be_fair();
  void release_and_resume();
  bool all_ended() const;

  Options options_;
  fakes::Random random_;
  fakes::FakeClock clock_;
  fakes::FakeJournal journal_;
  fakes::FakeExecutor executor_;
  Checks checks_;

  std::unique_ptr<boost::asio::io_context> io_;
  std::unique_ptr<shell::Loop> loop_;
  core::Epoch epoch_{};
  core::Moment wake_ = core::Moment::never();
  std::vector<Answering> answers_;
  bool faulty_ = true;  // faults are still allowed
  bool alone_ = false;  // one input at a time is committed
  std::set<core::RunId> started_;
  std::int64_t idle_wakes_ = 0;  // wake-ups in a row after which nothing was decided
};

}  // namespace overnight::sim
