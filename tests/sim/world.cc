#include "tests/sim/world.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "orchestrator/core/step.h"

namespace overnight::sim {
namespace {

using core::RunId;
using fakes::chance;
using fakes::up_to;

constexpr std::int64_t fair_turns_max = 20'000;  // a run that takes longer than this after all faults ended hangs
constexpr std::int64_t idle_wakes_max = 200;     // wake-ups in a row that decide nothing: a storm
constexpr std::int64_t hung_ms = 3'600'000;      // how long an ask hangs

RunId run_id(std::size_t index) { return {"run-" + std::to_string(index)}; }

}  // namespace

World::World(const Options& options, Counts& counts)
    : options_(options),
      random_(options.seed ^ 0x9e3779b97f4a7c15ULL),
      executor_(clock_, random_),
      checks_(counts, journal_, executor_) {
  executor_.faults = options_.faults;
  executor_.slots = options_.slots;
  executor_.longest_ms = options_.longest_ms;
  executor_.score = [this](const core::Launch& launch) {
    if (chance(random_, options_.not_finite)) return std::numeric_limits<double>::quiet_NaN();
    const auto found = launch.params.find("x");
    const auto* x = found == launch.params.end() ? nullptr : std::get_if<double>(&found->second);
    return (x == nullptr ? 0.5 : std::fabs(*x - 0.3)) + static_cast<double>(launch.seed % 100) / 1000;
  };
  executor_.before_action = [this] { maybe_die(); };
  executor_.before_launch = [this](const core::Launch& launch) { checks_.launching(loop_->state(), launch, alone_); };
  journal_.before_commit = [this] { maybe_die(); };
  journal_.after_commit = [this] {
    checks_.committed(loop_->state(), random_() % 8 == 0, alone_);
    maybe_die();
  };
}

World::~World() { end_life(); }

void World::maybe_die() {
  if (faulty_ && static_cast<int>(random_() % 1000) < options_.crashes) throw Died{};
}

shell::Surroundings World::surroundings() {
  shell::Surroundings around;
  around.make_proposer = [this](const core::Study& study,
                                std::size_t) -> budgets::Result<std::unique_ptr<ports::Proposer>, std::string> {
    const std::size_t index = static_cast<std::size_t>(study.seed - 1);
    return std::make_unique<fakes::FakeProposer>(options_.moods, random_, options_.ask_worst_case.at(index));
  };
  around.history = [this](const RunId& run) {
    std::vector<ports::KnownTrial> known;
    for (const core::TrialRecord& trial : journal_.trials) {
      if (trial.run == run)
        known.push_back({trial.experiment, journal_.experiments.at(trial.experiment).params, trial.score, "", "", ""});
    }
    return known;
  };
  around.publish = [this](const RunId& run, bool ended) {
    if (ended) checks_.published(run);
  };
  around.committed = [this](const core::State&, const std::vector<core::Note>& notes) {
    if (!notes.empty() || !journal_.outbox.empty()) idle_wakes_ = 0;
  };
  around.journal_failed = [](const std::string& why) { throw Broken("a journal that does not fail is written", why); };
  around.entropy = [this] { return random_(); };
  around.wake = [this](core::Moment moment) { wake_ = moment; };
  around.apart = [this](std::function<void()> work) {
    const std::int64_t wait = chance(random_, options_.hang) ? hung_ms : up_to(random_, options_.ask_ms);
    answers_.push_back({clock_.elapsed_ms() + wait, std::move(work)});
  };
  return around;
}

void World::end_life() {
  answers_.clear();  // they hold on to the loop
  loop_.reset();
  io_.reset();
  wake_ = core::Moment::never();
  alone_ = false;
}

void World::begin_life() {
  io_ = std::make_unique<boost::asio::io_context>();
  epoch_ = core::Epoch{core::number(epoch_) + 1};
  auto loaded = journal_.load();
  if (!loaded) throw Broken("what is committed can be read back", loaded.error().explain);
  loop_ = std::make_unique<shell::Loop>(*io_, clock_, journal_, surroundings());
  loop_->use(executor_);
  executor_.listen([this](core::Event event) { loop_->post(std::move(event)); });
  loop_->open(std::move(*loaded), executor_.capacity({}), "boot", epoch_);
  alone_ = true;
  start_or_resume();
}

// What a person does after a crash: goes on with what is unfinished and not stopped on purpose.
void World::start_or_resume() {
  for (std::size_t i = 0; i < options_.studies.size(); ++i) {
    const RunId id = run_id(i);
    const auto known = loop_->state().runs.find(id);
    if (known != loop_->state().runs.end()) {
      const core::Run& run = known->second;
      if (!run.live && !run.latch && !run.hold && !loop_->state().latch && (!faulty_ || chance(random_, 90)))
        static_cast<void>(loop_->resume(id));
    } else if (!journal_.ended.contains(id) && !loop_->state().latch && (!faulty_ || chance(random_, 80))) {
      const core::WallTime until =
          chance(random_, 20) ? clock_.wall() + core::Millis::of(up_to(random_, 300'000)) : core::WallTime::never();
      static_cast<void>(loop_->start(id, options_.studies[i], until));
    }
    loop_->drain();
    io_->restart();
    io_->poll();
  }
}

void World::guarded(const std::function<void()>& what) {
  std::function<void()> next = what;
  for (int deaths = 0;; ++deaths) {
    try {
      next();
      return;
    } catch (const Died&) {
      end_life();
      const bool reboots = chance(random_, 20);
      reboots ? executor_.machine_died() : executor_.orchestrator_died();
      clock_.advance(core::Millis::of(up_to(random_, 5000)));
      while (executor_.deliver()) {
      }
      if (reboots) clock_.reboot();
      if (deaths > 20) faulty_ = false;
      next = [this] { begin_life(); };
    }
  }
}

void World::tell(core::Event event) {
  loop_->post(std::move(event));
  loop_->drain();
  io_->restart();
  io_->poll();
}

void World::wake_up() {
  checks_.holds(++idle_wakes_ < idle_wakes_max, "waking up is no storm", "at " + std::to_string(clock_.elapsed_ms()));
  wake_ = core::Moment::never();
  alone_ = false;  // a look may follow
  loop_->wake_up();
  loop_->drain();
  io_->restart();
  io_->poll();
  alone_ = true;
}

bool World::turn() {
  std::int64_t next = INT64_MAX;
  if (const auto event = executor_.next_ms()) next = std::min(next, *event);
  if (wake_ != core::Moment::never()) next = std::min(next, clock_.elapsed_at(wake_));
  const auto answer = std::min_element(answers_.begin(), answers_.end(),
                                       [](const Answering& a, const Answering& b) { return a.at_ms < b.at_ms; });
  if (answer != answers_.end()) next = std::min(next, answer->at_ms);
  if (next == INT64_MAX) return false;
  clock_.advance_to(next);
  if (answer != answers_.end() && answer->at_ms <= next) {
    const std::function<void()> work = std::move(answer->work);
    answers_.erase(answer);
    work();
    io_->restart();
    io_->poll();
  } else if (executor_.next_ms().value_or(INT64_MAX) <= next) {
    if (executor_.deliver()) loop_->drain();
    io_->restart();
    io_->poll();
  } else {
    wake_up();
  }
  return true;
}

RunId World::any_run() { return run_id(random_() % options_.studies.size()); }

core::BudgetChanged World::any_budget() {
  core::BudgetChanged changed{any_run(), {}, core::Millis::unlimited(), "user:alice", "because"};
  const core::RunBudget& budget = options_.studies[static_cast<std::size_t>(changed.run.text.back() - '0')].run_budget;
  const std::int64_t percent = 20 + up_to(random_, 200);
  const auto scaled = [&](auto quantity) {
    return quantity.is_unlimited() ? quantity : decltype(quantity)::of(quantity.count() * percent / 100);
  };
  changed.grant = {scaled(budget.slot_time), scaled(budget.gpu_time), scaled(budget.experiments),
                   scaled(budget.actions),   scaled(budget.llm_cost), scaled(budget.llm_tokens),
                   scaled(budget.disk)};
  changed.wall = scaled(budget.wall);
  return changed;
}

void World::operate() {
  switch (random_() % 11) {
    case 0:
      return tell(core::HaltRequested{any_run(), "user:alice", "api", "looks wrong"});
    case 1:
      return tell(core::HaltRequested{std::nullopt, "user:alice", "file", "all of it"});
    case 2:
    case 3:
      return tell(core::HoldRequested{any_run(), "user:alice", "wait"});
    case 4:
      return tell(core::ReleaseRequested{any_run(), "user:alice", "fine"});
    case 5:
      return tell(core::ReleaseRequested{std::nullopt, "user:alice", "fine"});
    case 6:
      return tell(core::DrainRequested{any_run(), "user:alice"});
    case 7:
      return tell(core::StopRequested{any_run(), "user:alice"});
    case 8: {
      const core::BudgetChanged changed = any_budget();
      if (loop_->state().runs.contains(changed.run)) checks_.granted(changed.run, changed.grant);
      return tell(changed);
    }
    case 9: {
      core::Enqueued enqueued{any_run(), {}, "user:alice"};
      for (std::int64_t i = up_to(random_, 3); i >= 0; --i)
        enqueued.proposals.push_back({{{"x", static_cast<double>(up_to(random_, 100)) / 100}}, "", {}});
      return tell(enqueued);
    }
    default:
      return start_or_resume();
  }
}

void World::trouble_slots() {
  const core::SlotId slot{1 + up_to(random_, options_.slots)};
  tell(core::SlotChecked{slot, chance(random_, 60), "a foreign process uses it"});
}

void World::release_and_resume() {
  tell(core::ReleaseRequested{std::nullopt, "user:alice", "fairness"});
  for (std::int64_t i = 1; i <= options_.slots; ++i) tell(core::SlotChecked{core::SlotId{i}, true, ""});
  std::vector<RunId> runs;
  for (const auto& [id, _] : loop_->state().runs) runs.push_back(id);
  for (const RunId& id : runs) tell(core::ReleaseRequested{id, "user:alice", "fairness"});
  start_or_resume();
}

bool World::all_ended() const {
  return std::all_of(loop_->state().runs.begin(), loop_->state().runs.end(),
                     [](const auto& entry) { return entry.second.end.has_value(); });
}

void World::be_fair() {
  faulty_ = false;
  options_.hang = options_.not_finite = 0;
  options_.moods = {.points = options_.moods.points};
  executor_.faults = {};
  release_and_resume();
  for (std::int64_t turns = 0; !all_ended(); ++turns) {
    checks_.holds(turns < fair_turns_max, "every run comes to an end",
                  "not within " + std::to_string(turns) + " turns after the faults ended");
    checks_.holds(turn(), "no run waits for nothing", "nothing will happen any more");
  }
  // One more look, so that what was published at the very end is known to be done.
  checks_.at_the_end(loop_->state());
}

void World::run() {
  guarded([this] { begin_life(); });
  for (std::int64_t i = 0; i < options_.turns; ++i) {
    guarded([this] {
      if (chance(random_, options_.operators)) operate();
      if (chance(random_, options_.slot_trouble)) trouble_slots();
      turn();
    });
  }
  guarded([this] { be_fair(); });
}

std::string World::trace(std::size_t lines) const {
  std::string text;
  const std::size_t from = journal_.entries.size() > lines ? journal_.entries.size() - lines : 0;
  for (std::size_t i = from; i < journal_.entries.size(); ++i) {
    const ports::Entry& entry = journal_.entries[i];
    text += std::to_string(core::number(entry.seq)) + " " + entry.input.substr(0, 400) + "\n    -> " +
            entry.actions.substr(0, 400) + "\n";
  }
  return text;
}

}  // namespace overnight::sim
