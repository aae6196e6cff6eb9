// halt hold release enqueue: what an operator asks for. Anyone who may open the home's socket may halt.
#include <poll.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <future>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "orchestrator/cli/api_client.h"
#include "orchestrator/cli/chosen_run.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/offline_halt.h"
#include "orchestrator/cli/registry.h"
#include "orchestrator/cli/released.h"
#include "orchestrator/cli/verbs.h"

namespace overnight::cli {
namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;
using nlohmann::json;

constexpr int confirm_wait_ms = 15'000;  // how long `halt` waits for the proof before it says "unconfirmed"
constexpr int answer_wait_ms = 1'000;    // an orchestrator that takes longer is hung: it is halted without its help
constexpr int look_again_ms = 20;

struct StopOptions {
  std::string run, reason, file;
  bool everything = false, offline = false, as_json = false;
};

std::int64_t since_ms(Steady::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - start).count();
}

// Takes from a view what the halt is to end and what of that is still alive; true if all of it was seen to be gone.
bool all_confirmed(const json& view, const std::optional<core::RunId>& run, HaltOutcome& outcome) {
  outcome.alive.clear();
  std::int64_t attempts = 0;
  bool confirmed = true;
  for (const json& one : view["runs"]) {
    if ((run && one["run"] != run->text) || !one.contains("halt")) continue;
    if (one["halt"]["confirmed_after_ms"].is_null()) confirmed = false;
    for (const json& attempt : one["halt"]["alive"]) outcome.alive.push_back("attempt " + attempt.dump());
    attempts += one["halt"]["attempts"].get<std::int64_t>();
  }
  outcome.gone = std::max(outcome.gone, attempts);  // so far all of them; a run that has ended is in no view any more
  return confirmed;
}

// By the orchestrator; by ourselves where it is not there, refuses, or does not answer.
HaltOutcome halt_online(const fs::path& home, const std::optional<core::RunId>& run, const std::string& reason) {
  const auto start = Steady::now();
  json body{{"reason", reason}};
  if (run) body["run"] = run->text;
  auto reply =
      call_api(home, "POST", "/v1/halt", body.dump(-1, ' ', false, json::error_handler_t::replace), answer_wait_ms);
  if (!reply || reply->status != 200) {
    std::cerr << "overnight: "
              << (reply ? "the orchestrator refused the halt (" + refusal_of(*reply) + ")" : reply.error().explain)
              << "; halting without it\n";
    return halt_offline(home, run, reason, start);
  }
  HaltOutcome outcome;
  outcome.home = home;
  outcome.path = "api";
  while (since_ms(start) < confirm_wait_ms && !outcome.confirmed) {
    if (reply) {
      const json view = json::parse(reply->body, nullptr, false);
      outcome.confirmed = view.is_object() && all_confirmed(view, run, outcome);
    } else if (reply.error().hung) {
      std::cerr << "overnight: " << reply.error().explain << "; halting without it\n";
      return halt_offline(home, run, reason, start);
    } else if (reply.error().refused) {  // it has ended: what it started must be gone
      outcome.alive.clear();
      for (const pid_t pid : live_processes(home, run)) outcome.alive.push_back("process " + std::to_string(pid));
      outcome.confirmed = outcome.alive.empty();
    }
    if (outcome.confirmed) break;
    poll(nullptr, 0, look_again_ms);
    reply = call_api(home, "GET", "/v1/view", "", answer_wait_ms);
  }
  outcome.gone -= std::min(outcome.gone, static_cast<std::int64_t>(outcome.alive.size()));
  outcome.took_ms = since_ms(start);
  return outcome;
}

json json_of(const HaltOutcome& outcome) {
  return {{"home", fs::absolute(outcome.home).lexically_normal().string()},
          {"path", outcome.path},
          {"latched", outcome.latched},
          {"confirmed", outcome.confirmed},
          {"gone", outcome.gone},
          {"alive", outcome.alive},
          {"took_ms", outcome.took_ms}};
}

