// budget: what a run may spend, has reserved and has spent; and another grant, for a run that is being conducted.
#include <iostream>
#include <nlohmann/json.hpp>

#include "orchestrator/cli/api_client.h"
#include "orchestrator/cli/chosen_run.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/terminal.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/server/views.h"
#include "orchestrator/study/quantities.h"

namespace overnight::cli {
namespace {

using nlohmann::json;

struct BudgetOptions {
  std::string run, reason;
  std::vector<std::string> grants;  // --set wall=10h
  bool as_json = false;
};

struct Known {
  const char* name;
  study::Read (*read)(const std::string&);
};
constexpr Known known[] = {{"wall", study::parse_duration},     {"slot_time", study::parse_duration},
                           {"gpu_time", study::parse_duration}, {"experiments", study::parse_count},
                           {"actions", study::parse_count},     {"llm_cost", study::parse_money},
                           {"llm_tokens", study::parse_count},  {"disk", study::parse_bytes}};

std::int64_t left_of(const json& line) {
  return line["granted"].get<std::int64_t>() - line["used"].get<std::int64_t>() - line["reserved"].get<std::int64_t>();
}

int show(const store::RunFacts& facts, bool as_json) {
  json lines = server::view_of(facts.run, 0, std::nullopt)["budgets"];
  if (as_json) {
    for (json& line : lines) line["left"] = left_of(line);
    std::cout << lines.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    return exit_done;
  }
  std::vector<std::vector<std::string>> rows;
  for (const json& line : lines) {
    const std::string unit = line["unit"];
    rows.push_back({line["name"], count_words(line["granted"], unit), count_words(line["used"], unit),
                    count_words(line["reserved"], unit), count_words(left_of(line), unit)});
  }
  std::cout << "run " << facts.run.id.text << "; what is not listed has no limit\n"
            << table({"budget", "granted", "used", "reserved", "left"}, rows);
  return exit_done;
}

// "wall=10h" into `grant`; empty, or what is wrong with it.
std::string read_grant(const std::string& text, json& grant) {
  const auto equals = text.find('=');
  const std::string name = text.substr(0, equals);
  std::vector<std::string> names;
  for (const Known& one : known) {
    names.emplace_back(one.name);
    if (name != one.name) continue;
    const auto amount = one.read(equals == std::string::npos ? "" : text.substr(equals + 1));
    if (!amount) return "--set " + text + ": " + amount.error();
    grant[name] = *amount;
    return "";
  }
  const std::string near = nearest(name, names);
  return "--set " + text + ": there is no budget \"" + name + "\"" +
         (near.empty() ? " (wall, slot_time, gpu_time, experiments, actions, llm_cost, llm_tokens, disk)"
                       : "; did you mean \"" + near + "\"?");
}

// A grant below what is used is taken: it is a way to end a run. But nobody should do so without seeing it.
void tell_what_is_used_up(const json& view, const core::RunId& run, const json& grant) {
  if (!view.is_object()) return;
  for (const json& one : view["runs"]) {
    if (one["run"] != run.text) continue;
    for (const json& line : one["budgets"]) {
      const std::string name = line["name"], unit = line["unit"];
      if (grant.contains(name) && line["used"] >= line["granted"])
        std::cout << name << ": " << count_words(line["used"], unit) << " of " << count_words(line["granted"], unit)
                  << " are used; nothing more is started on it\n";
    }
  }
}

int change(const Common& common, const store::RunFacts& facts, const BudgetOptions& options) {
  if (options.reason.empty()) return refuse(exit_bad_input, "--set needs --reason WHY; it is kept in the journal");
  json grant = json::object();
  for (const std::string& text : options.grants) {
    if (const std::string wrong = read_grant(text, grant); !wrong.empty()) return refuse(exit_bad_input, wrong);
  }
  const json body{{"run", facts.run.id.text}, {"reason", options.reason}, {"grant", grant}};
  const auto reply =
      call_api(common.home(), "POST", "/v1/budget", body.dump(-1, ' ', false, json::error_handler_t::replace));
  if (!reply)
    return refuse(reply.error().refused ? exit_not_found : exit_failed,
                  reply.error().explain + "; a budget can be changed while the run is being conducted");
  if (reply->status != 200) return refuse(exit_bad_input, "the budget was refused: " + refusal_of(*reply));
  std::cout << "budget: changed\n";
  tell_what_is_used_up(json::parse(reply->body, nullptr, false), facts.run.id, grant);
  return exit_done;
}

int budget(const Common& common, const BudgetOptions& options) {
  auto reader = open_reader(common.home());
  if (!reader) return refuse(reader.error().code, reader.error().why);
  const auto facts = choose_run(**reader, common.home(), options.run);
  if (!facts) return refuse(facts.error().code, facts.error().why);
  return options.grants.empty() ? show(*facts, options.as_json) : change(common, *facts, options);
}

}  // namespace

void add_budget(CLI::App& app, Common& common) {
  static BudgetOptions options;
  CLI::App* verb =
      app.add_subcommand("budget", "what a run may spend, has reserved and has spent; --set changes a grant");
  verb->add_option("run", options.run, "the run's id or the beginning of it; the newest if left out");
  verb->add_option("--set", options.grants, "another grant: --set wall=10h (may be given more than once)")
      ->allow_extra_args(false);
  verb->add_option("--reason", options.reason, "why it is changed; kept in the journal");
  verb->add_flag("--json", options.as_json, "print JSON");
  verb->callback([&] { common.chosen = [&] { return budget(common, options); }; });
}

}  // namespace overnight::cli
