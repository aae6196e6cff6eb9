// The section `proposers`: who proposes, with what share and settings.
#include "orchestrator/study/commands.h"
#include "orchestrator/study/sections.h"

namespace overnight::study {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t proposers_max = 32;       // each takes part of the history; more is a mistake
constexpr std::size_t points_max = 10'000;      // as many trials as a run queues
constexpr std::size_t brief_bytes_max = 65536;  // what a model is told of the task, beside the history

enum class SettingKind { whole, count, real, duration, text, flag, url, variable };

// A setting that a kind of proposer takes, beside kind, name and share.
struct Setting {
  std::string kind, name;
  SettingKind is;
  double low = 0, high = 0;  // of numbers, both included
};

const std::vector<Setting> known_settings{
    {"grid", "points_per_dimension", SettingKind::whole, 1, 1000},
    {"tpe", "startup", SettingKind::whole, 0, 10'000},
    {"tpe", "candidates", SettingKind::whole, 1, 10'000},
    {"tpe", "gamma", SettingKind::real, 0.01, 0.5},
    {"command", "timeout", SettingKind::duration},
    {"llm", "base_url", SettingKind::url},
    {"llm", "model", SettingKind::text},
    {"llm", "api_key_env", SettingKind::variable},
    {"llm", "max_tokens", SettingKind::count, 1, 1'000'000},
    {"llm", "temperature", SettingKind::real, 0, 2},
    {"llm", "timeout", SettingKind::duration},
    {"llm", "brief", SettingKind::text},
    {"llm", "batch", SettingKind::whole, 1, 64},
    {"llm", "insecure", SettingKind::flag},
};
const std::vector<std::string> kinds{"random", "grid", "list", "sobol", "tpe", "command", "llm"};

void read_number(Section& proposer, const Setting& setting, core::ProposerSpec& spec) {
  double value = 0;
  if (!proposer.real(setting.name, value)) return;
  if (value < setting.low || value > setting.high)
    proposer.error(setting.name, "must lie from " + core::text_of(setting.low) + " to " + core::text_of(setting.high));
  spec.settings[setting.name] = core::text_of(value);
}

void read_text(Section& proposer, const Setting& setting, core::ProposerSpec& spec) {
  std::string text;
  if (!proposer.text(setting.name, text)) return;
  if (text.empty()) proposer.error(setting.name, "is empty");
  if (text.size() > brief_bytes_max) proposer.error(setting.name, "is longer than 64 KiB");
  if (setting.is == SettingKind::url && !text.starts_with("http://") && !text.starts_with("https://"))
    proposer.error(setting.name, shown(text) + " is no address; write one like http://localhost:8080/v1");
  // The address is kept in the journal and shown in the report: no secret may stand in it.
  if (setting.is == SettingKind::url && text.find_first_of("@?# \t\r\n") != std::string::npos)
    proposer.error(setting.name,
                   "must be a plain address without user, password, query or blanks; name the variable that holds the "
                   "key as api_key_env");
  if (setting.is == SettingKind::variable && (!good_name(text) || text.find_first_of("-.") != std::string::npos))
    proposer.error(setting.name,
                   "must be the name of an environment variable that holds the key, like OPENAI_API_KEY, not the key");
  spec.settings[setting.name] = text;
}

void read_setting(Section& proposer, const Setting& setting, core::ProposerSpec& spec) {
  const auto low = static_cast<std::int64_t>(setting.low), high = static_cast<std::int64_t>(setting.high);
  switch (setting.is) {
    case SettingKind::whole: {
      std::int64_t value = 0;
      if (proposer.whole(setting.name, value, low, high)) spec.settings[setting.name] = std::to_string(value);
      return;
    }
    case SettingKind::count:
      proposer.quantity(setting.name, parse_count, Section::Zero::refused, [&](std::int64_t value) {
        if (value > high) proposer.error(setting.name, "must be at most " + std::to_string(high));
        spec.settings[setting.name] = std::to_string(value);
      });
      return;
    case SettingKind::duration:
      proposer.quantity(setting.name, parse_duration, Section::Zero::refused,
                        [&](std::int64_t ms) { spec.settings[setting.name + "_ms"] = std::to_string(ms); });
      return;
    case SettingKind::flag: {
      bool value = false;
      if (proposer.boolean(setting.name, value)) spec.settings[setting.name] = value ? "true" : "false";
      return;
    }
    case SettingKind::real:
      return read_number(proposer, setting, spec);
    case SettingKind::text:
    case SettingKind::url:
    case SettingKind::variable:
      return read_text(proposer, setting, spec);
  }
}

void read_points(Section& proposer, const core::Study& study, bool space_is_good, core::ProposerSpec& spec) {
  if (!proposer.require("points")) return;
  const Node* points = proposer.take("points");
  if (points == nullptr) return;
  if (!points->is_sequence() || points->items.empty() || points->items.size() > points_max) {
    proposer.error("points", "must be a list of 1 to " + std::to_string(points_max) + " points like [{depth: 4}]");
    return;
  }
  for (std::size_t i = 0; i < points->items.size(); ++i) {
    Section point(proposer.errors(), points->items[i], proposer.path_of("points[" + std::to_string(i) + "]"));
    if (!point.valid()) continue;
    const auto params = params_of(point);
    if (!params || !space_is_good) continue;
    if (const auto fitted = core::canonical(study.space, *params)) {
      spec.points.push_back(*fitted);
    } else {
      point.error(fitted.error().parameter, "this point is not in the space: " + fitted.error().explain);
    }
  }
}

// `price: free`, or `price: {input: $0.50, output: $2.00}` per million tokens.
void read_price(Section& proposer, core::ProposerSpec& spec) {
  const Node* price = proposer.take("price");
  if (price == nullptr) return;
  if (!price->is_mapping()) {
    if (price->text != "free" || !price->is_scalar())
      proposer.error("price", "is free, or {input: $0.50, output: $2.00} for a million tokens");
    spec.settings["price"] = "free";
    return;
  }
  Section both(proposer.errors(), *price, proposer.path_of("price"));
  for (const std::string key : {"input", "output"}) {
    both.require(key);
    both.quantity(key, parse_money, Section::Zero::allowed,
                  [&](std::int64_t microusd) { spec.settings["price_" + key] = money_text(microusd); });
  }
  both.finish();
}

bool is_loopback(const std::string& url) {
  for (const std::string host : {"http://localhost", "http://127.0.0.1", "http://[::1]"}) {
    if (!url.starts_with(host)) continue;
    const std::string rest = url.substr(host.size());
    if (rest.empty() || rest[0] == ':' || rest[0] == '/') return true;
  }
  return false;
}

void read_llm(Section& proposer, core::ProposerSpec& spec) {
  std::string provider = "openai";
  proposer.text("provider", provider);
  if (provider != "openai")
    proposer.error("provider", shown(provider) +
                                   " is not available yet in this version; openai (any OpenAI-compatible "
                                   "server, by base_url) is");
  spec.settings["provider"] = provider;
  proposer.require("base_url");
  proposer.require("model");
  read_price(proposer, spec);
  const std::string url = spec.settings["base_url"];
  const bool clear_text = url.starts_with("http://") && !is_loopback(url);
  if (clear_text && spec.settings.contains("api_key_env") && spec.settings["insecure"] != "true")
    proposer.error("base_url", "would send the key in clear text; use https, or say insecure: true");
}

void read_command_proposer(Section& proposer, const fs::path& folder, core::ProposerSpec& spec) {
  std::vector<std::string> passed;
  proposer.texts("env_pass", passed);
  for (const std::string& name : passed) {
    if (!good_name(name) || name.find_first_of("-.") != std::string::npos)
      proposer.error("env_pass", shown(name) + " is no environment variable; write names like MY_TOKEN");
    spec.settings["env_pass"] += (spec.settings["env_pass"].empty() ? "" : " ") + name;
  }
  spec.command = read_command(proposer, folder);
  if (spec.command.empty()) return;
  std::string& program = spec.command.front();
  if (program.find('/') != std::string::npos) program = absolute_path(folder, program);
}

core::ProposerSpec read_one(Section& proposer, const fs::path& folder, const core::Study& study, bool space_is_good) {
  core::ProposerSpec spec;
  if (!proposer.require("kind") || !proposer.choice("kind", spec.kind, kinds)) return spec;
  spec.name = spec.kind;
  if (proposer.text("name", spec.name) && !good_name(spec.name)) proposer.error("name", name_rule);
  if (spec.name == "baseline")
    proposer.error("name", "\"baseline\" is the name of the study's own point; choose another");
  if (proposer.real("share", spec.share) && !(spec.share > 0 && spec.share <= 1e6))
    proposer.error("share", "must be above 0 (it is relative to the others' shares)");
  for (const Setting& setting : known_settings) {
    if (setting.kind == spec.kind) read_setting(proposer, setting, spec);
  }
  if (spec.kind == "list") read_points(proposer, study, space_is_good, spec);
  if (spec.kind == "command") read_command_proposer(proposer, folder, spec);
  if (spec.kind == "llm") read_llm(proposer, spec);
  proposer.finish();
  return spec;
}

}  // namespace

void read_proposers(Section& study, const fs::path& folder, bool space_is_good, core::Study& out) {
  if (!study.require("proposers")) return;
  const Node* list = study.take("proposers");
  if (list == nullptr) return;
  if (!list->is_sequence() || list->items.empty() || list->items.size() > proposers_max) {
    study.error("proposers", "must be a list of 1 to 32 proposers like [{kind: tpe}]");
    return;
  }
  std::set<std::string> names;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    Section proposer(study.errors(), list->items[i], "proposers[" + std::to_string(i) + "]");
    if (!proposer.valid()) continue;
    core::ProposerSpec spec = read_one(proposer, folder, out, space_is_good);
    if (!spec.kind.empty() && !names.insert(spec.name).second)
      proposer.error("name", shown(spec.name) + " is taken by another proposer; give this one a name of its own");
    out.proposers.push_back(std::move(spec));
  }
}

}  // namespace overnight::study
