// halt hold release enqueue: what an operator asks for. Anyone who may open the home's socket may halt.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "orchestrator/cli/api_client.h"
#include "orchestrator/cli/chosen_run.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/registry.h"
#include "orchestrator/cli/released.h"
#include "orchestrator/cli/terminal.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/executors/keeper_process.h"
#include "orchestrator/shell/latch_file.h"

namespace overnight::cli {
namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;
using nlohmann::json;

constexpr int confirm_wait_ms = 15'000;  // how long `halt` waits for the proof before it says "unconfirmed"
constexpr int keeper_grace_ms = 2'000;   // for a keeper to end its tree and write its receipt, then it is killed

struct Options {
  std::string run, reason, file;
  bool everything = false, offline = false, as_json = false;
};

std::int64_t since_ms(Steady::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - start).count();
}

// ---- without the orchestrator ----

// Every keeper of this home that is alive, by pidfd.
std::vector<std::pair<pid_t, int>> live_keepers(const fs::path& home) {
  std::vector<std::pair<pid_t, int>> found;
  std::error_code ignored;
  for (const auto& run : fs::directory_iterator(home / "runs", ignored)) {
    for (const auto& attempt : fs::directory_iterator(run.path() / "attempts", ignored)) {
      std::ifstream in(attempt.path() / "keeper.pid");
      std::string identity;
      if (!std::getline(in, identity)) continue;
      pid_t pid = -1;
      if (const auto pidfd = executors::reopen(identity, pid)) found.emplace_back(pid, *pidfd);
    }
  }
  return found;
}

bool ended_within(int pidfd, std::int64_t ms) {
  pollfd wait{pidfd, POLLIN, 0};
  return poll(&wait, 1, static_cast<int>(std::max<std::int64_t>(0, ms))) > 0;
}

int halt_offline(const fs::path& home, const Options& options) {
  const auto start = Steady::now();
  std::error_code missing;
  if (!fs::is_directory(home / "runs", missing))
    return refuse(exit_not_found, "no home at " + fs::absolute(home).string());
  const shell::LatchFile latch(home / "latch");
  const std::string reason = options.reason.empty() ? "no reason given" : options.reason;
  if (!latch.close({options.run, "user:" + std::to_string(getuid()), "offline", reason})) {
    std::cerr << "overnight: the latch could not be written; killing all the same\n";
  }
  std::ofstream(home / "HALT") << reason << "\n";  // an orchestrator that is only slow finds it
  auto keepers = live_keepers(home);
  for (const auto& [_, pidfd] : keepers) syscall(SYS_pidfd_send_signal, pidfd, SIGQUIT, nullptr, 0);
  int survivors = 0;
  for (const auto& [pid, pidfd] : keepers) {
    if (!ended_within(pidfd, keeper_grace_ms - since_ms(start))) {
      syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
      if (!ended_within(pidfd, keeper_grace_ms)) {
        ++survivors;
        std::cerr << "overnight: process " << pid << " is still alive\n";
      }
    }
    ::close(pidfd);
  }
  const std::int64_t took = since_ms(start);
  if (options.as_json) {
    std::cout << json{{"home", fs::absolute(home).string()},
                      {"keepers", keepers.size()},
                      {"survivors", survivors},
                      {"took_ms", took}}
                     .dump()
              << "\n";
  } else {
    std::cout << "halted offline: " << keepers.size() - static_cast<std::size_t>(survivors) << " of " << keepers.size()
              << " keepers gone after " << took << " ms; the home is latched\n";
  }
  return survivors == 0 ? exit_done : exit_unconfirmed;
}

// ---- with it ----

bool all_confirmed(const json& view, const std::string& run, json& alive) {
  alive = json::array();
  bool confirmed = true;
  for (const json& one : view["runs"]) {
    if (!run.empty() && one["run"] != run) continue;
    if (!one.contains("halt")) continue;
    if (one["halt"]["confirmed_after_ms"].is_null()) confirmed = false;
    for (const json& attempt : one["halt"]["alive"]) alive.push_back(attempt);
  }
  return confirmed;
}

int halt_online(const fs::path& home, const Options& options) {
  const auto start = Steady::now();
  json body{{"reason", options.reason.empty() ? "no reason given" : options.reason}};
  if (!options.run.empty()) body["run"] = options.run;
  auto reply = call_api(home, "POST", "/v1/halt", body.dump());
  if (!reply) {
    std::cerr << "overnight: " << reply.error().explain << "; halting without it\n";
    return halt_offline(home, options);
  }
  if (reply->status != 200) return refuse(exit_bad_input, "the halt was refused: " + reply->body);
  json alive;
  bool confirmed = false;
  while (!confirmed && since_ms(start) < confirm_wait_ms) {
    const json view = json::parse(reply->body, nullptr, false);
    confirmed = !view.is_discarded() && all_confirmed(view, options.run, alive);
    if (confirmed) break;
    poll(nullptr, 0, 20);
    reply = call_api(home, "GET", "/v1/view", "");
    if (!reply) {  // it ended: with nothing alive, or it is gone and its keepers with it
      confirmed = live_keepers(home).empty();
      break;
    }
  }
  const std::int64_t took = since_ms(start);
  if (options.as_json) {
    std::cout << json{{"home", fs::absolute(home).string()},
                      {"confirmed", confirmed},
                      {"took_ms", took},
                      {"alive", alive}}
                     .dump()
              << "\n";
  } else if (confirmed) {
    std::cout << "halt confirmed: everything is gone, " << took << " ms after the request\n";
  } else {
    std::cout << "halt NOT confirmed after " << took << " ms; still alive: attempts " << alive.dump() << "\n";
  }
  return confirmed ? exit_done : exit_unconfirmed;
}