std::string gone_words(const HaltOutcome& outcome) {
  if (outcome.gone == 0) return "nothing was running";
  if (outcome.gone == 1) return "the attempt that ran is gone";
  return "all " + std::to_string(outcome.gone) + " attempts that ran are gone";
}

void print(const HaltOutcome& outcome) {
  if (!outcome.latched) std::cerr << "overnight: the latch could not be written; killed all the same\n";
  if (outcome.confirmed) {
    std::cout << "halt confirmed" << (outcome.path == "offline" ? " (offline, without the orchestrator)" : "") << ": "
              << gone_words(outcome) << ", " << outcome.took_ms
              << " ms after the request; latched until overnight release\n";
    return;
  }
  std::cout << "halt NOT confirmed after " << outcome.took_ms << " ms; still alive:\n";
  for (const std::string& one : outcome.alive) std::cout << "  " << one << "\n";
}

// Only what exists can be halted: a slip in the name must not look like a stop. A store that cannot be read is no
// reason not to halt: then the folder of the run is enough.
std::optional<core::RunId> run_to_halt(const fs::path& home, const std::string& text, int& refused) {
  auto reader = open_reader(home);
  if (reader) {
    const auto facts = choose_run(**reader, home, text);
    if (facts) return facts->run.id;
    refused = refuse(facts.error().code, facts.error().why + "; NOTHING was halted (overnight halt stops all runs)");
    return std::nullopt;
  }
  std::error_code ignored;
  if (text.find('/') == std::string::npos && fs::is_directory(home / "runs" / text, ignored)) return core::RunId{text};
  refused = refuse(reader.error().code, reader.error().why + "; NOTHING was halted");
  return std::nullopt;
}

int halt_one(const Common& common, const StopOptions& options, const std::string& reason) {
  const fs::path home = common.home();
  std::error_code ignored;
  if (!fs::is_directory(home / "runs", ignored)) {
    const NotChosen none = no_home_at(home);
    return refuse(none.code, none.why + ", --everything halts all of this machine");
  }
  std::optional<core::RunId> run;
  if (!options.run.empty()) {
    int refused = exit_not_found;
    run = run_to_halt(home, options.run, refused);
    if (!run) return refused;
  }
  const HaltOutcome outcome = options.offline ? halt_offline(home, run, reason) : halt_online(home, run, reason);
  if (options.as_json) {
    std::cout << json_of(outcome).dump(2, ' ', false, json::error_handler_t::replace) << "\n";
  } else {
    print(outcome);
  }
  return outcome.confirmed ? exit_done : exit_unconfirmed;
}

int halt_everything(const StopOptions& options, const std::string& reason) {
  // Side by side: a home that hangs must not keep the others waiting.
  std::vector<std::future<HaltOutcome>> halts;
  for (const fs::path& home : registered_homes()) {
    std::error_code ignored;
    if (!fs::is_directory(home / "runs", ignored)) continue;  // it was deleted since
    // Without a thread to be had it is done when its turn comes.
    halts.push_back(std::async(std::launch::async | std::launch::deferred, [&options, &reason, home] {
      return options.offline ? halt_offline(home, std::nullopt, reason) : halt_online(home, std::nullopt, reason);
    }));
  }
  json all = json::array();
  bool confirmed = true;
  for (std::future<HaltOutcome>& halting : halts) {
    const HaltOutcome outcome = halting.get();
    confirmed = confirmed && outcome.confirmed;
    all.push_back(json_of(outcome));
    if (options.as_json) continue;
    std::cout << outcome.home.string() << ": ";
    print(outcome);
  }
  if (options.as_json) std::cout << all.dump(2, ' ', false, json::error_handler_t::replace) << "\n";
  if (all.empty() && confirmed)
    return refuse(exit_not_found, "no live home is registered on this machine (looked in " + registry_places() + ")");
  return confirmed ? exit_done : exit_unconfirmed;
}

