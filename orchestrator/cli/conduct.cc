#include "orchestrator/cli/conduct.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "orchestrator/cli/api_client.h"
#include "orchestrator/cli/chosen_run.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/halts_on_disk.h"
#include "orchestrator/cli/people.h"
#include "orchestrator/cli/proposer_factory.h"
#include "orchestrator/cli/published_report.h"
#include "orchestrator/cli/real_clock.h"
#include "orchestrator/cli/registry.h"
#include "orchestrator/cli/show.h"
#include "orchestrator/cli/terminal.h"
#include "orchestrator/cli/webhook.h"
#include "orchestrator/executors/gpus.h"
#include "orchestrator/executors/local_executor.h"
#include "orchestrator/server/commands.h"
#include "orchestrator/server/control_server.h"
#include "orchestrator/server/views.h"
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
// Wall time is written down this often, so that what a crash leaves unsaid is what the next life charges.
constexpr std::chrono::milliseconds tick_every(core::wall_unsaid_max.count());
constexpr auto view_every = std::chrono::milliseconds(500);
constexpr auto halt_wait = std::chrono::seconds(15);  // for what an earlier life left alive to be seen gone

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
      : what_(what),
        signals_(io_, SIGINT, SIGTERM, SIGHUP),
        show_(what.plain),
        poll_(io_),
        view_timer_(io_),
        tick_(io_) {
    for (const int number : {SIGUSR1, SIGWINCH}) signals_.add(number);
  }

  int run() {
    if (const int refused = open(); refused != exit_done) return refused;
    wait_for_signal();
    look_for_halt();
    tick();
    draw_view();
    io_.run();
    show_.finish([this] { return view(); });
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
    if (!store) return refuse(exit_code_of(store.error()), store.error().explain);
    store_ = std::move(*store);
    auto reader = store::HomeReader::open(what_.home.string());
    if (!reader) return refuse(exit_code_of(reader.error()), reader.error().explain);
    reader_ = std::move(*reader);
    auto loaded = store_->load();
    if (!loaded) return refuse(exit_failed, loaded.error().explain);
    // Only a home that has never run anything may lack its latch: elsewhere a latch that is missing counts as closed.
    const bool untouched = core::number(loaded->last) == 0;
    if (auto made = untouched ? latch_of(what_.home).prepare() : budgets::Result<void, std::string>{}; !made)
      return refuse(exit_bad_input, made.error());
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
    const auto halts = halts_on_disk(what_.home, loaded.state);
    const bool halted = loaded.state.latch || !halts.empty();
    if (slots.empty() && !halted)
      return refuse(exit_bad_input, "no slot: the study wants " + std::to_string(study.task.gpus) +
                                        " GPUs per attempt, and none is free here (overnight doctor)");
    auto server =
        server::ControlServer::listen(io_, fs::absolute(api_socket(what_.home)),
                                      [this](const server::ControlRequest& request) { return answer(request); });
    if (!server) return refuse(exit_bad_input, server.error());
    server_ = std::move(*server);
    registration_.emplace(store_->uuid(), what_.home);
    loop_->open(std::move(loaded), std::move(slots), boot_id(), next_epoch_);
    if (halted) {
      if (const int stays = obey_earlier_halts(halts); stays != exit_done) return stays;
    }
    if (what_.study) {
      if (const std::string why = prepare_run_latch(); !why.empty()) return refuse(exit_bad_input, why);
    }
    begun_ = true;
    auto begun = what_.study ? loop_->start(what_.run, study, what_.until) : loop_->resume(what_.run);
    if (!begun) return refuse(what_.study ? exit_bad_input : exit_halted, begun.error());
    loop_->drain();
    if (!loop_->state().runs.contains(what_.run) && !ended_)
      return refuse(exit_failed, "the run was not started; see overnight status");
    return exit_done;
  }

  std::string prepare_run_latch() const {
    const fs::path folder = what_.home / "runs" / what_.run.text;
    if (const auto made = store::make_folder(folder.string()); !made) return made.error().explain;
    const auto latch = latch_of(what_.home, what_.run).prepare();
    return latch ? "" : latch.error();
  }

  // Puts halts that came while nobody listened into the journal. exit_done: our run may go on all the same.
  int obey_earlier_halts(const std::vector<core::HaltRequested>& halts) {
    for (const core::HaltRequested& halt : halts) loop_->post(halt);
    loop_->drain();
    const auto until = std::chrono::steady_clock::now() + halt_wait;
    const auto anything_lives = [this] {
      const auto& runs = loop_->state().runs;
      return std::any_of(runs.begin(), runs.end(), [](const auto& run) { return !run.second.attempts.empty(); });
    };
    while (anything_lives() && std::chrono::steady_clock::now() < until) io_.run_one_for(halt_poll);
    if (const auto& latch = loop_->state().latch)
      return refuse(exit_halted, "this home is halted (by " + latch->by + ": " + latch->reason +
                                     "). overnight release --reason WHY lifts it");
    const auto run = loop_->state().runs.find(what_.run);
    if (run == loop_->state().runs.end() || !run->second.latch) return exit_done;
    return refuse(exit_halted, "run " + what_.run.text + " is latched (by " + run->second.latch->by + ": " +
                                   run->second.latch->reason + "); overnight release " + what_.run.text +
                                   " --reason WHY lifts that");
  }

  // ---- while it runs ----

  // What frees a slot leads to the next launch: a HALT file that lies there already comes first.
  void take(core::Event event) {
    if (std::holds_alternative<core::AttemptGone>(event)) obey_halt_files();
    loop_->post(std::move(event));
  }

  void committed(const core::State& state, const std::vector<core::Note>& notes) {
    for (const core::Note& note : notes) {
      show_.tell(note.wall.ms(), note.kind, note.text);
      if (note.kind == "end" && note.run == what_.run) ended_ = true;
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

  // Only queued: this may be called while the loop performs actions, and a launch of that batch must come before its
  // kill.
  void halt(core::HaltRequested request) {
    // The latch first; if the disk refuses even that, kill all the same.
    const auto latch = request.run ? latch_of(what_.home, *request.run) : latch_of(what_.home);
    if (!latch.close({request.by, request.path, request.reason}))
      say("fault", "the latch could not be written; killing all the same");
    loop_->post(std::move(request));
  }

  // The run that a command names; null if it names one that this home does not work on.
  const core::Run* named_run(const core::RunId& id) const {
    const auto found = loop_->state().runs.find(id);
    return found == loop_->state().runs.end() ? nullptr : &found->second;
  }

  static std::optional<core::RunId> run_of(const core::Event& event) {
    return std::visit(
        [](const auto& one) -> std::optional<core::RunId> {
          if constexpr (requires { one.run; }) return one.run;
          return std::nullopt;
        },
        event);
  }

  static server::ControlReply refusal(int status, const std::string& why) {
    return {status, json{{"error", why}}.dump(-1, ' ', false, json::error_handler_t::replace)};
  }

  server::ControlReply viewed() { return {200, view().dump(-1, ' ', false, json::error_handler_t::replace)}; }

  server::ControlReply answer(const server::ControlRequest& request) {
    if (!request.path.starts_with("/v1/")) return refusal(404, "the API begins with /v1/");
    const std::string path = request.path.substr(4);
    if (request.method == "GET") return path == "view" ? viewed() : refusal(404, "there is GET /v1/view");
    if (request.method != "POST") return refusal(405, "GET or POST");
    const auto user = static_cast<uid_t>(request.user);
    auto event = server::event_of(path, request.body, request.user < 0 ? "user:unknown" : user_words(user));
    if (!event) return refusal(event.error().status, event.error().explain);
    const auto named = run_of(*event);
    const core::Run* run = named ? named_run(*named) : nullptr;
    if (named && run == nullptr) return refusal(404, unknown_run(*named));
    obey(std::move(*event), run);
    return viewed();
  }

  std::string unknown_run(const core::RunId& id) const {
    std::string known;
    for (const auto& [name, _] : loop_->state().runs) known += (known.empty() ? "" : ", ") + name.text;
    return "no unfinished run \"" + id.text + "\" in this home" + (known.empty() ? "" : "; there is " + known);
  }

  // Returns when it is decided and committed.
  void obey(core::Event event, const core::Run* run) {
    const bool is_release = std::holds_alternative<core::ReleaseRequested>(event);
    const std::optional<core::RunId> named = run_of(event);
    if (auto* budget = std::get_if<core::BudgetChanged>(&event)) server::keep_other_grants(*budget, *run);
    if (auto* wanted = std::get_if<core::HaltRequested>(&event)) {
      halt(std::move(*wanted));
    } else {
      loop_->post(std::move(event));
    }
    loop_->drain();
    if (!is_release) return;
    if (const auto lifted = lift_on_disk(what_.home, named); !lifted) say("fault", lifted.error());
    file_seen_ = false;
  }

  json view() {
    json made = server::view_of(loop_->state(), {clock_.now(), clock_.wall()}, metrics_);
    made["events"] = show_.events();
    return made;
  }

  void wait_for_signal() {
    signals_.async_wait([this](error_code error, int number) {
      if (error) return;
      obey_signal(number);
      wait_for_signal();
    });
  }

  // SIGINT: drain, the second time kill. SIGTERM (a service manager, a shutdown): no time to drain and no decision
  // about the run, which stays unfinished. SIGHUP: the terminal is gone, the run is not. SIGUSR1: halt.
  void obey_signal(int number) {
    if (number == SIGHUP) return show_.lose_terminal();
    if (number == SIGWINCH) return show_.draw([this] { return view(); });
    if (number == SIGUSR1) return halt({what_.run, "signal", "signal", "SIGUSR1"});
    if (number == SIGTERM) {
      say("stop", "SIGTERM: what runs is killed, the run stays unfinished; overnight resume goes on with it");
      interrupted_ = true;
      io_.stop();
    } else if (interrupts_++ == 0) {
      say("stop", "draining: what runs may end. Once more to kill it now.");
      loop_->post(core::DrainRequested{what_.run, user_words(getuid())});
    } else {
      loop_->post(core::StopRequested{what_.run, user_words(getuid())});
    }
  }

  void say(const std::string& kind, const std::string& text) { show_.tell(clock_.wall().ms(), kind, text); }

  void obey_halt_files() {
    std::error_code ignored;
    if (file_seen_) return;
    for (const bool whole_home : {true, false}) {
      const fs::path file = whole_home ? halt_file(what_.home) : halt_file(what_.home, what_.run);
      if (!fs::exists(fs::symlink_status(file, ignored))) continue;
      // Whoever halted past us, while we hung, wrote down who and why; that stands.
      auto asked = halt_on_disk(what_.home, whole_home ? std::nullopt : std::optional(what_.run));
      if (!asked) continue;  // it is gone already: the next one must be seen
      file_seen_ = true;
      return halt(std::move(*asked));
    }
  }

  void look_for_halt() {
    obey_halt_files();
    poll_.expires_after(halt_poll);
    poll_.async_wait([this](error_code error) {
      if (!error) look_for_halt();
    });
  }

  // Time passes for the core only with its inputs; without this one, nothing would be charged while nothing happens.
  void tick() {
    tick_.expires_after(tick_every);
    tick_.async_wait([this](error_code error) {
      if (error) return;
      loop_->post(core::TimePassed{});
      tick();
    });
  }

  void draw_view() {
    show_.draw([this] { return view(); });
    view_timer_.expires_after(view_every);
    view_timer_.async_wait([this](error_code error) {
      if (!error) draw_view();
    });
  }

  // ---- the end ----

  int finish() {
    loop_.reset();
    executor_.reset();  // kills what still runs
    const auto facts = reader_->run(what_.run);
    const std::string home_uuid = store_->uuid();
    server_.reset();
    registration_.reset();
    store_.reset();  // the home is free, whatever a webhook takes
    if (!facts || !*facts) return exit_failed;
    const core::Run& run = (*facts)->run;
    // A terminal that was stopped would hold up what has to be told.
    const bool late = show_.stuck();
    if (!late && !show_.lost()) print_end(run);
    const bool unfinished = interrupted_ && !run.end;
    if (!unfinished && !run.study.webhook.empty()) tell_webhook(run, home_uuid);
    if (late && !show_.lost()) print_end(run);
    if (unfinished) return exit_halted;
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

  fs::path report() const { return fs::absolute(what_.home / "runs" / what_.run.text / "report.html"); }

  void tell_webhook(const core::Run& run, const std::string& home_uuid) {
    signals_.clear();  // whoever does not want to wait for an address that does not answer may interrupt that
    const std::string kind(run.end ? core::name_of(run.end->kind) : "failed");
    const std::string reason = run.end ? run.end->reason : "";
    const json body{{"event", "run ended"},
                    {"text", "overnight: " + run.id.text + " " + kind + (reason.empty() ? "" : ": " + reason)},
                    {"run", run.id.text},
                    {"kind", kind},
                    {"reason", reason},
                    {"home", home_uuid},
                    {"report", report().string()},
                    {"view", server::view_of(run, 0, std::nullopt)}};
    const std::string failed =
        post_webhook(run.study.webhook, body.dump(-1, ' ', false, json::error_handler_t::replace));
    if (!failed.empty() && !show_.lost()) std::cerr << "overnight: " << failed << "; the run itself is not affected\n";
  }

  void print_end(const core::Run& run) {
    std::cout << "\n" << ranked_table(*reader_, what_.run);
    if (run.end) {
      std::cout << core::name_of(run.end->kind) << ": ";
      std::istringstream lines(run.end->reason);  // the tail of a log among them
      for (std::string line; std::getline(lines, line);) std::cout << clean(line, 4000) << "\n";
    }
    if (run.latch)
      std::cout << "latched: overnight release " << run.id.text << " --reason WHY, then overnight resume "
                << run.id.text << "\n";
    if (!run.end)
      std::cout << "interrupted: the run is unfinished; overnight resume " << run.id.text << " goes on with it\n";
    std::error_code ignored;
    if (fs::exists(report(), ignored)) std::cout << "report: " << report().string() << "\n";
    std::cout.flush();
  }

  const Conduct& what_;
  asio::io_context io_;
  RealClock clock_;
  asio::signal_set signals_;
  Show show_;
  asio::steady_timer poll_, view_timer_, tick_;
  std::unique_ptr<store::HomeStore> store_;
  std::unique_ptr<store::HomeReader> reader_;
  std::optional<Registration> registration_;
  std::unique_ptr<executors::LocalExecutor> executor_;
  std::unique_ptr<shell::Loop> loop_;
  std::unique_ptr<server::ControlServer> server_;
  core::Epoch next_epoch_{};
  server::LiveMetrics metrics_;
  bool ended_ = false;
  bool begun_ = false;  // before, a home without our run is no end
  int interrupts_ = 0;
  bool interrupted_ = false;  // by SIGTERM
  bool file_seen_ = false;
};

}  // namespace

int conduct(const Conduct& what) {
  std::signal(SIGPIPE, SIG_IGN);
  return Conductor(what).run();
}

}  // namespace overnight::cli
