#include "orchestrator/shell/loop.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <random>
#include <set>

#include "budgets/invariant.h"
#include "orchestrator/core/step.h"

namespace overnight::shell {
namespace {

namespace asio = boost::asio;
using core::RunId;

// One for each proposer that a study can have: a slow one keeps its thread and nobody else's.
constexpr std::size_t ask_threads = 32;

// One run's proposers and what they remember.
struct Bench {
  std::vector<std::unique_ptr<ports::Proposer>> proposers;
  std::set<std::size_t> busy;  // those that are being asked
  ports::History history;
};

core::OffersArrived offers_from(const RunId& run, const ports::AskRequest& request, ports::Answer answer) {
  core::OffersArrived offers;
  offers.run = run;
  offers.ask = request.ask;
  offers.proposals = std::move(answer.proposals);
  offers.failure = std::move(answer.failure);
  offers.exhausted = answer.exhausted;
  offers.used = answer.used;
  offers.cost_unknown = answer.cost_unknown;
  offers.refused = answer.refused;
  offers.wait = answer.wait;
  offers.remark = std::move(answer.remark);
  offers.history_cursor = static_cast<std::int64_t>(request.history.size());
  return offers;
}

std::string failure_words(const core::TrialRecord& trial) {
  if (trial.score) return "";
  return std::string(workers::name_of(trial.cause)) + " in " + std::string(workers::name_of(trial.phase));
}

}  // namespace

struct Loop::Impl : std::enable_shared_from_this<Impl> {
  asio::io_context& io;
  const ports::Clock& clock;
  ports::Journal& journal;
  Surroundings surroundings;
  ports::Executor* executor = nullptr;
  core::State state;
  core::StateHash hash;
  core::InputSeq last_seq{};
  std::deque<core::Event> inbox;
  bool turn_queued = false;
  bool simulated = false;       // somebody else keeps time
  bool waits_for_more = false;  // there is only what can wait, and `patience` runs
  asio::steady_timer deadline, patience;
  std::map<RunId, Bench> benches;
  std::map<RunId, core::Study> studies;  // of runs that left State while actions of theirs are performed
  std::map<core::ExperimentId, core::ExperimentRecord>
      known;  // admitted and not finished: what a trial record lacks for history
  std::vector<core::ActionId> performed;
  std::random_device entropy;
  asio::thread_pool asking{ask_threads};
  bool closing = false;
  core::Moment next_look;  // when the executor is asked again what really exists

  Impl(asio::io_context& io_, const ports::Clock& clock_, ports::Journal& journal_, Surroundings surroundings_)
      : io(io_),
        clock(clock_),
        journal(journal_),
        surroundings(std::move(surroundings_)),
        deadline(io_),
        patience(io_) {
    if (!surroundings.entropy) {
      surroundings.entropy = [this] { return (static_cast<std::uint64_t>(entropy()) << 32) | entropy(); };
    }
    if (!surroundings.apart) {
      surroundings.apart = [this](std::function<void()> work) { asio::post(asking, std::move(work)); };
    }
    simulated = bool(surroundings.wake);
    if (!simulated) surroundings.wake = [this](core::Moment moment) { set_timer(moment); };
  }

  // ---- inputs ----

  void post(core::Event event) {
    INVARIANT(inbox.size() < inbox_max, "the inbox is bounded");
    inbox.push_back(std::move(event));
    if (can_wait(inbox.back())) {
      wait_for_more();
    } else {
      queue_turn();
    }
  }

  // What nothing waits for: no slot gets free by it and none is free for it. It rides along with the next commit, or
  // has one of its own a moment later; so small news does not cost an fsync each.
  bool can_wait(const core::Event& event) const {
    if (simulated) return false;  // a simulator's time does not pass while we wait
    if (std::holds_alternative<core::OffersArrived>(event)) return every_slot_is_taken();
    return std::holds_alternative<core::AttemptStarted>(event) || std::holds_alternative<core::AttemptInPhase>(event) ||
           std::holds_alternative<core::ArtifactsDropped>(event);
  }

  bool every_slot_is_taken() const {
    std::size_t taken = 0;
    for (const auto& [_, run] : state.runs) taken += run.attempts.size();
    return taken >= state.slots.size();
  }

  void wait_for_more() {
    if (turn_queued || waits_for_more) return;
    waits_for_more = true;
    patience.expires_after(std::chrono::milliseconds(news_wait_ms));
    patience.async_wait([self = shared_from_this()](boost::system::error_code) {
      self->waits_for_more = false;
      if (!self->inbox.empty()) self->queue_turn();
    });
  }

