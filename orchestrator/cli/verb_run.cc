// run resume try: the verbs that conduct a run in this process.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "orchestrator/cli/api_client.h"
#include "orchestrator/cli/chosen_run.h"
#include "orchestrator/cli/conduct.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/fresh_run.h"
#include "orchestrator/cli/halts_on_disk.h"
#include "orchestrator/cli/published_report.h"
#include "orchestrator/cli/real_clock.h"
#include "orchestrator/cli/study_file.h"
#include "orchestrator/cli/tried.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/store/home_store.h"

extern char** environ;

namespace overnight::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* signals_help =
    "Ctrl-C (SIGINT): nothing new starts, what runs may end; twice: kill it. resume goes on.\n"
    "SIGTERM: kill what runs; the run stays unfinished, resume and resume --interrupted go on.\n"
    "SIGHUP, a lost terminal: the run goes on without it. SIGUSR1, or a file HALT in the home or in the run's\n"
    "folder: halt, latched until overnight release.";
constexpr int detach_wait_ms = 20'000;  // for the detached orchestrator to answer

struct RunOptions {
  StudyOptions study;
  std::string run;
  std::string run_id;  // set by --detach for the process behind it
  bool detach = false, plain = false, all = false, as_json = false;
};

fs::path keeper_beside(const fs::path& program) { return program.parent_path() / "overnight-worker"; }

// True if the orchestrator that answers works on this run; another one may own the home.
bool conducts(const fs::path& home, const core::RunId& run) {
  const auto reply = call_api(home, "GET", "/v1/view", "", 1000);
  if (!reply) return false;
  const auto view = nlohmann::json::parse(reply->body, nullptr, false);
  if (!view.is_object() || !view.contains("runs")) return false;
  return std::any_of(view["runs"].begin(), view["runs"].end(),
                     [&](const auto& one) { return one["run"] == run.text && one["live"] == true; });
}

// It ended before it answered: it was refused, or it was quick.
int ended_at_once(const fs::path& log, int status) {
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : static_cast<int>(exit_failed);
  {
    std::ifstream in(log);
    std::cerr << in.rdbuf();
  }
  // A run that was refused left nothing but what it said, and that was shown.
  std::error_code ignored;
  const fs::path folder = log.parent_path();
  const bool refused = std::distance(fs::directory_iterator(folder, ignored), fs::directory_iterator()) == 1;
  if (refused) fs::remove_all(folder, ignored);
  std::cerr << "overnight: it has ended already, with exit code " << code
            << (refused ? "" : " (output in " + log.string() + ")") << "\n";
  return code;
}

// Starts this program again in a session of its own, its output in a file, and waits until it answers.
int detach(const Common& common, std::vector<std::string> arguments, const core::RunId& run) {
  const fs::path folder = common.home() / "runs" / run.text;
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) return refuse(exit_bad_input, folder.string() + ": " + failed.message());
  const std::string log = (folder / "console.log").string(), program = common.program.string();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = -1;
  const int refused = posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (refused != 0) return refuse(exit_failed, program + " could not be started again");
  for (int waited = 0; waited < detach_wait_ms; waited += 50) {
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) == pid) return ended_at_once(log, status);
    if (conducts(common.home(), run)) {
      std::cout << run.text << " runs detached (process " << pid << ", output in " << log << ")\n"
                << "overnight watch shows it, overnight halt stops it\n";
      return exit_done;
    }
    poll(nullptr, 0, 50);
  }
  return refuse(exit_failed, "the detached orchestrator does not answer; see " + log);
}

std::vector<std::string> again(const Common& common, std::initializer_list<std::string> verb) {
  std::vector<std::string> arguments{common.program.string(), "--home", fs::absolute(common.home()).string()};
  arguments.insert(arguments.end(), verb);
  arguments.push_back("--plain");
  return arguments;
}

int run(const Common& common, const RunOptions& options) {
  const fs::path prices = prices_file(common.program);
  const auto study = read_study(options.study, common.home(), prices);
  if (!study) return exit_bad_input;
  const core::WallTime now = RealClock().wall();
  Conduct what;
  what.home = common.home();
  what.study = study;
  what.run = options.run_id.empty() ? fresh_run_id(study->name, now) : core::RunId{options.run_id};
  what.keeper = keeper_beside(common.program);
  what.prices = prices;
  what.plain = options.plain;
  if (!study->run_budget.until.empty()) {
    const auto until = next_time_of_day(study->run_budget.until, now);
    if (!until)
      return refuse(exit_bad_input,
                    "budgets.run.until: \"" + study->run_budget.until + "\" is not a time of day like \"07:30\"");
    what.until = *until;
  }
  if (!options.detach) return conduct(what);
  auto arguments = again(common, {"run", fs::absolute(options.study.file).string(), "--run-id", what.run.text});
  for (const std::string& set : options.study.overrides) arguments.insert(arguments.end(), {"--set", set});
  if (!options.study.site.empty())
    arguments.insert(arguments.end(), {"--site", fs::absolute(options.study.site).string()});
  return detach(common, std::move(arguments), what.run);
}

// A kill while a home is made, or brought up to date, leaves what only its owner may mend. What is wrong beyond that is
// told when it is read; a home that is in use needs no mending.
void put_in_order(const fs::path& home) {
  const store::HomePaths paths(home.string());
  std::error_code ignored;
  if (fs::exists(paths.database, ignored))
    (void)store::HomeStore::open(home.string(), store::HomeStore::Mode::read_write, RealClock().wall());
}

