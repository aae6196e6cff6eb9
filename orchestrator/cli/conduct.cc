#include "orchestrator/cli/conduct.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <ctime>
#include <deque>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "orchestrator/cli/api_client.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/live_view.h"
#include "orchestrator/cli/proposer_factory.h"
#include "orchestrator/cli/published_report.h"
#include "orchestrator/cli/real_clock.h"
#include "orchestrator/cli/registry.h"
#include "orchestrator/cli/terminal.h"
#include "orchestrator/executors/gpus.h"
#include "orchestrator/executors/local_executor.h"
#include "orchestrator/server/commands.h"
#include "orchestrator/server/control_server.h"
#include "orchestrator/server/views.h"
#include "orchestrator/shell/latch_file.h"
#include "orchestrator/shell/loop.h"
#include "orchestrator/store/home_store.h"
#include "orchestrator/store/reader.h"

namespace overnight::cli {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using boost::system::error_code;
using nlohmann::json;

constexpr auto halt_poll = std::chrono::milliseconds(250);  // HALT files are looked for this often
constexpr auto view_every = std::chrono::milliseconds(500);
constexpr std::size_t events_kept = 64;

std::string user_name() {
  const char* name = std::getenv("USER");
  return "user:" + (name != nullptr && *name != '\0' ? std::string(name) : std::to_string(getuid()));
}

std::string boot_id() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(in, id);
  return id;
}

// Everything of one conducted run; members are made in the order in which they depend on each other.
class Conductor {
 public:
  explicit Conductor(const Conduct& what)
      : what_(what), signals_(io_, SIGINT, SIGTERM, SIGHUP), poll_(io_), view_timer_(io_) {
    signals_.add(SIGUSR1);
  }

  int run() {
    if (const int refused = open(); refused != exit_done) return refused;
    wait_for_signal();
    look_for_halt();
    if (isatty(STDOUT_FILENO) && !what_.plain) screen_.emplace(STDOUT_FILENO);
    draw_view();
    io_.run();
    if (screen_) screen_->leave();
    return finish();
  }

 private:
  // ---- beginning ----

  int refuse(int code, const std::string& why) {
    std::cerr << "overnight: " << why << "\n";
    return code;
  }

  int open() {
    auto store = store::HomeStore::open(what_.home.string(), store::HomeStore::Mode::read_write, clock_.wall());
    if (!store) return refuse(exit_bad_input, store.error().explain);
    store_ = std::move(*store);
    auto reader = store::HomeReader::open(what_.home.string());
    if (!reader) return refuse(exit_failed, reader.error().explain);
    reader_ = std::move(*reader);
    latch_.emplace(what_.home / "latch");
    if (auto made = latch_->prepare(); !made) return refuse(exit_bad_input, made.error());
    auto loaded = store_->load();
    if (!loaded) return refuse(exit_failed, loaded.error().explain);
    if (const auto closed = latch_->read(); closed && closed->run.empty()) {
      return refuse(exit_halted, "this home is halted (by " + closed->by + ": " + closed->reason +
                                     "). overnight release --reason WHY lifts it");
    }
    if (!what_.study && !loaded->state.runs.contains(what_.run)) {
      return refuse(exit_not_found, "there is no unfinished run " + what_.run.text + " in " + what_.home.string());
    }
    make_parts(loaded->state);
    return begin(std::move(*loaded));
  }

  void make_parts(const core::State& loaded) {
    const std::int64_t epoch = core::number(loaded.epoch) + 1;
    executors::LocalSettings settings;
    settings.home = fs::absolute(what_.home);
    settings.home_uuid = store_->uuid();
    settings.epoch = epoch;
    settings.keeper = what_.keeper;
    settings.gpus = executors::gpu_source();
    executor_ = std::make_unique<executors::LocalExecutor>(
        io_, clock_, std::move(settings), [this](core::Event event) { take(std::move(event)); },
        [this](const executors::LiveMetric& seen) { metrics_[seen.attempt][seen.name] = seen.value; });
    for (const auto& [id, run] : loaded.runs) {
      for (const auto& [attempt, _] : run.attempts) executor_->expect(attempt, id);
    }
    shell::Surroundings around;
    around.make_proposer = [this](const core::Study& study, std::size_t index) {
      return make_study_proposer(study, index, what_.prices, what_.home);
    };
    around.history = [this](const core::RunId& run) { return history_of(*reader_, run); };
    around.publish = [this](const core::RunId& run, bool) { publish_report(*reader_, what_.home, run); };
    around.committed = [this](const core::State& state, const std::vector<core::Note>& notes) {
      committed(state, notes);
    };
    around.journal_failed = [](const std::string& why) {
      std::cerr << "overnight: the journal cannot be written, so the run stops here; everything up to now is kept: "
                << why << "\n";
      std::_Exit(exit_failed);
    };
    loop_ = std::make_unique<shell::Loop>(io_, clock_, *store_, std::move(around));
    loop_->use(*executor_);
    next_epoch_ = core::Epoch{epoch};
  }

