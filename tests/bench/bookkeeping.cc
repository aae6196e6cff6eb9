// What one experiment costs the orchestrator, the experiment itself left out: the real loop, the real store with its
// fsyncs, the real random proposer, and an executor whose attempts end at once. Every event comes alone, so no two
// experiments share a commit: the worst case. Then the orchestrator is started again on what was left.
//
//   bookkeeping FOLDER EXPERIMENTS [SLOTS]         a new home in FOLDER
//   bookkeeping --again FOLDER                     a second life of that home
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <filesystem>

#include "orchestrator/proposers/make_proposer.h"
#include "orchestrator/shell/loop.h"
#include "orchestrator/store/home_store.h"
#include "orchestrator/store/reader.h"
#include "tests/bench/bench_study.h"
#include "tests/bench/figures.h"

namespace overnight::bench {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;

constexpr std::int64_t window = 1000;  // experiments whose cost is averaged, before each mark

const core::RunId run_id{"bench"};

class SystemClock final : public ports::Clock {
 public:
  budgets::Moment now() const override { return budgets::Moment::at(ms(CLOCK_BOOTTIME)); }
  budgets::WallTime wall() const override { return budgets::WallTime::at(ms(CLOCK_REALTIME)); }

 private:
  static std::int64_t ms(clockid_t id) {
    timespec now{};
    clock_gettime(id, &now);
    return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
  }
};

// What proposers of a second life know.
std::vector<ports::KnownTrial> history_of(store::HomeReader& reader, const core::RunId& run) {
  std::map<core::ExperimentId, core::Params> params;
  std::int64_t cursor = 0;
  for (bool more = true; more;) {
    auto page = reader.experiments(run, {}, cursor, store::page_max).value();
    for (auto& experiment : page.items) params.emplace(experiment.experiment, std::move(experiment.params));
    cursor = page.next, more = page.more;
  }
  std::vector<ports::KnownTrial> history;
  cursor = 0;
  for (bool more = true; more;) {
    auto page = reader.trials(run, cursor, store::page_max).value();
    for (const auto& [_, trial] : page.items)
      history.push_back({trial.experiment, params.at(trial.experiment), trial.score, "", "random", ""});
    cursor = page.next, more = page.more;
  }
  return history;
}

// Attempts that end at once, with a score; each event in a turn of the loop of its own.
class InstantExecutor final : public ports::Executor {
 public:
  InstantExecutor(asio::io_context& io, ports::Sink sink, std::int64_t slots)
      : io_(io), sink_(std::move(sink)), slots_(slots) {}

  std::vector<core::SlotFound> capacity(const core::Study&) override {
    std::vector<core::SlotFound> found;
    for (std::int64_t i = 1; i <= slots_; ++i) found.push_back({core::SlotId{i}, "cpu", {0}, {}});
    return found;
  }

  void launch(const core::Launch& launch, const core::Study& study) override {
    core::AttemptGone gone{launch.attempt};
    gone.cause = core::Cause::completed;
    gone.phase = core::Phase::train;
    gone.score = bench_loss(launch.params);
    gone.metrics = {{study.objective.metric, *gone.score}};
    gone.took = core::Millis::of(20);
    gone.phase_ms = {{"train", 20}};
    gone.artifacts = budgets::Bytes::of(4096);
    gone.log_tail = "loss: " + std::to_string(*gone.score);
    say(core::AttemptStarted{launch.attempt});
    say(core::AttemptInPhase{launch.attempt, core::Phase::train});
    say(std::move(gone));
  }
  void stop(core::AttemptId, core::StopLevel, const std::string&) override {}
  void drop_artifacts(core::AttemptId attempt, const core::RunId& run) override {
    say(core::ArtifactsDropped{attempt, run, budgets::Bytes::of(4096)});
  }
  void observe(const std::vector<core::AttemptId>& expected) override {
    for (const core::AttemptId attempt : expected) {
      core::AttemptGone gone{attempt};
      gone.cause = core::Cause::lease_lost;
      gone.took = core::Millis{};
      sink_(gone);
    }
    sink_(core::Observed{});
  }

 private:
  void say(core::Event event) {
    waiting_.push_back(std::move(event));
    if (waiting_.size() == 1) asio::post(io_, [this] { say_next(); });
  }
  void say_next() {
    sink_(std::move(waiting_.front()));
    waiting_.pop_front();
    if (!waiting_.empty()) asio::post(io_, [this] { say_next(); });
  }

  asio::io_context& io_;
  ports::Sink sink_;
  std::int64_t slots_;
  std::deque<core::Event> waiting_;
};

// One life of an orchestrator on the home in `folder`.
struct Life {
  asio::io_context io;
  asio::executor_work_guard<asio::io_context::executor_type> busy{io.get_executor()};  // asks are answered by threads
  SystemClock clock;
  std::unique_ptr<store::HomeStore> store;
  std::unique_ptr<store::HomeReader> reader;
  std::unique_ptr<InstantExecutor> executor;
  std::unique_ptr<shell::Loop> loop;
  std::function<void(const core::State&)> committed = [](const core::State&) {};
  ports::Loaded loaded;

