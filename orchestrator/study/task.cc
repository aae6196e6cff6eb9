// The section `task`: what is run, and what it may see.
#include <csignal>
#include <map>
#include <regex>

#include "orchestrator/study/quantities.h"
#include "orchestrator/study/sections.h"

namespace overnight::study {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, int> signals{{"SIGTERM", SIGTERM}, {"SIGINT", SIGINT}, {"SIGUSR1", SIGUSR1},
                                         {"SIGUSR2", SIGUSR2}, {"SIGHUP", SIGHUP}, {"SIGQUIT", SIGQUIT}};

std::string absolute(const fs::path& folder, const std::string& path) {
  return path.empty() ? path : fs::weakly_canonical(fs::absolute(folder / path)).string();
}

void read_command(Section& phase, std::vector<std::string>& command) {
  const auto node = phase.take("command");
  if (!node) {
    phase.error("command", "is missing: the program and its arguments, like [python3, train.py, \"{params}\"]");
    return;
  }
  if (node->IsScalar()) {
    const auto words = split_command(node->Scalar());
    if (words) {
      command = *words;
    } else {
      phase.error("command", "a quote is not closed");
    }
  } else {
    phase.texts("command", command);
  }
  if (command.empty() || command.front().empty()) phase.error("command", "is empty");
}

void check_substitutions(Section& phase, const std::vector<std::string>& command, const core::Study& study) {
  static const std::regex braces(R"(\{([a-z]+)(\.([A-Za-z0-9_.-]+))?\})");
  for (const std::string& argument : command) {
    for (auto it = std::sregex_iterator(argument.begin(), argument.end(), braces); it != std::sregex_iterator(); ++it) {
      const std::string name = (*it)[1], parameter = (*it)[3];
      const auto at = static_cast<std::size_t>(it->position());
      if (at > 0 && argument[at - 1] == '{') continue;  // "{{" is a brace
      const bool known = parameter.empty()
                             ? (name == "experiment" || name == "params" || name == "seed" || name == "artifacts")
                             : name == "p";
      if (!known) {
        phase.error("command", "\"" + it->str() +
                                   "\" stands for nothing; known are {experiment} {params} {p.NAME} {seed} "
                                   "{artifacts}, and {{ for a brace");
      } else if (!parameter.empty() && study.space.find(parameter) == nullptr) {
        phase.error("command", "\"" + it->str() + "\" names a parameter that the space does not have");
      }
    }
  }
}

void read_metrics(Section& phase, std::map<std::string, std::string>& metrics) {
  auto section = phase.section("metrics");
  if (!section) return;
  for (const auto& [name, _] : section->all()) {
    std::string pattern;
    section->text(name, pattern);
    try {
      const std::regex compiled(pattern, std::regex::extended);
      if (compiled.mark_count() < 1)
        section->error(name, "the pattern needs a group around the value, like ^val_bpb:[[:space:]]+([0-9.]+)");
    } catch (const std::regex_error&) {
      try {
        const std::regex again(pattern);
        if (again.mark_count() < 1)
          section->error(name, "the pattern needs a group around the value, like ^val_bpb:\\s+([0-9.]+)");
      } catch (const std::regex_error& error) {
        section->error(name, "\"" + pattern + "\" is no regular expression: " + error.what());
      }
    }
    metrics[name] = pattern;
  }
}

core::PhaseSpec read_phase(Section phase, bool train, const core::Study& study) {
  core::PhaseSpec spec;
  read_command(phase, spec.command);
  check_substitutions(phase, spec.command, study);
  phase.quantity("timeout", parse_duration, "10m", [&](std::int64_t ms) { spec.timeout = core::Millis::of(ms); });
  if (train) {
    phase.quantity("budget", parse_duration, "5m", [&](std::int64_t ms) { spec.budget = core::Millis::of(ms); });
    if (auto stop = phase.section("stop")) {
      std::string name;
      if (stop->text("signal", name)) {
        const auto found = signals.find(name);
        if (found == signals.end()) {
          stop->error("signal", "\"" + name + "\" is not one of SIGTERM SIGINT SIGUSR1 SIGUSR2 SIGHUP SIGQUIT");
        } else {
          spec.stop_signal = found->second;
        }
      }
      stop->quantity("grace", parse_duration, "5s", [&](std::int64_t ms) { spec.grace = core::Millis::of(ms); });
      stop->finish();
    }
  }
  read_metrics(phase, spec.metrics);
  if (!train && phase.node()["private"]) phase.take("private");
  phase.finish();
  return spec;
}

void read_private(Section& task, const fs::path& folder, core::Task& out) {
  const YAML::Node evaluate = task.node()["evaluate"];
  if (!evaluate || !evaluate.IsMap() || !evaluate["private"] || !evaluate["private"].IsMap()) return;
  const YAML::Node data = evaluate["private"];
  if (data["validation"]) out.validation_data = absolute(folder, scalar_of(data["validation"]));
  if (data["holdout"]) out.holdout_data = absolute(folder, scalar_of(data["holdout"]));
}

void read_seed(Section& task, core::SeedDelivery& seed) {
  auto section = task.section("seed");
  if (!section) return;
  std::string text;
  if (section->text("env", text)) seed = {core::SeedDelivery::Kind::env, text, ""};
  if (section->text("argv", text)) seed = {core::SeedDelivery::Kind::argv, text, ""};
  if (auto replace = section->section("replace")) {
    seed.kind = core::SeedDelivery::Kind::replace;
    replace->require("file");
    replace->require("pattern");
    replace->text("file", seed.name);
    replace->text("pattern", seed.pattern);
    replace->finish();
  }
  section->finish();
  if (seed.kind == core::SeedDelivery::Kind::none)
    task.error("seed", "names no way: env: SEED, argv: --seed, or replace: {file, pattern}");
}

void read_environment(Section& task, const fs::path& folder, core::Task& out,
                      const std::function<void(const std::string&, const std::string&)>& complain) {
  if (auto env = task.section("env")) {
    for (const auto& [name, _] : env->all()) {
      env->text(name, out.env[name]);
      if (name.starts_with("OVERNIGHT_")) env->error(name, "names that begin with OVERNIGHT_ are ours");
    }
  }
  task.texts("env_pass", out.env_pass);
  std::vector<std::string> mounts;
  task.texts("mounts", mounts);
  for (const std::string& mount : mounts) out.mounts.push_back(absolute(folder, mount));
  const auto secrets = task.take("secrets");
  if (!secrets) return;
  for (const auto& item : *secrets) {
    core::Secret secret;
    if (item.IsMap()) {
      if (item["name"]) secret.name = scalar_of(item["name"]);
      if (item["phase"]) secret.phase = scalar_of(item["phase"]);
    }
    if (secret.name.empty() || (secret.phase != "build" && secret.phase != "train" && secret.phase != "evaluate")) {
      complain("secrets", "each is {name: VARIABLE, phase: build, train or evaluate}");
    }
    out.secrets.push_back(secret);
  }
}

void read_artifacts(Section& task, core::ArtifactPolicy& policy) {
  auto section = task.section("artifacts");
  if (!section) return;
  std::vector<std::string> kept;
  if (section->texts("keep", kept)) {
    policy = {false, 0, false};
    for (const std::string& one : kept) {
      if (one == "champion") {
        policy.champion = true;
      } else if (one == "all") {
        policy.all = true;
      } else if (one.starts_with("top ") && parse_count(one.substr(4))) {
        policy.top = *parse_count(one.substr(4));
      } else {
        section->error("keep", "\"" + one + "\" is not one of champion, all, \"top N\"");
      }
    }
  }
  section->finish();
}

void read_retries(Section& task, core::RetryPolicy& retries) {
  auto section = task.section("retries");
  if (!section) return;
  section->whole("crash", retries.crash, 0, 10);
  section->whole("infrastructure", retries.infrastructure, 0, 10);
  section->whole("timeout", retries.timeout, 0, 10);
  section->whole("out_of_memory", retries.out_of_memory, 0, 10);
  section->quantity("backoff", parse_duration, "5s", [&](std::int64_t ms) { retries.backoff = core::Millis::of(ms); });
  section->finish();
}

void read_workspace(Section& task, const fs::path& folder, core::Task& out) {
  const auto node = task.take("workspace");
  if (!node) return;
  if (node->IsScalar()) {
    out.workspace = absolute(folder, node->Scalar());
    return;
  }
  auto section = task.section("workspace");
  if (!section) return;
  std::string path;
  if (section->text("path", path)) out.workspace = absolute(folder, path);
  section->not_yet("editable", "editing code");
  section->not_yet("readonly", "editing code");
  section->finish();
}

}  // namespace

void read_task(Section& study, const fs::path& folder, core::Study& out) {
  study.require("task");
  auto task = study.section("task");
  if (!task) return;
  read_workspace(*task, folder, out.task);
  if (auto build = task->section("build")) out.task.build = read_phase(std::move(*build), false, out);
  task->require("train");
  if (auto train = task->section("train")) out.task.train = read_phase(std::move(*train), true, out);
  if (auto evaluate = task->section("evaluate")) out.task.evaluate = read_phase(std::move(*evaluate), false, out);
  read_private(*task, folder, out.task);
  read_seed(*task, out.task.seed);
  read_environment(*task, folder, out.task,
                   [&](const std::string& key, const std::string& why) { task->error(key, why); });
  if (auto resources = task->section("resources")) {
    resources->whole("gpus", out.task.gpus, 0, 64);
    resources->whole("cpus", out.task.cpus, 1, 1024);
    resources->finish();
  }
  read_artifacts(*task, out.task.artifacts);
  read_retries(*task, out.task.retries);
  task->finish();
}

}  // namespace overnight::study
