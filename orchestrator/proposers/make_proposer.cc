#include "orchestrator/proposers/make_proposer.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "orchestrator/proposers/command_proposer.h"
#include "orchestrator/proposers/command_wire.h"
#include "orchestrator/proposers/llm_proposer.h"
#include "orchestrator/proposers/sampling_proposers.h"
#include "orchestrator/proposers/tpe_proposer.h"

namespace overnight::proposers {
namespace {

using budgets::unexpected;
constexpr std::size_t key_bytes_max = 4096;  // longer than any token that a server hands out

using Made = budgets::Result<std::unique_ptr<ports::Proposer>, std::string>;

// A setting as a number within bounds; the default if it is not there.
template <typename Number>
budgets::Result<Number, std::string> setting(const core::ProposerSpec& spec, const std::string& key, Number otherwise,
                                             Number low, Number high) {
  const auto found = spec.settings.find(key);
  if (found == spec.settings.end()) return otherwise;
  Number value{};
  const std::string& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    return unexpected(key + ": \"" + text + "\" is not a number from " + std::to_string(low) + " to " +
                      std::to_string(high));
  }
  return value;
}

Made make_grid(const core::Study& study, const core::ProposerSpec& spec) {
  const auto per_dimension = setting<std::int64_t>(spec, "points_per_dimension", 3, 1, 1000);
  if (!per_dimension) return unexpected(per_dimension.error());
  auto points = grid_points(study.space, *per_dimension);
  if (points.empty())
    return unexpected("the grid has more than " + std::to_string(grid_points_max) +
                      " points; fewer points_per_dimension, or kind: sobol");
  return std::make_unique<ListProposer>(std::move(points));
}

Made make_tpe(const core::Study& study, const core::ProposerSpec& spec) {
  TpeSettings settings;
  const auto startup = setting<std::int64_t>(spec, "startup", settings.startup, 0, 10'000);
  const auto candidates = setting<std::int64_t>(spec, "candidates", settings.candidates, 1, 10'000);
  const auto gamma = setting<double>(spec, "gamma", settings.gamma, 0.01, 0.5);
  if (!startup) return unexpected(startup.error());
  if (!candidates) return unexpected(candidates.error());
  if (!gamma) return unexpected(gamma.error());
  return std::make_unique<TpeProposer>(study.space, study.objective.direction,
                                       TpeSettings{*startup, *candidates, *gamma});
}

std::string text_setting(const core::ProposerSpec& spec, const std::string& key) {
  const auto found = spec.settings.find(key);
  return found == spec.settings.end() ? std::string() : found->second;
}

// The key from the environment, or why it cannot be one. Its text stands in no message.
budgets::Result<std::string, std::string> key_of(const core::ProposerSpec& spec, const Surroundings& around) {
  const std::string name = text_setting(spec, "api_key_env");
  if (name.empty()) return std::string();
  const auto key = around.environment ? around.environment(name) : std::nullopt;
  if (!key || key->empty())
    return unexpected("api_key_env: " + name + " is not set in this environment; export it first");
  const bool clean = std::all_of(key->begin(), key->end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!clean || key->size() > key_bytes_max)
    return unexpected("api_key_env: " + name +
                      " holds what no key can be (blanks, line breaks or more than 4096 characters); export it again");
  return *key;
}

// A cap below one ask would leave the model out of the whole run, without a word.
std::string too_dear(const core::RunBudget& budget, const budgets::Cost& ask) {
  const std::string remedy = " at its worst; raise it, or lower max_tokens or the brief";
  if (ask.tokens > budget.llm_tokens)
    return "budgets.run.llm_tokens (" + std::to_string(budget.llm_tokens.count()) +
           ") does not pay for one ask, which reserves " + std::to_string(ask.tokens.count()) + remedy;
  if (ask.money > budget.llm_cost)
    return "budgets.run.llm_cost (" + std::to_string(budget.llm_cost.count()) +
           " micro-USD) does not pay for one ask, which reserves " + std::to_string(ask.money.count()) + remedy;
  return "";
}

Made make_llm(const core::Study& study, const core::ProposerSpec& spec, const Surroundings& around) {
  LlmSettings settings;
  settings.base_url = text_setting(spec, "base_url");
  settings.model = text_setting(spec, "model");
  settings.brief = text_setting(spec, "brief");
  if (settings.base_url.empty()) return unexpected(std::string("base_url is missing, like http://localhost:8080/v1"));
  if (settings.model.empty()) return unexpected(std::string("model is missing"));
  const auto max_tokens = setting<std::int64_t>(spec, "max_tokens", settings.max_tokens, 1, 1'000'000);
  const auto timeout = setting<std::int64_t>(spec, "timeout_ms", settings.timeout.count(), 1, 86'400'000);
  const auto batch = setting<std::int64_t>(spec, "batch", settings.batch, 1, 64);
  const auto temperature = setting<double>(spec, "temperature", 0, 0, 2);
  if (!max_tokens) return unexpected(max_tokens.error());
  if (!timeout) return unexpected(timeout.error());
  if (!batch) return unexpected(batch.error());
  if (!temperature) return unexpected(temperature.error());
  settings.max_tokens = *max_tokens;
  settings.timeout = budgets::Millis::of(*timeout);
  settings.batch = *batch;
  if (spec.settings.contains("temperature")) settings.temperature = *temperature;
  const auto key = key_of(spec, around);
  if (!key) return unexpected(key.error());
  settings.key = *key;
  if (around.price_of) settings.price = around.price_of(spec);
  if (!settings.price && !study.run_budget.llm_cost.is_unlimited())
    return unexpected("the price of " + settings.model +
                      " is not known, so budgets.run.llm_cost could not hold; give the proposer price: {input: $0.50, "
                      "output: $2.00} (a million tokens), price: free for a server of your own, or add the model to "
                      "prices.yaml");
  auto proposer = std::make_unique<LlmProposer>(study, std::move(settings));
  if (auto short_of = too_dear(study.run_budget, proposer->worst_case()); !short_of.empty())
    return unexpected(std::move(short_of));
  return proposer;
}

// What a program may see of this process: where programs and homes are, and how people write; no secret but
// those that the study names (env_pass).
constexpr const char* passed_on[] = {"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"};

Made make_command(const core::Study& study, const core::ProposerSpec& spec, const Surroundings& around) {
  CommandSettings settings;
  if (spec.command.empty()) return unexpected(std::string("command is missing"));
  const auto timeout = setting<std::int64_t>(spec, "timeout_ms", settings.timeout.count(), 1, 86'400'000);
  if (!timeout) return unexpected(timeout.error());
  settings.timeout = budgets::Millis::of(*timeout);
  settings.name = spec.name;
  settings.program.command = spec.command;
  for (const char* name : passed_on) {
    const auto value = around.environment ? around.environment(name) : std::nullopt;
    if (value) settings.program.env[name] = *value;
  }
  std::istringstream passed(text_setting(spec, "env_pass"));
  for (std::string name; passed >> name;) {
    const auto value = around.environment ? around.environment(name) : std::nullopt;
    if (!value) return unexpected("env_pass: " + name + " is not set in this environment; export it first");
    settings.program.env[name] = *value;
  }
  settings.program.env["OVERNIGHT_PROPOSER"] = spec.name;
  settings.program.folder = around.folder;
  if (!around.folder.empty()) settings.program.log = around.folder + "/" + spec.name + ".log";
  settings.program.line_bytes_max = wire_line_bytes_max;
  return std::make_unique<CommandProposer>(study, std::move(settings));
}

}  // namespace

Made make_proposer(const core::Study& study, std::size_t index, const Surroundings& around) {
  const core::ProposerSpec& spec = study.proposers[index];
  if (spec.kind == "random") return std::make_unique<RandomProposer>(study.space);
  if (spec.kind == "list") return std::make_unique<ListProposer>(spec.points);
  if (spec.kind == "grid") return make_grid(study, spec);
  if (spec.kind == "tpe") return make_tpe(study, spec);
  if (spec.kind == "command") return make_command(study, spec, around);
  if (spec.kind == "llm") return make_llm(study, spec, around);
  if (spec.kind == "sobol") {
    if (study.space.dimensions.size() > sobol_dimensions_max) {
      return unexpected("sobol knows at most " + std::to_string(sobol_dimensions_max) +
                        " parameters, and this space has " + std::to_string(study.space.dimensions.size()));
    }
    return std::make_unique<SobolProposer>(study.space, static_cast<std::uint64_t>(study.seed));
  }
  return unexpected("kind " + spec.kind + " is not available yet in this version");
}

}  // namespace overnight::proposers
