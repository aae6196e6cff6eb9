// The section `proposers`: who proposes, with what share and settings.
#include <map>
#include <set>

#include "orchestrator/study/sections.h"

namespace overnight::study {
namespace {

// The settings that each kind takes, beside kind, name and share.
const std::map<std::string, std::set<std::string>> kinds{
    {"random", {}},
    {"grid", {"points_per_dimension"}},
    {"list", {}},
    {"sobol", {}},
    {"tpe", {"startup", "candidates", "gamma"}},
    {"command", {"timeout"}},
    {"llm",
     {"provider", "base_url", "model", "api_key_env", "max_tokens", "temperature", "timeout", "brief", "price",
      "insecure", "batch"}},
};

void read_points(Section& proposer, Errors& errors, const core::Study& study, core::ProposerSpec& spec) {
  const auto points = proposer.take("points");
  if (!points || !points->IsSequence() || points->size() == 0) {
    proposer.error("points", "a list proposer needs a list of points");
    return;
  }
  for (std::size_t i = 0; i < points->size(); ++i) {
    const YAML::Node one = (*points)[i];
    const std::string path = proposer.path_of("points") + "[" + std::to_string(i) + "]";
    Section point(errors, one, path);
    core::Params params;
    for (const auto& [name, value] : point.all()) params[name] = value_of(value);
    if (const auto good = core::canonical(study.space, params); good) {
      spec.points.push_back(*good);
    } else {
      errors.add(one, path, "is not in the space: " + good.error().explain);
    }
  }
}

core::ProposerSpec read_one(Section& proposer, Errors& errors, const core::Study& study) {
  core::ProposerSpec spec;
  proposer.require("kind");
  proposer.text("kind", spec.kind);
  const auto kind = kinds.find(spec.kind);
  if (kind == kinds.end()) {
    proposer.error("kind", "\"" + spec.kind + "\" is not one of random, grid, list, sobol, tpe, command, llm");
    return spec;
  }
  spec.name = spec.kind;
  if (proposer.text("name", spec.name) && !good_name(spec.name))
    proposer.error("name", "has letters, digits, '_', '-' and '.', and begins with a letter");
  if (proposer.real("share", spec.share) && !(spec.share > 0)) proposer.error("share", "must be above 0");
  for (const std::string& key : kind->second) {
    std::string value;
    if (proposer.text(key, value)) spec.settings[key] = value;
  }
  if (spec.kind == "list") read_points(proposer, errors, study, spec);
  if (spec.kind == "command") {
    const auto command = proposer.take("command");
    if (command && command->IsScalar())
      spec.command = split_command(command->Scalar()).value_or(std::vector<std::string>{});
    if (command && command->IsSequence()) proposer.texts("command", spec.command);
    if (spec.command.empty()) proposer.error("command", "a command proposer needs its command");
  }
  if (spec.kind == "llm") {
    proposer.require("base_url");
    proposer.require("model");
  }
  proposer.finish();
  return spec;
}

}  // namespace

void read_proposers(Section& study, Errors& errors, core::Study& out) {
  const auto list = study.take("proposers");
  if (!list || !list->IsSequence() || list->size() == 0) {
    study.error("proposers", "at least one is needed, like [{kind: tpe}]");
    return;
  }
  std::set<std::string> names;
  for (std::size_t i = 0; i < list->size(); ++i) {
    Section proposer(errors, (*list)[i], "proposers[" + std::to_string(i) + "]");
    if (!proposer.valid()) continue;
    core::ProposerSpec spec = read_one(proposer, errors, out);
    if (!names.insert(spec.name).second)
      proposer.error("name", "\"" + spec.name + "\" is taken by another proposer; give this one a name");
    out.proposers.push_back(std::move(spec));
  }
}

}  // namespace overnight::study
