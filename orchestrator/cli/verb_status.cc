// status runs watch breakers: how things stand.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "orchestrator/cli/api_client.h"
#include "orchestrator/cli/chosen_run.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/halts_on_disk.h"
#include "orchestrator/cli/live_view.h"
#include "orchestrator/cli/terminal.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/server/views.h"

namespace overnight::cli {
namespace {

using nlohmann::json;

struct StatusOptions {
  std::string run;
  bool as_json = false;
  bool once = false;
};

std::string state_words(const Common& common, const store::RunFacts& facts, bool conducted) {
  const core::Run& run = facts.run;
  const bool over = run.end && (run.end->kind == core::EndKind::done || run.end->kind == core::EndKind::failed);
  const bool waits = !over && !latch_words(common.home(), run.id).empty();
  if (run.end) return std::string(core::name_of(run.end->kind)) + (waits ? ", latched" : "");
  if (run.latch || waits) return "latched";
  if (run.live && !conducted) return "interrupted";
  if (run.hold) return "held";
  if (run.live) return run.draining ? "draining" : std::string(core::name_of(run.stage));
  return "interrupted";
}

// What the disk says beside the journal: a halt that no orchestrator has taken in yet.
void add_latch(json& view, const std::filesystem::path& home, const core::RunId& run) {
  const std::string words = latch_words(home, run);
  view["latch_on_disk"] = words.empty() ? json(nullptr) : json(words);
}

Orchestrator ask_orchestrator(const std::filesystem::path& home, json& view) {
  std::string body;
  const Orchestrator found = orchestrator_of(home, body);
  view = json::parse(body, nullptr, false);
  return found;
}

// What an orchestrator that died left in the middle runs again when the run is resumed: it is running no more.
void cut_off(json& view) {
  const auto was_running = view["running"].get<std::int64_t>();
  view["interrupted"] = was_running;
  view["queued"] = view["queued"].get<std::int64_t>() + was_running;
  view["running"] = 0;
}

// The run as its orchestrator sees it now, if that works on it.
const json* run_in(const json& view, const core::RunId& run) {
  if (!view.is_object() || !view.contains("runs")) return nullptr;
  for (const json& one : view["runs"]) {
    if (one["run"] == run.text) return &one;
  }
  return nullptr;
}

// A reason may end with the tail of a log.
std::string indented(const std::string& text) {
  std::string out;
  std::istringstream lines(clean_lines(text));
  for (std::string line; std::getline(lines, line);) out += "  " + line + "\n";
  return out;
}

const char* words_of(Orchestrator found) {
  switch (found) {
    case Orchestrator::none:
      return ", no orchestrator is running";
    case Orchestrator::silent:
      return ", its orchestrator does not answer (overnight halt works without it)";
    case Orchestrator::running:
      return "";
  }
  return "";
}

int show_runs(const Common& common, const StatusOptions& options) {
  auto reader = open_reader(common.home());
  if (!reader) return refuse(reader.error().code, reader.error().why);
  const auto runs = (*reader)->runs(0, store::page_max);
  if (!runs) return refuse(exit_failed, runs.error().explain);
  if (options.as_json) {
    json out = json::array();
    for (const auto& facts : runs->items) {
      out.push_back(server::view_of(facts.run, 0, std::nullopt));
      add_latch(out.back(), common.home(), facts.run.id);
    }
    std::cout << out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    return exit_done;
  }
  if (runs->items.empty()) return refuse(exit_not_found, "no run in " + common.home().string());
  std::vector<std::vector<std::string>> rows;
  json now;
  const bool conducted = ask_orchestrator(common.home(), now) != Orchestrator::none;
  for (const auto& facts : runs->items) {
    const core::Run& run = facts.run;
    const json view = server::view_of(run, 0, std::nullopt);
    rows.push_back({run.id.text, run.study.name, state_words(common, facts, conducted), date_words(run.started.ms()),
                    duration_words(run.wall_used.count()), std::to_string(run.counts.admitted),
                    view.contains("best") ? number_words(view["best"]["score"].get<double>()) : "-"});
  }
  std::cout << table({"run", "study", "state", "started", "wall", "experiments", "best"}, rows);
  if (const std::string latch = latch_words(common.home(), std::nullopt); !latch.empty()) std::cout << latch << "\n";
  return exit_done;
}

int show_breakers(const store::RunFacts& facts, bool as_json) {
  const json view = server::view_of(facts.run, 0, std::nullopt);
  if (as_json) {
    std::cout << view["breakers"].dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    return exit_done;
  }
  const auto state = [](const json& line) -> std::string {
    if (line["tripped"]) return "tripped";
    if (line["limit"] == 0) return "off";
    if (line["seen"] < line["minimum"])
      return "closed; judges from " + line["minimum"].dump() + " trials on, has seen " + line["seen"].dump();
    return "closed";
  };
  std::vector<std::vector<std::string>> rows;
  for (const json& line : view["breakers"])
    rows.push_back({line["breaker"], line["level"], line["value"].dump(), line["limit"].dump(), state(line)});
  std::cout << table({"breaker", "level", "value", "limit", "state"}, rows);
  return exit_done;
}

int show_status(const Common& common, const StatusOptions& options, store::HomeReader& reader,
                const store::RunFacts& facts) {
  json view = server::view_of(facts.run, 0, std::nullopt);
  json now;
  const Orchestrator found = ask_orchestrator(common.home(), now);
  if (const json* live = run_in(now, facts.run.id)) view = *live;
  const bool exists = found != Orchestrator::none;
  if (!exists && !facts.run.end) cut_off(view);
  view["orchestrator"] = found == Orchestrator::running ? "running" : exists ? "does not answer" : "not running";
  add_latch(view, common.home(), facts.run.id);
  const auto notes = reader.last_notes(facts.run.id, 12);
  view["notes"] = json::array();
  if (notes) {
    for (const auto& note : *notes) view["notes"].push_back(server::view_of(note.note));
  }
  if (options.as_json) {
    std::cout << view.dump(2, ' ', false, json::error_handler_t::replace) << "\n";
    return exit_done;
  }
  std::cout << facts.run.id.text << ": " << state_words(common, facts, exists) << words_of(found) << "\n";
  if (facts.run.end) std::cout << indented(facts.run.end->reason);
  const std::string latch = latch_words(common.home(), facts.run.id);
  if (!latch.empty()) std::cout << "  " << latch << "\n";
  json drawn{{"runs", json::array({view})}, {"slots", json::array()}};
  drawn["runs"][0]["live"] = true;
  const std::size_t columns = is_screen(STDOUT_FILENO) ? Screen(STDOUT_FILENO).size().columns : 120;
  for (const std::string& line : draw(drawn, {}, {columns, 40}, look_of(STDOUT_FILENO))) std::cout << line << "\n";
  for (const json& note : view["notes"]) {
    std::cout << "  " << clock_words(note["wall_unix_ms"]) << "  " << clean(note["kind"], 12) << "  "
              << clean(note["text"], 160) << "\n";
  }
  if (!exists && !facts.run.end && latch.empty())
    std::cout << "overnight resume " << facts.run.id.text << " goes on with it\n";
  return exit_done;
}

constexpr int watch_every_ms = 500;
constexpr const char* watch_hint = "Ctrl-C: leave; the run goes on.   overnight halt: kill all, latched";

volatile std::sig_atomic_t left = 0;  // a signal handler may write nothing else

// How it ended, from the store: the orchestrator is gone.
int show_end(const Common& common, const std::string& run) {
  auto reader = open_reader(common.home());
  if (!reader) return exit_done;
  const auto facts = choose_run(**reader, common.home(), run);
  if (!facts) return exit_done;
  std::cout << facts->run.id.text << ": " << state_words(common, *facts, false)
            << (facts->run.end ? "\n" + indented(facts->run.end->reason) : ", the orchestrator has ended\n");
  return exit_done;
}

// Looks again and again, until the orchestrator ends or the person leaves; leaving changes nothing of the run.
class Watch {
 public:
  Watch(const Common& common, const StatusOptions& options)
      : common_(common), options_(options), is_screen_(is_screen(STDOUT_FILENO)), screen_(STDOUT_FILENO) {}