int halt(const Common& common, const StopOptions& options) {
  const std::string reason = options.reason.empty() ? "no reason given" : options.reason;
  if (options.everything && !options.run.empty())
    return refuse(exit_bad_input, "--everything halts all homes; it takes no run");
  return options.everything ? halt_everything(options, reason) : halt_one(common, options, reason);
}

// ---- hold, release, enqueue ----

// The run that a command means; none: there is no such run, and why was printed.
std::optional<core::RunId> named_run(const Common& common, const std::string& text, int& refused) {
  auto reader = open_reader(common.home());
  if (!reader) {
    refused = refuse(reader.error().code, reader.error().why);
    return std::nullopt;
  }
  const auto facts = choose_run(**reader, common.home(), text);
  if (facts) return facts->run.id;
  refused = refuse(facts.error().code, facts.error().why);
  return std::nullopt;
}

int hold(const Common& common, const StopOptions& options) {
  int refused = exit_not_found;
  const auto named = named_run(common, options.run, refused);
  if (!named) return refused;
  const json body{{"run", named->text}, {"reason", options.reason}};
  const auto reply =
      call_api(common.home(), "POST", "/v1/hold", body.dump(-1, ' ', false, json::error_handler_t::replace));
  if (!reply)
    return refuse(reply.error().refused ? exit_not_found : exit_failed,
                  reply.error().explain + "; hold needs a run that is being conducted");
  if (reply->status != 200)
    return refuse(reply->status == 404 ? exit_not_found : exit_bad_input, "hold was refused: " + refusal_of(*reply));
  if (options.as_json) {
    std::cout << json{{"run", named->text}, {"held", true}}.dump(2) << "\n";
  } else {
    std::cout << "held run " << named->text << "; what runs may end, overnight release lets it go on\n";
  }
  return exit_done;
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

// The newest event in a reply's view that holds `kind`: what came of a command.
std::string last_event(const std::string& body, const std::string& kind) {
  const json view = json::parse(body, nullptr, false);
  std::string last;
  if (!view.is_object() || !view.contains("events") || !view["events"].is_array()) return last;
  for (const json& line : view["events"]) {
    if (line.is_string() && line.get<std::string>().find(kind) != std::string::npos) last = line.get<std::string>();
  }
  return last;
}

// Of "... enqueued 3 proposals, 2 admitted; number 3: ..."; 0 if it came too late.
std::int64_t admitted_in(const std::string& told) {
  const std::size_t end = told.find(" admitted");
  const std::size_t comma = told.rfind(", ", end);
  std::int64_t admitted = 0;
  if (end != std::string::npos && comma != std::string::npos)
    std::from_chars(told.data() + comma + 2, told.data() + end, admitted);
  return admitted;
}

int enqueue(const Common& common, const StopOptions& options) {
  std::string error;
  const auto proposals = read_proposals(options.file, error);
  if (!proposals) return refuse(exit_bad_input, error);
  int refused = exit_not_found;
  const auto named = named_run(common, options.run, refused);
  if (!named) return refused;
  const json body{{"run", named->text}, {"proposals", *proposals}};
  const auto reply =
      call_api(common.home(), "POST", "/v1/enqueue", body.dump(-1, ' ', false, json::error_handler_t::replace));
  if (!reply) return refuse(reply.error().refused ? exit_not_found : exit_failed, reply.error().explain);
  if (reply->status != 200)
    return refuse(reply->status == 404 ? exit_not_found : exit_bad_input, "enqueue was refused: " + refusal_of(*reply));
  const std::string told = last_event(reply->body, " enqueue ");
  const std::int64_t admitted = admitted_in(told);
  if (options.as_json) {
    std::cout << json{{"run", named->text}, {"offered", proposals->size()}, {"admitted", admitted}, {"told", told}}
                     .dump(2, ' ', false, json::error_handler_t::replace)
              << "\n";
  } else {
    std::cout << (told.empty() ? "enqueue: the orchestrator did not say what came of it" : told) << "\n";
  }
  return admitted < static_cast<std::int64_t>(proposals->size()) ? exit_bad_input : exit_done;
}

// What a release without a name means while an orchestrator lives: the newest run that is latched or held.
std::optional<core::RunId> newest_stopped(const Common& common) {
  auto reader = open_reader(common.home());
  if (!reader) return std::nullopt;
  const auto runs = (*reader)->runs(0, store::page_max);
  if (!runs) return std::nullopt;
  for (const store::RunFacts& facts : runs->items) {
    if (!facts.ended && (facts.run.latch || facts.run.hold)) return facts.run.id;
  }
  return std::nullopt;
}

int release(const Common& common, const StopOptions& options) {
  if (options.reason.find_first_not_of(" \t\n") == std::string::npos)
    return refuse(exit_bad_input, "--reason is empty; say why, it is kept in the journal");
  std::optional<core::RunId> run;
  if (!options.run.empty()) {
    int refused = exit_not_found;
    run = named_run(common, options.run, refused);
    if (!run) return refused;
  }
  json body{{"reason", options.reason}};
  if (const auto stopped = run ? run : newest_stopped(common)) body["run"] = stopped->text;
  const auto reply =
      call_api(common.home(), "POST", "/v1/release", body.dump(-1, ' ', false, json::error_handler_t::replace));
  if (!reply && !reply.error().refused) return refuse(exit_failed, reply.error().explain);
  if (!reply) return release_stored(common.home(), run, options.reason, options.as_json);
  if (reply->status != 200) return refuse(exit_bad_input, "release was refused: " + refusal_of(*reply));
  if (!body.contains("run")) return refuse(exit_not_found, "no run of this home is latched or held");
  print_released({core::RunId{body["run"].get<std::string>()}}, options.as_json);
  return exit_done;
}

}  // namespace