  int begin(ports::Loaded loaded) {
    const core::Study study = what_.study ? *what_.study : loaded.state.runs.at(what_.run).study;
    auto slots = executor_->capacity(study);
    if (slots.empty())
      return refuse(exit_bad_input, "no slot: the study wants " + std::to_string(study.task.gpus) +
                                        " GPUs per attempt, and none is free here (overnight doctor)");
    auto server =
        server::ControlServer::listen(io_, fs::absolute(api_socket(what_.home)),
                                      [this](const server::ControlRequest& request) { return answer(request); });
    if (!server) return refuse(exit_bad_input, server.error());
    server_ = std::move(*server);
    registration_.emplace(store_->uuid(), what_.home);
    loop_->open(std::move(loaded), std::move(slots), boot_id(), next_epoch_);
    begun_ = true;
    auto begun = what_.study ? loop_->start(what_.run, study, what_.until) : loop_->resume(what_.run);
    if (!begun) return refuse(what_.study ? exit_bad_input : exit_halted, begun.error());
    loop_->drain();
    if (!loop_->state().runs.contains(what_.run) && !ended_)
      return refuse(exit_failed, "the run was not started; see overnight status");
    return exit_done;
  }

  // ---- while it runs ----

  // What frees a slot leads to the next launch: a HALT file that lies there already comes first.
  void take(core::Event event) {
    if (std::holds_alternative<core::AttemptGone>(event)) obey_halt_files();
    loop_->post(std::move(event));
  }

  void committed(const core::State& state, const std::vector<core::Note>& notes) {
    for (const core::Note& note : notes) {
      const std::string line =
          clock_words(note.wall.ms()) + "  " + fmt::format("{:<9}", note.kind) + " " + clean(note.text, 2000);
      events_.push_back(line);
      if (events_.size() > events_kept) events_.pop_front();
      if (!screen_ && !terminal_gone_) std::cout << line << std::endl;
      if (note.kind == "end" && note.run == what_.run) ended_ = note.text;
    }
    for (auto it = metrics_.begin(); it != metrics_.end();)
      it = runs_attempt(state, it->first) ? std::next(it) : metrics_.erase(it);
    const auto run = state.runs.find(what_.run);
    if (begun_ && (run == state.runs.end() || run->second.end)) io_.stop();
  }

  static bool runs_attempt(const core::State& state, core::AttemptId attempt) {
    return std::any_of(state.runs.begin(), state.runs.end(),
                       [&](const auto& entry) { return entry.second.attempts.contains(attempt); });
  }

  void halt(core::HaltRequested request) {
    // The latch first; if the disk refuses even that, kill all the same.
    if (!latch_->close({request.run ? request.run->text : "", request.by, request.path, request.reason})) {
      std::cerr << "overnight: the latch could not be written; killing all the same\n";
    }
    loop_->post(std::move(request));
    loop_->drain();
  }

  server::ControlReply answer(const server::ControlRequest& request) {
    if (!request.path.starts_with("/v1/")) return {404, R"({"error":"the API begins with /v1/"})"};
    const std::string path = request.path.substr(4);
    if (request.method == "GET") {
      if (path != "view") return {404, R"({"error":"there is GET /v1/view"})"};
      return {200, view().dump(-1, ' ', false, json::error_handler_t::replace)};
    }
    if (request.method != "POST") return {405, R"({"error":"GET or POST"})"};
    auto event = server::event_of(path, request.body, user_name());
    if (!event) return {event.error().status, json{{"error", event.error().explain}}.dump()};
    if (auto* wanted = std::get_if<core::HaltRequested>(&*event)) {
      halt(std::move(*wanted));
    } else {
      const bool release = std::holds_alternative<core::ReleaseRequested>(*event);
      loop_->post(std::move(*event));
      loop_->drain();
      if (release) (void)latch_->open_again();
    }
    return {200, view().dump(-1, ' ', false, json::error_handler_t::replace)};
  }

  json view() {
    json made = server::view_of(loop_->state(), {clock_.now(), clock_.wall()}, metrics_);
    made["events"] = events_;
    return made;
  }

  void wait_for_signal() {
    signals_.async_wait([this](error_code error, int number) {
      if (error) return;
      if (number == SIGHUP) {
        // The terminal is gone, the run is not.
        terminal_gone_ = true;
        screen_.reset();
      } else if (number == SIGUSR1) {
        halt({what_.run, "signal", "signal", "SIGUSR1"});
      } else if (interrupts_++ == 0) {
        say("draining: what runs may end. Once more to kill it now.");
        loop_->post(core::DrainRequested{what_.run, user_name()});
      } else {
        loop_->post(core::StopRequested{what_.run, user_name()});
      }
      wait_for_signal();
    });
  }

  void say(const std::string& text) {
    events_.push_back(clock_words(clock_.wall().ms()) + "  " + text);
    if (!screen_ && !terminal_gone_) std::cout << events_.back() << std::endl;
  }