  Life(const std::string& folder, std::int64_t slots) {
    store = std::move(store::HomeStore::open(folder, store::HomeStore::Mode::read_write, clock.wall()).value());
    reader = std::move(store::HomeReader::open(folder).value());
    loaded = std::move(store->load().value());
    executor = std::make_unique<InstantExecutor>(
        io, [this](core::Event event) { loop->post(std::move(event)); }, slots);
    shell::Surroundings around;
    around.make_proposer = [](const core::Study& study, std::size_t index) {
      return proposers::make_proposer(study, index, {});
    };
    around.history = [this](const core::RunId& run) { return history_of(*reader, run); };
    around.committed = [this](const core::State& state, const std::vector<core::Note>&) { committed(state); };
    around.journal_failed = [](const std::string& why) {
      std::cerr << "bookkeeping: " << why << "\n";
      std::_Exit(1);
    };
    loop = std::make_unique<shell::Loop>(io, clock, *store, std::move(around));
    loop->use(*executor);
  }

  void open(const core::Study& study) {
    const core::Epoch epoch{core::number(loaded.state.epoch) + 1};
    loop->open(std::move(loaded), executor->capacity(study), "boot", epoch);
  }
};

double database_bytes(const std::string& folder) {
  double bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string() == "home.db") bytes += static_cast<double>(entry.file_size());
  }
  return bytes;
}

std::string marked(std::int64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

int first_life(const std::string& folder, std::int64_t experiments, std::int64_t slots) {
  fs::remove_all(folder);
  const core::Study study = bench_study("random", experiments + 1000);
  Life life(folder, slots);
  double cpu_before = cpu_seconds(), wall_before = wall_seconds(), first_cost = 0, last_cost = 0;
  std::int64_t told = -1;
  life.committed = [&](const core::State& state) {
    const auto run = state.runs.find(run_id);
    if (run == state.runs.end() || run->second.counts.trials_finished == told) return;
    told = run->second.counts.trials_finished;
    const bool mark = told == 1000 || told == 5000 || told == experiments;
    if (mark) {
      last_cost = (cpu_seconds() - cpu_before) * 1000 / static_cast<double>(std::min(window, told));
      if (first_cost == 0) first_cost = last_cost;
      tell("bookkeeping at " + marked(told) + " experiments, CPU each", last_cost, "ms", "< 1");
      tell("bookkeeping at " + marked(told) + " experiments, wall each (fsync included)",
           (wall_seconds() - wall_before) * 1000 / static_cast<double>(std::min(window, told)), "ms");
    }
    const bool begins = told + window == 5000 || told + window == experiments;
    if (begins) cpu_before = cpu_seconds(), wall_before = wall_seconds();
    if (told == experiments) life.io.stop();
  };
  life.open(study);
  if (!life.loop->start(run_id, study, core::WallTime::never())) return 1;
  life.io.run();
  if (first_cost != last_cost)
    tell("bookkeeping, last window against the first", last_cost / first_cost, "x", "< 1.25");
  tell("orchestrator memory at " + marked(experiments) + " experiments, peak", peak_megabytes(), "MB", "< 150");
  tell("database per experiment", database_bytes(folder) / static_cast<double>(experiments) / 1024, "KiB");
  return 0;
}

int second_life(const std::string& folder) {
  const double cpu = cpu_seconds(), wall = wall_seconds();
  Life life(folder, 8);
  if (!life.loaded.state.runs.contains(run_id)) return 1;
  const core::Study study = life.loaded.state.runs.at(run_id).study;
  const std::int64_t finished = life.loaded.state.runs.at(run_id).counts.trials_finished;
  bool resumed = false;
  life.committed = [&](const core::State& state) {
    resumed = state.runs.at(run_id).live;
    if (resumed) life.io.stop();
  };
  life.open(study);
  if (!life.loop->resume(run_id)) return 1;
  life.io.run();
  tell("restart at " + marked(finished) + " experiments, wall", (wall_seconds() - wall) * 1000, "ms");
  tell("restart at " + marked(finished) + " experiments, CPU", (cpu_seconds() - cpu) * 1000, "ms");
  tell("restarted orchestrator at " + marked(finished) + " experiments, peak memory", peak_megabytes(), "MB", "< 150");
  return 0;
}

}  // namespace
}  // namespace overnight::bench

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 2 && words[0] == "--again") return overnight::bench::second_life(words[1]);
  if (words.size() != 2 && words.size() != 3) {
    std::cerr << "usage: bookkeeping FOLDER EXPERIMENTS [SLOTS] | bookkeeping --again FOLDER\n";
    return 2;
  }
  return overnight::bench::first_life(words[0], std::stoll(words[1]), words.size() == 3 ? std::stoll(words[2]) : 8);
}
