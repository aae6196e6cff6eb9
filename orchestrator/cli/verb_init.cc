// init: a study and a script to begin with, that run as they are.
#include <fstream>
#include <iostream>

#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/verbs.h"

namespace overnight::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* study_text =
    R"yaml(# A study: what is searched, with what, and what it may cost. `overnight validate FILE` says what is wrong and what it
# could cost, `overnight try FILE` runs the baseline once, `overnight run FILE` does the search. All keys, for editors and
# for reading: configs/study.schema.json of overnight.
study: first
purpose: Say here what you want to know in the morning.
objective: {metric: loss, direction: minimize, minimum_effect: 0.001}
task:
  workspace: .                                 # copied for each attempt
  train:
    command: [python3, train.py, "{params}"]   # becomes --learning_rate=0.01 --depth=3
    timeout: 10m
    metrics: {loss: '^loss ([0-9.eE+-]+)$'}    # the last line of the output that fits
  seed: {argv: --seed}                         # becomes --seed=7; or env: SEED
  env_pass: [PATH]                             # nothing else of your environment is seen
  resources: {cpus: 1}                         # per attempt; gpus: 1 where there are some
baseline: {learning_rate: 0.01, depth: 3}      # measured first
space:
  learning_rate: {type: float, low: 1e-4, high: 1, scale: log}
  depth: {type: int, low: 1, high: 8}
proposers: [{kind: tpe}]
budgets:
  run: {wall: 1h, experiments: 20}             # until: "07:30" ends it in the morning
evaluation: {baseline_replicates: 2, confirm_top: 2, confirm_replicates: 2}
)yaml";

constexpr const char* script_text =
    R"py("""Put your training here: flags in, a line "loss ..." out. This one only pretends."""
import argparse
import math
import random

parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float, required=True)
parser.add_argument("--depth", type=int, required=True)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

noise = random.Random(args.seed).gauss(0, 0.002)
loss = 0.2 + 0.1 * math.log10(args.learning_rate / 0.05) ** 2 + 0.01 * (args.depth - 4) ** 2
print(f"loss {loss + noise:.5f}")
)py";

// Never over what is there already.
int put(const fs::path& file, const char* text) {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(file, ignored)))
    return refuse(exit_bad_input, file.string() + " exists already; nothing was written");
  std::ofstream out(file);
  out << text;
  out.close();
  if (!out) return refuse(exit_bad_input, file.string() + " cannot be written");
  std::cout << "wrote " << file.string() << "\n";
  return exit_done;
}

int init(const std::string& folder) {
  const fs::path study = fs::path(folder) / "study.yaml", script = fs::path(folder) / "train.py";
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) return refuse(exit_bad_input, folder + ": " + failed.message());
  if (const int refused = put(study, study_text); refused != exit_done) return refused;
  if (fs::exists(script, failed)) {
    std::cout << script.string() << " is there already: put its flags and its metric into the study\n";
  } else if (const int refused = put(script, script_text); refused != exit_done) {
    return refused;
  }
  std::cout << "next: overnight validate " << study.string() << "\n";
  return exit_done;
}

}  // namespace

void add_init(CLI::App& app, Common& common) {
  static std::string folder = ".";
  CLI::App* verb = app.add_subcommand("init", "write a study and a script to begin with, that run as they are");
  verb->add_option("folder", folder, "where to; the current folder if left out");
  verb->callback([&] { common.chosen = [&] { return init(folder); }; });
}

}  // namespace overnight::cli
