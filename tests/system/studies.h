// Small studies for system tests; tasks are shell scripts, so that they run on any machine.
#pragma once

#include <string>

#include "tests/system/program.h"

namespace overnight::system_tests {

struct Wanted {
  std::string script = "echo \"loss: $1\"\n";  // $1: the parameter x, $2: the experiment file, $3: the seed
  int experiments = 6;
  std::string more;       // further YAML at the top level
  std::string task_more;  // further YAML under task
  std::string evaluation = "{baseline_replicates: 1, confirm_replicates: 0, confirm_top: 0}";
  std::string timeout = "60s";
};

// Writes task.sh and study.yaml; returns the study's path.
inline std::string write_study(const Folder& folder, const Wanted& wanted = {}) {
  const std::string script = folder.write("task.sh", "#!/bin/sh\n" + wanted.script);
  return folder.write("study.yaml",
                      "study: small\n"
                      "objective: {metric: loss, direction: minimize}\n"
                      "task:\n"
                      "  train: {command: [/bin/sh, " +
                          script + ", \"{p.x}\", \"{experiment}\", \"{seed}\"], timeout: " + wanted.timeout +
                          ", metrics: {loss: \"^loss: (.*)\"}}\n" + wanted.task_more +
                          "baseline: {x: 0.5}\n"
                          "space: {x: {type: float, low: 0, high: 1}}\n"
                          "proposers: [{kind: random}]\n"
                          "budgets: {run: {experiments: " +
                          std::to_string(wanted.experiments) +
                          "}, attempt: {free_floor: 1MiB}}\n"
                          "executor: {kind: local, slots: 2}\n"
                          "evaluation: " +
                          wanted.evaluation + "\n" + wanted.more);
}

}  // namespace overnight::system_tests