  int run() {
    struct sigaction leave {};
    leave.sa_handler = [](int) { left = 1; };
    sigaction(SIGINT, &leave, nullptr);
    while (left == 0) {
      const auto reply = call_api(common_.home(), "GET", "/v1/view", "");
      if (left != 0) break;
      if (!reply && !seen_) return nobody(reply.error());
      if (!reply && reply.error().refused)
        return options_.as_json ? static_cast<int>(exit_done) : show_end(common_, run_);
      if (reply) {
        const json view = json::parse(reply->body, nullptr, false);
        if (!view.is_object()) return refuse(exit_failed, "the orchestrator's answer cannot be read");
        show(view);
      }
      if (options_.once) return exit_done;
      poll(nullptr, 0, watch_every_ms);
    }
    if (is_screen_) std::cout << "\nleft; the run goes on (overnight watch looks again)\n";
    return exit_done;
  }

 private:
  int nobody(const ApiSilence& silence) const {
    return refuse(silence.refused ? exit_not_found : exit_failed,
                  silence.explain + "; overnight status shows what is stored");
  }

  void show(const json& view) {
    seen_ = true;
    for (const json& run : view["runs"]) {
      if (run["live"].get<bool>()) run_ = run["run"];
    }
    std::vector<std::string> events;
    for (const json& event : view["events"]) events.push_back(event.get<std::string>());
    if (options_.as_json) {
      std::cout << view.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
    } else if (is_screen_) {
      std::cout << screen_.frame(draw(view, events, screen_.size(), screen_.look(), options_.once ? "" : watch_hint))
                << std::flush;
    } else if (options_.once) {
      for (const std::string& line : draw(view, events, {120, 60}, screen_.look())) std::cout << line << "\n";
    } else {
      print_new(events);
    }
  }