  void obey_halt_files() {
    std::error_code ignored;
    if (file_seen_) return;
    if (fs::exists(what_.home / "HALT", ignored)) {
      file_seen_ = true;
      halt({std::nullopt, "file", "file", "HALT file in " + what_.home.string()});
    } else if (fs::exists(what_.home / "runs" / what_.run.text / "HALT", ignored)) {
      file_seen_ = true;
      halt({what_.run, "file", "file", "HALT file in the folder of the run"});
    }
  }

  void look_for_halt() {
    obey_halt_files();
    poll_.expires_after(halt_poll);
    poll_.async_wait([this](error_code error) {
      if (!error) look_for_halt();
    });
  }

  void draw_view() {
    if (screen_) screen_->show(draw(view(), {events_.begin(), events_.end()}, screen_->size(), true));
    view_timer_.expires_after(view_every);
    view_timer_.async_wait([this](error_code error) {
      if (!error) draw_view();
    });
  }

  // ---- the end ----

  int finish() {
    const auto facts = reader_->run(what_.run);
    loop_.reset();
    executor_.reset();
    if (!facts || !*facts) return exit_failed;
    const core::Run& run = (*facts)->run;
    if (!terminal_gone_) print_end(run);
    if (!run.study.webhook.empty()) {
      const std::string failed = post_webhook(run.study.webhook, server::view_of(run, 0, std::nullopt).dump());
      if (!failed.empty()) std::cerr << "overnight: " << failed << "\n";
    }
    const core::EndKind kind = run.end ? run.end->kind : core::EndKind::failed;
    switch (kind) {
      case core::EndKind::done:
        return exit_done;
      case core::EndKind::failed:
      case core::EndKind::abandoned:
        return exit_failed;
      case core::EndKind::halted:
      case core::EndKind::tripped:
      case core::EndKind::stopped:
        return exit_halted;
    }
    return exit_failed;
  }

  void print_end(const core::Run& run) {
    std::cout << "\n" << ranked_table(*reader_, what_.run);
    if (run.end) std::cout << core::name_of(run.end->kind) << ": " << clean(run.end->reason, 4000) << "\n";
    if (run.latch)
      std::cout << "latched: overnight release " << run.id.text << " --reason WHY, then overnight resume "
                << run.id.text << "\n";
    std::cout << "report: " << fs::absolute(what_.home / "runs" / what_.run.text / "report.html").string() << std::endl;
  }

  const Conduct& what_;
  asio::io_context io_;
  RealClock clock_;
  asio::signal_set signals_;
  asio::steady_timer poll_, view_timer_;
  std::unique_ptr<store::HomeStore> store_;
  std::unique_ptr<store::HomeReader> reader_;
  std::optional<shell::LatchFile> latch_;
  std::optional<Registration> registration_;
  std::unique_ptr<executors::LocalExecutor> executor_;
  std::unique_ptr<shell::Loop> loop_;
  std::unique_ptr<server::ControlServer> server_;
  core::Epoch next_epoch_{};
  server::LiveMetrics metrics_;
  std::deque<std::string> events_;
  std::optional<Screen> screen_;
  std::optional<std::string> ended_;
  bool begun_ = false;  // before, a home without our run is no end
  int interrupts_ = 0;
  bool terminal_gone_ = false;
  bool file_seen_ = false;
};

}  // namespace

int conduct(const Conduct& what) {
  std::signal(SIGPIPE, SIG_IGN);
  return Conductor(what).run();
}

core::RunId fresh_run_id(const std::string& study_name, core::WallTime now) {
  std::string name;
  for (const char c : study_name.substr(0, 40)) name.push_back(std::isalnum(static_cast<unsigned char>(c)) ? c : '-');
  const std::time_t seconds = now.ms() / 1000;
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char day[16];
  std::strftime(day, sizeof day, "%Y-%m-%d", &parts);
  std::random_device random;
  return {fmt::format("{}-{}-{:06x}", day, name, random() & 0xffffff)};
}

std::optional<core::WallTime> next_time_of_day(const std::string& text, core::WallTime now) {
  int hour = -1, minute = -1;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%2d:%2d%c", &hour, &minute, &rest) != 2 || hour < 0 || hour > 23 || minute < 0 ||
      minute > 59)
    return std::nullopt;
  const std::time_t seconds = now.ms() / 1000;
  std::tm parts{};
  localtime_r(&seconds, &parts);
  parts.tm_hour = hour;
  parts.tm_min = minute;
  parts.tm_sec = 0;
  parts.tm_isdst = -1;
  std::time_t when = std::mktime(&parts);
  if (when <= seconds) {
    ++parts.tm_mday;
    parts.tm_isdst = -1;
    when = std::mktime(&parts);
  }
  return core::WallTime::at(std::int64_t{when} * 1000);
}

}  // namespace overnight::cli