// The newest run that can go on, or the one that was named.
int resume(const Common& common, const RunOptions& options) {
  put_in_order(common.home());
  auto reader = open_reader(common.home());
  if (!reader) return refuse(reader.error().code, reader.error().why);
  const auto facts = choose_run(**reader, common.home(), options.run);
  if (!facts) return refuse(facts.error().code, facts.error().why);
  const core::Run& run = facts->run;
  if (facts->ended) {  // killed between the end and the report, perhaps: the report is written again
    publish_report(**reader, common.home(), run.id);
    std::cout << "run " << run.id.text << " is over (" << core::name_of(run.end->kind) << ": " << run.end->reason
              << ")\n";
    return run.end->kind == core::EndKind::done ? exit_done : exit_failed;
  }
  if (run.latch)
    return refuse(exit_halted, "run " + run.id.text + " is latched by " + run.latch->by + " (" + run.latch->reason +
                                   "); overnight release " + run.id.text + " --reason WHY lifts that");
  if (run.hold)
    return refuse(exit_halted, "run " + run.id.text + " is held by " + run.hold->by + " (" + run.hold->reason +
                                   "); overnight release " + run.id.text + " --reason WHY lifts that");
  Conduct what;
  what.home = common.home();
  what.run = run.id;
  what.keeper = keeper_beside(common.program);
  what.prices = prices_file(common.program);
  what.plain = options.plain;
  const core::RunId id = run.id;
  reader->reset();
  return options.detach ? detach(common, again(common, {"resume", id.text}), id) : conduct(what);
}

// A run that was cut off: unfinished, and no person, breaker or planned end stopped it.
bool is_interrupted(const fs::path& home, const store::RunFacts& facts) {
  const core::Run& run = facts.run;
  if (facts.ended || run.end || run.pending_end || run.latch || run.hold || run.draining) return false;
  std::error_code ignored;
  return !latch_of(home, run.id).read() && !fs::exists(fs::symlink_status(halt_file(home, run.id), ignored));
}

// For a service manager after a reboot: the runs that were cut off, the newest first, one after the other.
int resume_interrupted(const Common& common, RunOptions options) {
  const fs::path home = common.home();
  std::error_code ignored;
  int worst = exit_done;
  put_in_order(home);
  for (std::set<std::string> tried;;) {
    auto reader = open_reader(home);
    if (!reader && reader.error().code == exit_not_found && tried.empty()) break;
    if (!reader) return refuse(reader.error().code, reader.error().why);
    if (latch_of(home).read() || fs::exists(fs::symlink_status(halt_file(home), ignored))) {
      std::cout << "this home is halted: nothing is resumed before overnight release\n";
      return exit_done;
    }
    const auto runs = (*reader)->runs(0, store::page_max);
    if (!runs) return refuse(exit_failed, runs.error().explain);
    const auto next = std::find_if(runs->items.begin(), runs->items.end(), [&](const store::RunFacts& facts) {
      return is_interrupted(home, facts) && !tried.contains(facts.run.id.text);
    });
    if (next == runs->items.end()) {
      if (!tried.empty()) return worst;
      break;
    }
    options.run = next->run.id.text;
    tried.insert(options.run);
    reader->reset();
    worst = std::max(worst, resume(common, options));
  }
  std::cout << "nothing to resume\n";
  return exit_done;
}

}  // namespace

void add_run(CLI::App& app, Common& common) {
  static RunOptions options;
  CLI::App* start = app.add_subcommand("run", "start a run of a study and conduct it to its end");
  start->footer(signals_help);
  add_study_options(*start, options.study);
  start->add_flag("--detach", options.detach, "go on in the background; watch and halt reach it");
  start->add_flag("--plain", options.plain, "plain lines instead of the live view");
  start->add_option("--run-id", options.run_id)->group("");
  start->callback([&] { common.chosen = [&] { return run(common, options); }; });

  CLI::App* go_on = app.add_subcommand("resume", "go on with a run after a crash or a stop; lifts no latch");
  go_on->footer(signals_help);
  go_on->add_option("run", options.run, "the run; the newest if left out");
  go_on->add_flag("--detach", options.detach, "go on in the background");
  go_on->add_flag("--plain", options.plain, "plain lines instead of the live view");
  go_on->add_flag(
      "--interrupted", options.all,
      "the runs that were cut off and that nobody stopped, the newest first; nothing to do is fine (for a service "
      "manager, see configs/systemd/)");
  go_on->callback([&] {
    common.chosen = [&] { return options.all ? resume_interrupted(common, options) : resume(common, options); };
  });

  CLI::App* once =
      app.add_subcommand("try", "run the baseline once as it would be run at night, and show metric, time and memory");
  add_study_options(*once, options.study);
  once->add_flag("--json", options.as_json, "print JSON");
  once->callback([&] {
    common.chosen = [&] {
      const auto study = read_study(options.study, common.home(), prices_file(common.program));
      return study ? try_once(*study, keeper_beside(common.program), common.home(), options.as_json)
                   : static_cast<int>(exit_bad_input);
    };
  });
}

}  // namespace overnight::cli
