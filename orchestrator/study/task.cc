// The section `task` but for its phases: what a task may see and use, and what is kept of it.
#include <algorithm>

#include "orchestrator/study/commands.h"
#include "orchestrator/study/sections.h"

namespace overnight::study {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t secrets_max = 64;  // variables; nobody has that many keys for one task

bool good_variable(const std::string& name) {
  return good_name(name) && name.find('-') == std::string::npos && name.find('.') == std::string::npos;
}

void check_variable(Section& section, const std::string& key, const std::string& name) {
  if (!good_variable(name))
    section.error(key, shown(name) + " is no environment variable; letters, digits and '_', like WANDB_MODE");
  if (name.starts_with("OVERNIGHT_")) section.error(key, shown(name) + ": names that begin with OVERNIGHT_ are ours");
}

void read_seed(Section& task, core::SeedDelivery& seed) {
  auto section = task.section("seed");
  if (!section) return;
  int ways = 0;
  if (section->text("env", seed.name)) {
    ++ways;
    seed.kind = core::SeedDelivery::Kind::env;
    check_variable(*section, "env", seed.name);
  }
  if (section->text("argv", seed.name)) {
    ++ways;
    seed.kind = core::SeedDelivery::Kind::argv;
    if (!seed.name.starts_with("-")) section->error("argv", shown(seed.name) + " is no flag; write one like --seed");
  }
  if (auto replace = section->section("replace")) {
    ++ways;
    seed.kind = core::SeedDelivery::Kind::replace;
    replace->require("file");
    replace->require("pattern");
    if (replace->text("file", seed.name)) {
      const fs::path file(seed.name);
      const bool outside = file.is_absolute() || std::find(file.begin(), file.end(), "..") != file.end();
      if (outside) replace->error("file", shown(seed.name) + " must lie in the workspace; write a path relative to it");
      if (task.node().find("workspace") == nullptr)
        replace->error("file", "needs task.workspace, in whose copy it is changed");
    }
    if (replace->text("pattern", seed.pattern)) check_pattern(*replace, "pattern", seed.pattern, "^SEED = ([0-9]+)");
    replace->finish();
  }
  if (ways != 1)
    task.error("seed", "names not one way but " + std::to_string(ways) +
                           "; write env: SEED, argv: --seed or replace: {file: train.py, pattern: ...}");
  section->finish();
}

void read_secret(Section& one, const std::set<std::string>& phases, core::Task& out) {
  core::Secret secret;
  one.require("name");
  one.require("phase");
  if (one.text("name", secret.name)) check_variable(one, "name", secret.name);
  if (one.choice("phase", secret.phase, {"build", "train", "evaluate"}) && !phases.contains(secret.phase))
    one.error("phase", "this task has no phase " + secret.phase);
  one.finish();
  if (out.env.contains(secret.name) ||
      std::find(out.env_pass.begin(), out.env_pass.end(), secret.name) != out.env_pass.end())
    one.error("name", shown(secret.name) + " stands in env or env_pass too, where every phase sees it");
  out.secrets.push_back(secret);
}

void read_secrets(Section& task, core::Task& out) {
  const Node* secrets = task.take("secrets");
  if (secrets == nullptr) return;
  if (!secrets->is_sequence() || secrets->items.size() > secrets_max) {
    task.error("secrets", "must be a list like [{name: HF_TOKEN, phase: train}], of at most 64");
    return;
  }
  std::set<std::string> phases{"train"};
  if (out.build) phases.insert("build");
  if (out.evaluate) phases.insert("evaluate");
  for (std::size_t i = 0; i < secrets->items.size(); ++i) {
    Section one(task.errors(), secrets->items[i], task.path_of("secrets[" + std::to_string(i) + "]"));
    if (one.valid()) read_secret(one, phases, out);
  }
}

void read_environment(Section& task, const fs::path& folder, core::Task& out) {
  if (auto env = task.section("env")) {
    for (const Node::Entry& entry : env->entries()) {
      check_variable(*env, entry.key, entry.key);
      std::string value;
      if (env->text(entry.key, value)) out.env[entry.key] = with_study_folder(std::move(value), folder, false);
    }
  }
  task.texts("env_pass", out.env_pass);
  for (const std::string& name : out.env_pass) check_variable(task, "env_pass", name);
  std::vector<std::string> mounts;
  task.texts("mounts", mounts);
  for (const std::string& mount : mounts) {
    if (mount.empty()) task.error("mounts", "holds an empty path");
    out.mounts.push_back(absolute_path(folder, mount));
  }
}

void read_artifacts(Section& task, core::ArtifactPolicy& policy) {
  auto section = task.section("artifacts");
  if (!section) return;
  std::vector<std::string> kept;
  if (section->texts("keep", kept)) {
    policy = {false, 0, false};
    for (const std::string& one : kept) {
      const Read top = one.starts_with("top ") ? parse_count(one.substr(4)) : budgets::unexpected(std::string());
      if (one == "champion") {
        policy.champion = true;
      } else if (one == "all") {
        policy.all = true;
      } else if (top && *top > 0) {
        policy.top = *top;
      } else {
        section->error("keep", shown(one) + " is not one of champion, all, \"top 10\"");
      }
    }
  }
  section->finish();
}

void read_retries(Section& task, core::RetryPolicy& retries) {
  constexpr std::int64_t most = 10;  // what failed ten times will fail again
  auto section = task.section("retries");
  if (!section) return;
  section->whole("crash", retries.crash, 0, most);
  section->whole("infrastructure", retries.infrastructure, 0, most);
  section->whole("timeout", retries.timeout, 0, most);
  section->whole("out_of_memory", retries.out_of_memory, 0, most);
  section->quantity("backoff", parse_duration, Section::Zero::allowed,
                    [&](std::int64_t ms) { retries.backoff = core::Millis::of(ms); });
  section->finish();
}

void read_workspace(Section& task, const fs::path& folder, core::Task& out) {
  std::string path;
  const Node* node = task.take("workspace");
  if (node == nullptr) return;
  if (node->is_mapping()) {
    auto section = task.section("workspace");
    section->require("path");
    section->text("path", path);
    section->not_yet("editable", "code edits are");
    section->not_yet("readonly", "code edits are");
    section->finish();
  } else {
    task.text("workspace", path);
  }
  out.workspace = absolute_path(folder, path);
}

}  // namespace

std::string absolute_path(const fs::path& folder, const std::string& path) {
  if (path.empty()) return path;
  std::error_code failed;
  const fs::path whole = fs::absolute(folder / path, failed);
  if (failed) return path;
  const fs::path real = fs::weakly_canonical(whole, failed);
  return (failed ? whole.lexically_normal() : real).string();
}

void read_task(Section& study, const fs::path& folder, core::Study& out) {
  study.require("task");
  auto task = study.section("task");
  if (!task) return;
  read_workspace(*task, folder, out.task);
  read_phases(*task, folder, out);
  read_seed(*task, out.task.seed);
  read_environment(*task, folder, out.task);
  read_secrets(*task, out.task);
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