int halt(const Common& common, const Options& options) {
  if (!options.everything)
    return options.offline ? halt_offline(common.home(), options) : halt_online(common.home(), options);
  int worst = exit_done;
  const auto homes = registered_homes();
  for (const fs::path& home : homes) {
    std::cout << home.string() << ": " << std::flush;
    worst = std::max(worst, options.offline ? halt_offline(home, options) : halt_online(home, options));
  }
  if (homes.empty()) return refuse(exit_not_found, "no live home is registered on this machine");
  return worst;
}

// ---- hold, release, enqueue ----

int command(const Common& common, const std::string& verb, const json& body) {
  const auto reply = call_api(common.home(), "POST", "/v1/" + verb, body.dump());
  if (!reply) return refuse(exit_not_found, reply.error().explain);
  if (reply->status != 200) return refuse(exit_bad_input, verb + " was refused: " + reply->body);
  std::cout << verb << ": done\n";
  return exit_done;
}

std::string chosen_live_run(const Common& common, const std::string& text) {
  auto reader = open_reader(common.home());
  if (!reader) return text;
  const auto facts = choose_run(**reader, common.home(), text);
  return facts ? facts->run.id.text : text;
}

// JSON lines or a JSON list of {"params": {...}} or of bare parameter objects.
std::optional<json> read_proposals(const std::string& file, std::string& error) {
  std::stringstream text;
  if (file == "-") {
    text << std::cin.rdbuf();
  } else {
    std::ifstream in(file);
    if (!in) {
      error = file + ": cannot be read";
      return std::nullopt;
    }
    text << in.rdbuf();
  }
  json list = json::parse(text.str(), nullptr, false);
  if (list.is_discarded()) {
    list = json::array();
    std::string line;
    for (int number = 1; std::getline(text, line); ++number) {
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      const json one = json::parse(line, nullptr, false);
      if (one.is_discarded()) {
        error = file + ":" + std::to_string(number) + ": not JSON";
        return std::nullopt;
      }
      list.push_back(one);
    }
  }
  if (list.is_object()) list = json::array({list});
  for (json& one : list) {
    if (one.is_object() && !one.contains("params")) one = json{{"params", one}};
  }
  return list;
}

int enqueue(const Common& common, const Options& options) {
  std::string error;
  const auto proposals = read_proposals(options.file, error);
  if (!proposals) return refuse(exit_bad_input, error);
  return command(common, "enqueue", {{"run", chosen_live_run(common, options.run)}, {"proposals", *proposals}});
}

int release(const Common& common, const Options& options) {
  json body{{"reason", options.reason}};
  if (!options.run.empty()) body["run"] = chosen_live_run(common, options.run);
  const auto reply = call_api(common.home(), "POST", "/v1/release", body.dump());
  if (reply) {
    if (reply->status != 200) return refuse(exit_bad_input, "release was refused: " + reply->body);
    std::cout << "released\n";
    return exit_done;
  }
  return release_stored(common.home(), options.run.empty() ? "" : chosen_live_run(common, options.run), options.reason);
}

}  // namespace

void add_stops(CLI::App& app, Common& common) {
  static Options options;
  CLI::App* stop =
      app.add_subcommand("halt", "kill everything that runs, now, and prove that it is gone; latched until released");
  stop->add_option("run", options.run, "only this run; all runs of the home if left out");
  stop->add_option("--reason", options.reason, "kept in the journal");
  stop->add_flag("--everything", options.everything, "all live homes of this machine");
  stop->add_flag("--offline", options.offline, "without the orchestrator: write the latch and kill its keepers");
  stop->add_flag("--json", options.as_json, "print JSON");
  stop->callback([&] { common.chosen = [&] { return halt(common, options); }; });

  CLI::App* hold = app.add_subcommand("hold", "admit and start nothing new; what runs may end");
  hold->add_option("run", options.run, "the run; the newest if left out");
  hold->add_option("--reason", options.reason, "kept in the journal")->required();
  hold->callback([&] {
    common.chosen = [&] {
      return command(common, "hold", {{"run", chosen_live_run(common, options.run)}, {"reason", options.reason}});
    };
  });

  CLI::App* lift = app.add_subcommand("release", "lift a hold or a latch");
  lift->add_option("run", options.run, "the run; the home's own latch if left out");
  lift->add_option("--reason", options.reason, "kept in the journal")->required();
  lift->callback([&] { common.chosen = [&] { return release(common, options); }; });

  CLI::App* push = app.add_subcommand("enqueue", "run these parameters before all other proposals");
  push->add_option("file", options.file, "JSON lines or a JSON list of parameter objects; - for standard input")
      ->required();
  push->add_option("--run", options.run, "the run; the newest if left out");
  push->callback([&] { common.chosen = [&] { return enqueue(common, options); }; });
}

}  // namespace overnight::cli
