// logs: what an experiment printed; on a terminal cleaned of what could control it, elsewhere byte for byte.
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "orchestrator/cli/chosen_run.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/terminal.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/executors/attempt_folder.h"
#include "orchestrator/executors/keeper_process.h"

namespace overnight::cli {
namespace {

namespace fs = std::filesystem;

constexpr int look_again_ms = 1000;  // where no event tells that a file has grown

struct LogsOptions {
  std::string run;
  std::int64_t experiment = 0;
  bool follow = false;
  bool as_json = false;
  std::string stream = "stdout";
};

// Prints what files have got since they were last looked at.
class Printer {
 public:
  bool anything() const { return anything_; }

  void print(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return;
    Place& place = places_[file];
    in.seekg(place.at);
    char chunk[65536];
    while (in.read(chunk, sizeof chunk) || in.gcount() > 0) {
      place.at += in.gcount();
      put(place, std::string(chunk, static_cast<std::size_t>(in.gcount())));
      anything_ = true;
    }
    std::cout.flush();
  }
  // Lines that never got their end.
  void finish() {
    for (auto& [_, place] : places_) {
      if (!place.open_line.empty()) std::cout << clean_lines(place.open_line);
      place.open_line.clear();
    }
    std::cout.flush();
  }

 private:
  struct Place {
    std::streamoff at = 0;
    std::string open_line;  // on a terminal: what may become a line
  };

  void put(Place& place, const std::string& bytes) const {
    if (!is_terminal_) {
      std::cout << bytes;
      return;
    }
    place.open_line += bytes;
    const auto end = place.open_line.rfind('\n');
    if (end == std::string::npos) return;
    std::cout << clean_lines(place.open_line.substr(0, end + 1));
    place.open_line.erase(0, end + 1);
  }

  bool is_terminal_ = isatty(STDOUT_FILENO) != 0;
  bool anything_ = false;
  std::map<fs::path, Place> places_;
};

// Its receipt is there, or its keeper is gone without one.
bool is_over(const executors::AttemptFolder& folder) {
  std::error_code ignored;
  if (fs::exists(folder.receipt(), ignored)) return true;
  std::ifstream in(folder.keeper_pid());
  std::string identity;
  if (!std::getline(in, identity)) return false;  // it is only being launched
  pid_t pid = -1;
  const auto pidfd = executors::reopen(identity, pid);
  if (pidfd) close(*pidfd);
  return !pidfd;
}

void follow(const executors::AttemptFolder& folder, const std::vector<fs::path>& files, Printer& printer) {
  const int watch = inotify_init1(IN_CLOEXEC);
  inotify_add_watch(watch, folder.path.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO);
  while (true) {
    const bool over = is_over(folder);  // asked first: what was printed until then is printed below
    for (const fs::path& file : files) printer.print(file);
    if (over || !std::cout) break;
    pollfd wait{watch, POLLIN, 0};
    poll(&wait, 1, look_again_ms);
    char events[4096];
    if (wait.revents != 0) (void)!read(watch, events, sizeof events);
  }
  close(watch);
}

// The attempt that runs now, else the last one.
core::AttemptId newest_attempt(store::HomeReader& reader, const store::RunFacts& facts, core::ExperimentId experiment) {
  core::AttemptId attempt{};
  for (const auto& [id, live] : facts.run.attempts) {
    if (live.experiment == experiment) attempt = id;
  }
  if (core::number(attempt) != 0) return attempt;
  const auto trials = reader.trials_of(experiment);
  return trials && !trials->empty() ? trials->back().last_attempt : attempt;
}

// Each phase's file with what stands in it; bytes that are no UTF-8 are replaced.
int print_json(const store::RunFacts& facts, const LogsOptions& options, core::AttemptId attempt,
               const std::vector<fs::path>& files) {
  nlohmann::json out{{"run", facts.run.id.text},
                     {"experiment", options.experiment},
                     {"attempt", core::number(attempt)},
                     {"stream", options.stream},
                     {"files", nlohmann::json::array()}};
  for (const fs::path& file : files) {
    std::ifstream in(file, std::ios::binary);
    if (!in) continue;
    std::ostringstream text;
    text << in.rdbuf();
    const std::string name = file.filename().string();
    out["files"].push_back({{"phase", name.substr(0, name.find('.'))}, {"path", file.string()}, {"text", text.str()}});
  }
  std::cout << out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  return exit_done;
}

int logs(const Common& common, const LogsOptions& options) {
  if (options.follow && options.as_json) return refuse(exit_bad_input, "--follow prints as it comes; leave out --json");
  auto reader = open_reader(common.home());
  if (!reader) return refuse(reader.error().code, reader.error().why);
  const core::ExperimentId experiment{options.experiment};
  const auto wanted = (*reader)->experiment(experiment);
  if (!wanted) return refuse(exit_failed, wanted.error().explain);
  const auto facts =
      choose_run(**reader, common.home(), options.run.empty() && *wanted ? (*wanted)->run.text : options.run);
  if (!facts) return refuse(facts.error().code, facts.error().why);
  if (!*wanted || (*wanted)->run != facts->run.id)
    return refuse(exit_not_found, "no experiment " + std::to_string(options.experiment) + " in " + facts->run.id.text +
                                      "; overnight experiments lists them");
  const core::AttemptId attempt = newest_attempt(**reader, *facts, experiment);
  if (core::number(attempt) == 0)
    return refuse(exit_not_found, "experiment " + std::to_string(options.experiment) + " was not launched yet");
  reader->reset();
  const auto folder = executors::attempt_folder(common.home(), facts->run.id, attempt);
  std::vector<fs::path> files;
  for (const char* phase : {"build", "train", "evaluate"})
    files.push_back(folder.path / (std::string(phase) + "." + options.stream + ".log"));
  if (options.as_json) return print_json(*facts, options, attempt, files);
  Printer printer;
  if (options.follow) follow(folder, files, printer);
  for (const fs::path& file : files) printer.print(file);
  printer.finish();
  if (!printer.anything())
    std::cerr << "overnight: nothing was printed to " << options.stream << " (looked in " << folder.path.string()
              << ")\n";
  return exit_done;
}

}  // namespace

void add_logs(CLI::App& app, Common& common) {
  static LogsOptions options;
  CLI::App* verb = app.add_subcommand("logs", "what an experiment printed, in its newest attempt");
  verb->add_option("experiment", options.experiment, "its number")->required();
  verb->add_option("--run", options.run, "the run; that of the experiment if left out");
  verb->add_flag("-f,--follow", options.follow, "go on until the attempt has ended");
  verb->add_option("--stream", options.stream, "stdout or stderr")->check(CLI::IsMember({"stdout", "stderr"}));
  verb->add_flag("--json", options.as_json, "print JSON");
  verb->callback([&] { common.chosen = [&] { return logs(common, options); }; });
}

}  // namespace overnight::cli