  void queue_turn() {
    if (turn_queued) return;
    turn_queued = true;
    asio::post(io, [self = shared_from_this()] {
      self->turn_queued = false;
      self->take_batch();
      if (!self->inbox.empty() && !self->turn_queued) {
        self->turn_queued = true;
        asio::post(self->io, [self] {
          self->turn_queued = false;
          self->drain();
        });
      }
    });
  }

  void drain() {
    while (!inbox.empty()) take_batch();
  }

  void take_batch() {
    if (inbox.empty() || closing) return;
    ports::Batch batch;
    std::vector<core::NumberedAction> actions;
    for (std::size_t taken = 0; taken < batch_max && !inbox.empty(); ++taken) {
      core::Event event = std::move(inbox.front());
      inbox.pop_front();
      step_one(std::move(event), batch, actions);
    }
    batch.outbox = actions;
    batch.performed.swap(performed);
    if (const auto committed = journal.commit(batch); !committed) {
      surroundings.journal_failed(committed.error().explain);
      std::abort();  // unreachable: journal_failed ends the program
    }
    remember(batch);
    for (const core::NumberedAction& action : actions) perform(action);
    if (surroundings.committed) surroundings.committed(state, batch.notes);
    cancel_useless_asks();
    forget_ended();
    arm();
  }

  void step_one(core::Event event, ports::Batch& batch, std::vector<core::NumberedAction>& actions) {
    core::Input input;
    input.now = std::max(clock.now(), std::holds_alternative<core::HomeOpened>(event) ? core::Moment{} : state.last);
    input.wall = clock.wall();
    input.seed = surroundings.entropy();
    input.event = std::move(event);
    core::make_recordable(input.event);
    core::Changes changes;
    core::step(state, input, changes);
    core::update_hash(hash, state, changes, batch.rows);

    ports::Entry entry;
    entry.seq = last_seq = core::InputSeq{core::number(last_seq) + 1};
    entry.epoch = state.epoch;
    entry.wall = input.wall;
    entry.event = std::string(core::name_of(input.event));
    entry.input = core::input_to_json(input);
    entry.actions = "[";
    for (const core::NumberedAction& action : changes.actions) {
      entry.actions += (entry.actions.size() > 1 ? "," : "") + core::action_to_json(action);
    }
    entry.actions += "]";
    entry.state_hash = hash.hex();
    batch.entries.push_back(std::move(entry));
    if (const auto* started = std::get_if<core::RunStarted>(&input.event)) {
      batch.studies.emplace_back(started->run, core::study_to_json(started->study));
      studies.emplace(started->run, started->study);
    }
    for (const core::Run& run : changes.ended) batch.ended.push_back(run.id);
    const auto append = [](auto& to, auto& from) {
      to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
    };
    append(batch.experiments, changes.experiments);
    append(batch.trials, changes.trials);
    append(batch.attempts, changes.attempts);
    append(batch.notes, changes.notes);
    append(actions, changes.actions);
  }

  // Proposers learn from what finished; canaries tell nothing of the space.
  void remember(const ports::Batch& batch) {
    for (const core::ExperimentRecord& experiment : batch.experiments) known[experiment.experiment] = experiment;
    for (const core::TrialRecord& trial : batch.trials) {
      const auto bench = benches.find(trial.run);
      const auto experiment = known.find(trial.experiment);
      if (bench == benches.end() || experiment == known.end() || trial.purpose == core::Purpose::canary) continue;
      bench->second.history.push_back({trial.experiment, experiment->second.params, trial.score, failure_words(trial),
                                       experiment->second.proposer, experiment->second.hypothesis});
    }
    for (const core::ExperimentRecord& experiment : batch.experiments) {
      if (experiment.status != "queued" && experiment.status != "running") known.erase(experiment.experiment);
    }
  }

  // ---- actions ----

  void perform(const core::NumberedAction& numbered) {
    std::visit([&](const auto& action) { perform_one(action); }, numbered.action);
    performed.push_back(numbered.id);
  }

  const core::Study* study_of(const RunId& run) const {
    const auto live = state.runs.find(run);
    if (live != state.runs.end()) return &live->second.study;
    const auto left = studies.find(run);
    return left == studies.end() ? nullptr : &left->second;
  }

