#include "orchestrator/executors/task_order.h"

#include <nlohmann/json.hpp>

namespace overnight::executors {
namespace {

using core::Launch;
using core::Study;
using nlohmann::json;

json json_of(const core::ParamValue& value) {
  return std::visit([](const auto& v) { return json(v); }, value);
}

std::vector<std::string> flags_of(const core::Params& params) {
  std::vector<std::string> flags;
  for (const auto& [name, value] : params) flags.push_back("--" + name + "=" + core::text_of(value));
  return flags;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : " ") + part;
  return text;
}

// What a name between braces stands for; none if it is not one of ours (it then stays as it is).
std::optional<std::string> value_of(const std::string& name, const Launch& launch, const AttemptFolder& folder) {
  if (name == "experiment") return folder.experiment().string();
  if (name == "artifacts") return folder.artifacts().string();
  if (name == "seed") return std::to_string(launch.seed);
  if (name == "params") return joined(flags_of(launch.params));
  if (name.starts_with("p.")) {
    const auto found = launch.params.find(name.substr(2));
    return found == launch.params.end() ? std::string() : core::text_of(found->second);
  }
  return std::nullopt;
}

std::string substitute_one(const std::string& text, const Launch& launch, const AttemptFolder& folder) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      out.push_back(c);
      ++i;
      continue;
    }
    const std::size_t close = c == '{' ? text.find('}', i) : std::string::npos;
    const auto value =
        close == std::string::npos ? std::nullopt : value_of(text.substr(i + 1, close - i - 1), launch, folder);
    if (!value) {
      out.push_back(c);
      continue;
    }
    out += *value;
    i = close;
  }
  return out;
}

bool holds(const std::string& folder, const std::string& path) {
  return path == folder || path.starts_with(folder + "/");
}

// Private data that a phase must not see: all of it, but for the split that evaluate is given.
std::vector<std::string> hidden_from(workers::Phase phase, const core::Task& task) {
  std::vector<std::string> hidden;
  for (const std::string& data : {task.validation_data, task.holdout_data}) {
    const bool given = phase == workers::Phase::evaluate && holds(data, task.validation_data);
    if (!data.empty() && !given) hidden.push_back(data);
  }
  return hidden;
}

workers::PhaseOrder phase_order(workers::Phase phase, const core::PhaseSpec& spec, const Launch& launch,
                                const Study& study, const Place& place) {
  workers::PhaseOrder order;
  order.phase = phase;
  order.command = substitute(spec.command, launch, place.folder);
  order.timeout_ms = spec.timeout.count();
  order.budget_ms = spec.budget.count();
  order.stop_signal = spec.stop_signal;
  order.grace_ms = spec.grace.count();
  order.metrics = spec.metrics;
  for (const core::Secret& secret : study.task.secrets) {
    if (secret.phase == workers::name_of(phase)) order.secrets.push_back(secret.name);
  }
  order.hidden = hidden_from(phase, study.task);
  if (phase == workers::Phase::evaluate) {
    order.env["OVERNIGHT_SPLIT"] = "validation";
    if (!study.task.validation_data.empty()) order.env["OVERNIGHT_EVAL_DATA"] = study.task.validation_data;
  }
  return order;
}

workers::Limits limits_of(const Launch& launch, const Study& study) {
  workers::Limits limits;
  limits.wall_ms = launch.wall.count();
  limits.memory_bytes = study.attempt.memory.count();
  limits.disk_bytes = study.attempt.disk.count();
  limits.inodes = study.attempt.files;
  limits.free_floor_bytes = study.attempt.free_floor.count();
  limits.log_bytes = study.attempt.log.count();
  limits.processes = study.attempt.processes;
  return limits;
}

void deliver_seed(const Launch& launch, const Study& study, workers::Order& order) {
  const core::SeedDelivery& delivery = study.task.seed;
  const std::string seed = std::to_string(launch.seed);
  switch (delivery.kind) {
    case core::SeedDelivery::Kind::none:
      return;
    case core::SeedDelivery::Kind::env:
      order.env[delivery.name] = seed;
      return;
    case core::SeedDelivery::Kind::argv:
      for (workers::PhaseOrder& phase : order.phases) {
        if (phase.phase == workers::Phase::train) phase.command.push_back(delivery.name + "=" + seed);
      }
      return;
    case core::SeedDelivery::Kind::replace:
      order.seed_replacements.push_back({delivery.name, delivery.pattern});
      return;
  }
}

}  // namespace

std::vector<std::string> substitute(const std::vector<std::string>& command, const Launch& launch,
                                    const AttemptFolder& folder) {
  std::vector<std::string> out;
  for (const std::string& argument : command) {
    if (argument == "{params}") {
      for (std::string& flag : flags_of(launch.params)) out.push_back(std::move(flag));
    } else {
      out.push_back(substitute_one(argument, launch, folder));
    }
  }
  return out;
}

std::string experiment_json(const Launch& launch, const Study& study) {
  json params = json::object();
  for (const auto& [name, value] : launch.params) params[name] = json_of(value);
  const json limits{{"train_budget_ms", study.task.train.budget.count()},
                    {"train_timeout_ms", study.task.train.timeout.count()},
                    {"wall_ms", launch.wall.count()},
                    {"memory_bytes", study.attempt.memory.count()}};
  const json out{{"version", 1},
                 {"run", launch.run.text},
                 {"experiment", core::number(launch.experiment)},
                 {"trial", core::number(launch.trial)},
                 {"attempt", core::number(launch.attempt)},
                 {"params", params},
                 {"seed", launch.seed},
                 {"fidelity", 1.0},
                 {"objective", study.objective.metric},
                 {"limits", limits}};
  return out.dump(2) + "\n";
}

workers::Order order_for(const Launch& launch, const Study& study, const Place& place) {
  workers::Order order;
  order.home = place.home;
  order.run = launch.run.text;
  order.experiment = core::number(launch.experiment);
  order.trial = core::number(launch.trial);
  order.attempt = core::number(launch.attempt);
  order.epoch = place.epoch;
  order.nonce = place.nonce;
  order.directory = place.folder.path.string();
  order.enclosure = place.home_folder.string();
  order.workspace = study.task.workspace;
  order.experiment_json = experiment_json(launch, study);
  if (study.task.build)
    order.phases.push_back(phase_order(workers::Phase::build, *study.task.build, launch, study, place));
  order.phases.push_back(phase_order(workers::Phase::train, study.task.train, launch, study, place));
  if (study.task.evaluate)
    order.phases.push_back(phase_order(workers::Phase::evaluate, *study.task.evaluate, launch, study, place));
  order.env = study.task.env;
  order.env_pass = study.task.env_pass;
  for (const core::Secret& secret : study.task.secrets) order.env_secret.push_back(secret.name);
  for (const core::ProposerSpec& proposer : study.proposers) {
    const auto key = proposer.settings.find("api_key_env");
    if (key != proposer.settings.end()) order.env_secret.push_back(key->second);
  }
  order.mounts = study.task.mounts;
  order.cpus = place.slot.cpus;
  order.gpus = place.slot.gpus;
  order.seed = launch.seed;
  order.objective = study.objective.metric;
  order.lease_ms = place.lease_ms;
  order.limits = limits_of(launch, study);
  deliver_seed(launch, study, order);
  return order;
}

}  // namespace overnight::executors