  // The orchestrator tells its last events; those that were shown already end with the last one shown.
  void print_new(const std::vector<std::string>& events) {
    auto from = events.begin();
    if (const auto known = std::find(events.rbegin(), events.rend(), last_); known != events.rend())
      from = known.base();
    for (; from != events.end(); ++from) std::cout << clean(*from, 500) << std::endl;
    if (!events.empty()) last_ = events.back();
  }

  const Common& common_;
  const StatusOptions& options_;
  bool is_screen_;
  Screen screen_;
  bool seen_ = false;
  std::string run_, last_;
};

int watch(const Common& common, const StatusOptions& options) { return Watch(common, options).run(); }

template <typename Show>
int with_run(const Common& common, const std::string& text, Show show) {
  auto reader = open_reader(common.home());
  if (!reader) return refuse(reader.error().code, reader.error().why);
  const auto facts = choose_run(**reader, common.home(), text);
  if (!facts) return refuse(facts.error().code, facts.error().why);
  return show(**reader, *facts);
}

CLI::App* data_verb(CLI::App& app, const char* name, const char* help, StatusOptions& options, bool takes_run) {
  CLI::App* verb = app.add_subcommand(name, help);
  if (takes_run) verb->add_option("run", options.run, "the run's id or the beginning of it; the newest if left out");
  verb->add_flag("--json", options.as_json, "print JSON");
  return verb;
}

}  // namespace

void add_status(CLI::App& app, Common& common) {
  static StatusOptions options;  // one process, one verb
  data_verb(app, "runs", "list the runs of this home", options, false)->callback([&] {
    common.chosen = [&] { return show_runs(common, options); };
  });
  data_verb(app, "status", "how a run stands: budgets, best so far, last events", options, true)->callback([&] {
    common.chosen = [&] {
      return with_run(common, options.run,
                      [&](auto& reader, const auto& facts) { return show_status(common, options, reader, facts); });
    };
  });
  data_verb(app, "breakers", "each breaker: its signal, its limit, whether it tripped", options, true)->callback([&] {
    common.chosen = [&] {
      return with_run(common, options.run,
                      [&](auto&, const auto& facts) { return show_breakers(facts, options.as_json); });
    };
  });
  CLI::App* attach =
      data_verb(app, "watch", "attach to the orchestrator that runs here and show it live", options, false);
  attach->add_flag("--once", options.once, "one view, then stop");
  attach->callback([&] { common.chosen = [&] { return watch(common, options); }; });
}

}  // namespace overnight::cli
