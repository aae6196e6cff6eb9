// The loop: the one place where truth changes. Takes inputs in order, lets `step` decide, commits, then performs the
// actions.
//
// A resource; sole owner of State; everything here happens on the thread that runs the io_context. Blocking asks of
// proposers run on threads of their own and come back as inputs. If a commit fails, the loop stops the program: the
// disk is right, and every keeper that loses its channel kills its tree.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "orchestrator/core/rows.h"
#include "orchestrator/core/state.h"
#include "orchestrator/ports/clock.h"
#include "orchestrator/ports/executor.h"
#include "orchestrator/ports/journal.h"
#include "orchestrator/ports/proposer.h"

namespace boost::asio {
class io_context;
}

namespace overnight::shell {

// What the loop needs from its surroundings beside the ports.
struct Surroundings {
  // Makes the study's proposer `index`, or says why it cannot be had.
  std::function<budgets::Result<std::unique_ptr<ports::Proposer>, std::string>(const core::Study&, std::size_t index)>
      make_proposer;
  // Finished trials of a run, in order of completion, for proposers of a resumed run.
  std::function<std::vector<ports::KnownTrial>(const core::RunId&)> history;
  // Writes the report of a run, and tells the world when it ended. After the commit that decided it.
  std::function<void(const core::RunId&, bool ended)> publish;
  // Called after each commit with what was decided; for views. Must not block.
  std::function<void(const core::State&, const std::vector<core::Note>&)> committed;
  // A commit failed: says so and ends the program. Does not return (a simulator throws).
  std::function<void(const std::string&)> journal_failed;

  // What the loop takes from the machine, so that a simulator can stand in its place; each left empty is the real one.
  std::function<std::uint64_t()> entropy;            // the seed of each input
  std::function<void(std::function<void()>)> apart;  // runs a blocking ask on a thread of its own
  std::function<void(core::Moment)> wake;            // calls wake_up at this moment, and forgets earlier wishes
};

class Loop {
 public:
  Loop(boost::asio::io_context& io, const ports::Clock& clock, ports::Journal& journal, Surroundings surroundings);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();  // cancels asks and waits for their threads

  // Executors are handed over before `open`; their sink is `post`.
  void use(ports::Executor& executor);

  // Begins a life: what was loaded, the slots found, the machine's boot id. Replays what is left of the outbox.
  void open(ports::Loaded loaded, std::vector<core::SlotFound> slots, const std::string& boot, core::Epoch epoch);

  // Makes the proposers and posts RunStarted / RunResumed.
  budgets::Result<void, std::string> start(const core::RunId& run, const core::Study& study, core::WallTime until);
  budgets::Result<void, std::string> resume(const core::RunId& run);

  // From the loop's thread: queues an input. It is stamped when it is taken: at once, or, for news that nothing waits
  // for, with the next input but at most news_wait_ms later.
  void post(core::Event event);
  // Takes everything that is queued now, in one transaction after the other, before it returns.
  void drain();
  // The moment has come that was asked for: time passes, and executors are looked at when that is due.
  void wake_up();

  const core::State& state() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

inline constexpr std::size_t inbox_max =
    65'536;                              // inputs waiting; more means that the disk cannot keep up, and the loop stops
inline constexpr int news_wait_ms = 50;  // below what a person sees
inline constexpr budgets::Millis look_every =
    budgets::seconds(30);                      // executors tell their full list; between them events
inline constexpr std::size_t batch_max = 256;  // inputs in one transaction: bounds how long one commit takes

}  // namespace overnight::shell