  void perform_one(const core::Launch& launch) {
    const core::Study* study = study_of(launch.run);
    if (executor != nullptr && study != nullptr) executor->launch(launch, *study);
  }
  // A home that is opened only to be released or halted has no executor.
  void perform_one(const core::StopAttempt& stop) {
    if (executor != nullptr) executor->stop(stop.attempt, stop.level, stop.reason);
  }
  void perform_one(const core::DropArtifacts& drop) {
    if (executor != nullptr) executor->drop_artifacts(drop.attempt, drop.run);
  }
  void perform_one(const core::PublishReport& report) {
    if (surroundings.publish) surroundings.publish(report.run, report.ended);
  }

  void perform_one(const core::Ask& ask) {
    const auto bench = benches.find(ask.run);
    const core::Study* study = study_of(ask.run);
    if (bench == benches.end() || study == nullptr) return;
    std::size_t index = 0;
    while (index < study->proposers.size() && study->proposers[index].name != ask.proposer) ++index;
    if (index >= bench->second.proposers.size()) return;
    ports::Proposer* proposer = bench->second.proposers[index].get();
    if (!bench->second.busy.insert(index).second) {  // the core gave an earlier ask up, the proposer did not
      proposer->cancel();
      core::OffersArrived busy{ask.run, ask.ask};
      busy.failure = "it is still busy with an earlier ask, which is cancelled";
      post(std::move(busy));
      return;
    }
    ports::AskRequest request{ask.ask, ask.count, ask.seed, ask.pending, bench->second.history};
    surroundings.apart([self = shared_from_this(), proposer, index, run = ask.run, request = std::move(request)] {
      core::OffersArrived offers = offers_from(run, request, proposer->ask(request));
      asio::post(self->io, [self, proposer, index, offers = std::move(offers)]() mutable {
        const auto asked = self->benches.find(offers.run);  // a resumed run may have got another bench
        if (asked != self->benches.end() && asked->second.proposers[index].get() == proposer)
          asked->second.busy.erase(index);
        if (!self->closing) self->post(std::move(offers));
      });
    });
  }

  // A run whose search is over and that has nothing else to do does not wait for an answer that it will not use.
  void cancel_useless_asks() {
    for (auto& [id, bench] : benches) {
      const auto run = state.runs.find(id);
      if (run == state.runs.end() || run->second.search_ended.empty() || run->second.asks.empty()) continue;
      if (!run->second.trials.empty()) continue;
      for (auto& proposer : bench.proposers) proposer->cancel();
    }
  }

  // Runs that ended for good need no proposers any more.
  void forget_ended() {
    for (auto it = benches.begin(); it != benches.end();) {
      const auto run = state.runs.find(it->first);
      const bool gone = run == state.runs.end() || (run->second.end && run->second.asks.empty());
      if (gone) {
        for (auto& proposer : it->second.proposers) proposer->cancel();
        retired.push_back(std::move(it->second));  // threads may still be inside; freed when the loop ends
        it = benches.erase(it);
      } else {
        ++it;
      }
    }
  }
  std::vector<Bench> retired;

  // ---- time ----

  void arm() {
    core::Moment next = core::next_deadline(state);
    if (executor != nullptr && has_attempts()) next = std::min(next, next_look);
    surroundings.wake(next);
  }

  void set_timer(core::Moment moment) {
    if (moment == core::Moment::never()) {
      deadline.cancel();
      return;
    }
    const auto wait = std::max<std::int64_t>(1, (moment - clock.now()).count());
    deadline.expires_after(std::chrono::milliseconds(std::min<std::int64_t>(wait, 3'600'000)));
    deadline.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error && !self->closing) self->wake_up();
    });
  }

  void wake_up() {
    post(core::TimePassed{});
    if (executor != nullptr && has_attempts() && clock.now() >= next_look) look();
  }

  bool has_attempts() const {
    return std::any_of(state.runs.begin(), state.runs.end(),
                       [](const auto& entry) { return !entry.second.attempts.empty(); });
  }

  void look() {
    next_look = clock.now() + look_every;
    std::vector<core::AttemptId> expected;
    for (const auto& [_, run] : state.runs) {
      for (const auto& [attempt, __] : run.attempts) expected.push_back(attempt);
    }
    executor->observe(expected);
  }

  budgets::Result<Bench, std::string> make_bench(const core::Study& study) {
    Bench bench;
    for (std::size_t i = 0; i < study.proposers.size(); ++i) {
      auto proposer = surroundings.make_proposer(study, i);
      if (!proposer) return budgets::unexpected("proposer " + study.proposers[i].name + ": " + proposer.error());
      bench.proposers.push_back(std::move(*proposer));
    }
    return bench;
  }
};