void add_stops(CLI::App& app, Common& common) {
  static StopOptions options;
  CLI::App* stop =
      app.add_subcommand("halt", "kill everything that runs, now, and prove that it is gone; latched until released");
  stop->add_option("run", options.run, "only this run; all runs of the home if left out");
  stop->add_option("--reason", options.reason, "kept in the journal");
  stop->add_flag("--everything", options.everything, "all live homes of this machine");
  stop->add_flag("--offline", options.offline, "without the orchestrator: write the latch and kill its keepers");
  stop->add_flag("--json", options.as_json, "print JSON");
  stop->callback([&] { common.chosen = [&] { return halt(common, options); }; });

  CLI::App* pause = app.add_subcommand("hold", "admit and start nothing new; what runs may end");
  pause->add_option("run", options.run, "the run; the newest if left out");
  pause->add_option("--reason", options.reason, "kept in the journal")->required();
  pause->add_flag("--json", options.as_json, "print JSON");
  pause->callback([&] { common.chosen = [&] { return hold(common, options); }; });

  CLI::App* lift = app.add_subcommand("release", "lift a hold or a latch");
  lift->add_option("run", options.run, "the run; everything that is stopped in this home if left out");
  lift->add_option("--reason", options.reason, "kept in the journal")->required();
  lift->add_flag("--json", options.as_json, "print JSON");
  lift->callback([&] { common.chosen = [&] { return release(common, options); }; });

  CLI::App* push = app.add_subcommand("enqueue", "run these parameters before all other proposals");
  push->add_option("file", options.file, "JSON lines or a JSON list of parameter objects; - for standard input")
      ->required();
  push->add_option("--run", options.run, "the run; the newest if left out");
  push->add_flag("--json", options.as_json, "print JSON");
  push->callback([&] { common.chosen = [&] { return enqueue(common, options); }; });
}

}  // namespace overnight::cli
