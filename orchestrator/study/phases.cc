// The sections `task.build`, `task.train` and `task.evaluate`: what is run.
#include <csignal>

#include "orchestrator/study/commands.h"
#include "orchestrator/study/sections.h"

namespace overnight::study {
namespace {

const std::vector<std::pair<std::string, int>> signals{{"SIGTERM", SIGTERM}, {"SIGINT", SIGINT}, {"SIGUSR1", SIGUSR1},
                                                       {"SIGUSR2", SIGUSR2}, {"SIGHUP", SIGHUP}, {"SIGQUIT", SIGQUIT}};

void read_stop(Section& train, core::PhaseSpec& spec) {
  auto stop = train.section("stop");
  if (!stop) return;
  std::vector<std::string> names;
  for (const auto& [name, _] : signals) names.push_back(name);
  std::string chosen;
  stop->choice("signal", chosen, names);
  for (const auto& [name, number] : signals) {
    if (name == chosen) spec.stop_signal = number;
  }
  stop->quantity("grace", parse_duration, Section::Zero::allowed,
                 [&](std::int64_t ms) { spec.grace = core::Millis::of(ms); });
  stop->finish();
}

void read_metrics(Section& phase, std::map<std::string, std::string>& metrics) {
  auto section = phase.section("metrics");
  if (!section) return;
  for (const Node::Entry& entry : section->entries()) {
    std::string pattern;
    if (!good_name(entry.key)) section->error(entry.key, name_rule);
    if (!section->text(entry.key, pattern)) continue;
    check_pattern(*section, entry.key, pattern, R"(^val_bpb:\s+([0-9.]+))");
    metrics[entry.key] = pattern;
  }
}

core::PhaseSpec read_phase(Section& phase, const std::filesystem::path& folder, const core::Study& study) {
  core::PhaseSpec spec;
  spec.command = read_command(phase, folder);
  check_substitutions(phase, spec.command, study.space);
  phase.quantity("timeout", parse_duration, Section::Zero::refused,
                 [&](std::int64_t ms) { spec.timeout = core::Millis::of(ms); });
  return spec;
}

core::PhaseSpec read_train(Section& phase, const std::filesystem::path& folder, const core::Study& study) {
  core::PhaseSpec spec = read_phase(phase, folder, study);
  phase.quantity("budget", parse_duration, Section::Zero::refused,
                 [&](std::int64_t ms) { spec.budget = core::Millis::of(ms); });
  read_stop(phase, spec);
  read_metrics(phase, spec.metrics);
  if (spec.budget > core::Millis{} && spec.timeout > core::Millis{} && spec.timeout < spec.budget + spec.grace)
    phase.error("timeout", "comes before budget and grace are over (" +
                               duration_text((spec.budget + spec.grace).count()) +
                               "): the planned end would count as a failure; raise it or leave it out");
  phase.finish();
  return spec;
}

core::PhaseSpec read_evaluate(Section& phase, const std::filesystem::path& folder, core::Study& out) {
  core::PhaseSpec spec = read_phase(phase, folder, out);
  read_metrics(phase, spec.metrics);
  if (auto data = phase.section("private")) {
    std::string path;
    if (data->text("validation", path)) out.task.validation_data = absolute_path(folder, path);
    if (data->text("holdout", path)) out.task.holdout_data = absolute_path(folder, path);
    data->finish();
  }
  phase.finish();
  return spec;
}

}  // namespace

void read_phases(Section& task, const std::filesystem::path& folder, core::Study& out) {
  if (auto build = task.section("build")) {
    out.task.build = read_phase(*build, folder, out);
    build->finish();
  }
  task.require("train");
  if (auto train = task.section("train")) out.task.train = read_train(*train, folder, out);
  if (auto evaluate = task.section("evaluate")) out.task.evaluate = read_evaluate(*evaluate, folder, out);
}

}  // namespace overnight::study