Loop::Loop(boost::asio::io_context& io, const ports::Clock& clock, ports::Journal& journal, Surroundings surroundings)
    : impl_(std::make_shared<Impl>(io, clock, journal, std::move(surroundings))) {}

Loop::~Loop() {
  impl_->closing = true;
  impl_->deadline.cancel();
  impl_->patience.cancel();
  for (auto& [_, bench] : impl_->benches) {
    for (auto& proposer : bench.proposers) proposer->cancel();
  }
  impl_->asking.join();
  impl_->benches.clear();
  impl_->retired.clear();
}

void Loop::use(ports::Executor& executor) { impl_->executor = &executor; }

void Loop::open(ports::Loaded loaded, std::vector<core::SlotFound> slots, const std::string& boot, core::Epoch epoch) {
  Impl& impl = *impl_;
  impl.state = std::move(loaded.state);
  impl.last_seq = loaded.last;
  core::Changes everything;  // the hash begins with all rows that were loaded
  everything.home_touched = core::number(loaded.last) > 0;
  for (const auto& [id, run] : impl.state.runs) {
    for (const core::RunPart part : core::all_run_parts) everything.touch(id, part);
    for (const auto& [experiment_id, experiment] : run.experiments) {
      impl.known[experiment_id] = {experiment.id,
                                   id,
                                   experiment.params,
                                   experiment.hash,
                                   experiment.proposer,
                                   experiment.hypothesis,
                                   experiment.parents,
                                   experiment.purpose,
                                   "queued",
                                   experiment.admitted,
                                   experiment.history_cursor};
    }
  }
  std::map<std::string, std::string> rows;
  core::update_hash(impl.hash, impl.state, everything, rows);

  impl.post(core::HomeOpened{epoch, boot, std::move(slots)});
  impl.drain();
  // Launches and stops of the last life are moot: what ran is gone or is being observed. Deletions and reports are done
  // again.
  for (const core::NumberedAction& action : loaded.outbox) {
    if (impl.executor == nullptr) break;  // a home that is opened to be released performs nothing
    const bool again = std::holds_alternative<core::DropArtifacts>(action.action) ||
                       std::holds_alternative<core::PublishReport>(action.action);
    if (again) {
      impl.perform(action);
    } else {
      impl.performed.push_back(action.id);
    }
  }
  if (impl.executor != nullptr) impl.look();
  impl.drain();
}

budgets::Result<void, std::string> Loop::start(const core::RunId& run, const core::Study& study, core::WallTime until) {
  if (impl_->state.runs.contains(run) || impl_->benches.contains(run))
    return budgets::unexpected("run " + run.text + " exists already");
  auto bench = impl_->make_bench(study);
  if (!bench) return budgets::unexpected(bench.error());
  core::RunStarted started{run, study, until, {}};
  for (const auto& proposer : bench->proposers) {
    budgets::Cost worst = proposer->worst_case();
    worst.actions = budgets::Actions::of(1);
    started.ask_worst_case.push_back(worst);
  }
  impl_->benches[run] = std::move(*bench);
  impl_->post(std::move(started));
  return {};
}

budgets::Result<void, std::string> Loop::resume(const core::RunId& run) {
  const auto found = impl_->state.runs.find(run);
  if (found == impl_->state.runs.end())
    return budgets::unexpected("there is no unfinished run " + run.text + " in this home");
  if (found->second.latch)
    return budgets::unexpected("run " + run.text + " is latched (" + found->second.latch->reason +
                               "); overnight release " + run.text + " --reason WHY lifts that");
  if (found->second.live || impl_->benches.contains(run))  // a second bench would end proposers that are being asked
    return budgets::unexpected("run " + run.text + " is not stopped: there is nothing to resume");
  auto bench = impl_->make_bench(found->second.study);
  if (!bench) return budgets::unexpected(bench.error());
  if (impl_->surroundings.history) {
    for (ports::KnownTrial& trial : impl_->surroundings.history(run)) bench->history.push_back(std::move(trial));
  }
  impl_->benches[run] = std::move(*bench);
  impl_->post(core::RunResumed{run});
  return {};
}

void Loop::post(core::Event event) { impl_->post(std::move(event)); }
void Loop::drain() { impl_->drain(); }
void Loop::wake_up() { impl_->wake_up(); }
const core::State& Loop::state() const { return impl_->state; }

}  // namespace overnight::shell
