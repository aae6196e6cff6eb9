// What only shows when all sections are read: limits that do not fit each other (errors), and what is allowed but
// probably not meant (warnings).
#include <algorithm>

#include "orchestrator/core/limits.h"
#include "orchestrator/study/prices.h"
#include "orchestrator/study/sections.h"

namespace overnight::study {
namespace {

// The node at a path of keys, or the nearest one above it.
const Node& nearest_node(const Node& root, const std::vector<std::string>& keys) {
  const Node* at = &root;
  for (const std::string& key : keys) {
    const Node* next = at->find(key);
    if (next == nullptr) break;
    at = next;
  }
  return *at;
}

bool stands(const Node& root, const std::vector<std::string>& keys) {
  const Node* at = &root;
  for (const std::string& key : keys) {
    at = at->find(key);
    if (at == nullptr) return false;
  }
  return true;
}

// The time that the phases themselves ask for; none if one of them has no end of its own.
std::optional<core::Millis> asked_by_phases(core::Study study) {
  study.attempt.wall = core::Millis::unlimited();
  const core::Millis sum = core::worst_case_wall(study);
  return sum.is_unlimited() ? std::nullopt : std::optional(sum);
}

// attempt.wall left open follows the phases; written down, it must let a planned end happen.
void fit_wall(const Node& root, Errors& errors, core::Study& out) {
  if (!stands(root, {"budgets", "attempt", "wall"})) {
    if (const auto asked = asked_by_phases(out)) {
      out.attempt.wall = std::max(out.attempt.wall, *asked);
    } else if (out.task.train.budget > core::Millis{}) {
      out.attempt.wall = std::max(out.attempt.wall, (out.task.train.budget + out.task.train.grace) * 2);
    }
    return;
  }
  const core::PhaseSpec& train = out.task.train;
  const core::Millis planned = train.budget + train.grace;
  if (train.budget > core::Millis{} && planned >= out.attempt.wall)
    errors.add(nearest_node(root, {"budgets", "attempt", "wall"}).at, "budgets.attempt.wall",
               "is over before task.train's budget and grace (" + duration_text(planned.count()) +
                   "): every attempt would fail; raise it or leave it out");
}

// A grant below one worst case starts nothing at all.
void check_grants(const Node& root, Errors& errors, const core::Study& study) {
  const std::int64_t worst = (core::worst_case_wall(study) + core::kill_allowance).count();
  const auto check = [&](const std::vector<std::string>& keys, std::int64_t grant, std::int64_t wanted,
                         std::string (*words)(std::int64_t)) {
    std::string path;
    for (const std::string& key : keys) path += (path.empty() ? "" : ".") + key;
    if (grant < wanted)
      errors.add(nearest_node(root, keys).at, path,
                 words(grant) + " does not pay for one attempt, which reserves " + words(wanted) +
                     " at its worst; raise it, or lower the limits of the phases and of budgets.attempt");
  };
  const core::RunBudget& run = study.run_budget;
  check({"budgets", "run", "wall"}, run.wall.count(), worst, duration_text);
  check({"budgets", "run", "slot_time"}, run.slot_time.count(), worst, duration_text);
  check({"budgets", "run", "gpu_time"}, run.gpu_time.count(), worst * study.task.gpus, duration_text);
  check({"budgets", "run", "disk"}, run.disk.count(), study.attempt.disk.count(), bytes_text);
  check({"budgets", "experiment", "slot_time"}, study.experiment_budget.slot_time.count(), worst, duration_text);
}

// A money cap holds only over calls whose price is known.
void check_llm_prices(const Node& root, Errors& errors, const budgets::Prices* prices, const core::Study& study) {
  if (study.run_budget.llm_cost.is_unlimited()) return;
  const Node* list = root.find("proposers");
  for (std::size_t i = 0; i < study.proposers.size() && list != nullptr && i < list->items.size(); ++i) {
    const core::ProposerSpec& spec = study.proposers[i];
    if (spec.kind != "llm" || !spec.settings.contains("model") || price_of(spec, prices)) continue;
    errors.add(
        nearest_node(list->items[i], {"model"}).at, "proposers[" + std::to_string(i) + "].model",
        shown(spec.settings.at("model")) +
            " has no known price, so budgets.run.llm_cost could not hold; give the proposer price: {input: $0.50, "
            "output: $2.00} (a million tokens), price: free for a server of your own, or add the model to "
            "prices.yaml");
  }
}

// The key of a proposer is not for the tasks that it proposes.
void check_keys(const Node& root, Errors& errors, const core::Study& study) {
  for (const core::ProposerSpec& spec : study.proposers) {
    const auto key = spec.settings.find("api_key_env");
    if (key == spec.settings.end()) continue;
    const std::vector<std::string>& passed = study.task.env_pass;
    if (std::find(passed.begin(), passed.end(), key->second) != passed.end())
      errors.add(nearest_node(root, {"task", "env_pass"}).at, "task.env_pass",
                 "would hand " + key->second + ", the key of proposer " + spec.name +
                     ", to every task; take it out, or name it under task.secrets for the one phase that needs it");
  }
}

using Warn = std::function<void(const std::vector<std::string>& keys, const std::string& why)>;

bool holds_any(const std::vector<std::string>& words, std::initializer_list<const char*> marks) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return std::any_of(marks.begin(), marks.end(),
                       [&](const char* mark) { return word.find(mark) != std::string::npos; });
  });
}

bool shows_params(const core::Task& task) {
  std::vector<std::string> words = task.train.command;
  if (task.build) words.insert(words.end(), task.build->command.begin(), task.build->command.end());
  for (const auto& [_, value] : task.env) words.push_back(value);
  return holds_any(words, {"{params}", "{p.", "{experiment}", "OVERNIGHT_EXPERIMENT"});
}

void warn_of_task(const core::Study& study, const Warn& warn) {
  const core::Task& task = study.task;
  if (!study.space.dimensions.empty() && !shows_params(task))
    warn({"task", "train", "command"},
         "holds neither {params}, {p.NAME} nor {experiment}: unless the program reads the file that "
         "OVERNIGHT_EXPERIMENT names, every experiment runs the same thing");
  if (!core::can_see_seed(study.task))
    warn({"task", "seed"},
         "is missing and no argument of train holds {seed} or {experiment}: repeats show rerun noise only, not the "
         "spread over seeds");
  if (!task.evaluate)
    warn({"task", "evaluate"},
         "is missing: scores are self-reported by the training process, and marked so everywhere");
  if (task.train.budget.count() == 0 && task.train.timeout.count() == 0)
    warn({"task", "train"},
         "has neither budget nor timeout: an attempt that does not end by itself fails after "
         "budgets.attempt.wall (" +
             duration_text(study.attempt.wall.count()) + ")");
  std::map<std::string, std::string> patterns = task.train.metrics;
  if (task.evaluate) patterns.insert(task.evaluate->metrics.begin(), task.evaluate->metrics.end());
  if (!patterns.empty() && !patterns.contains(study.objective.metric))
    warn({"objective", "metric"}, shown(study.objective.metric) +
                                      " is named by no pattern under metrics: the program must report it itself "
                                      "through OVERNIGHT_METRICS");
  if (!task.holdout_data.empty())
    warn({"task", "evaluate", "private", "holdout"}, "is not scored by this version; it is kept from the tasks");
}

void warn_of_limits(const core::Study& study, const Warn& warn) {
  const core::RunBudget& run = study.run_budget;
  if (run.wall.is_unlimited() && run.until.empty() && run.experiments.is_unlimited() && run.slot_time.is_unlimited())
    warn({"budgets", "run"},
         "has neither wall, until, experiments nor slot_time: this run ends only when the proposers have nothing more "
         "or somebody stops it");
  if (!run.gpu_time.is_unlimited() && study.task.gpus == 0)
    warn({"budgets", "run", "gpu_time"}, "never binds: task.resources.gpus is 0");
  const bool asks_models = std::any_of(study.proposers.begin(), study.proposers.end(), [](const auto& proposer) {
    return proposer.kind == "llm" && !(proposer.settings.contains("price") && proposer.settings.at("price") == "free");
  });
  if (asks_models && run.llm_cost.is_unlimited() && run.llm_tokens.is_unlimited())
    warn({"budgets", "run"}, "has neither llm_cost nor llm_tokens, but a proposer asks a model that may cost money");
}

}  // namespace

void check_across(Section& study, const budgets::Prices* prices, core::Study& out) {
  Errors& errors = study.errors();
  check_llm_prices(study.node(), errors, prices, out);
  check_keys(study.node(), errors, out);
  if (!errors.empty()) return;  // the sums below mean something only over a study that was read
  fit_wall(study.node(), errors, out);
  check_grants(study.node(), errors, out);
}

std::vector<StudyError> warnings_of(const core::Study& study, const Node& root) {
  Errors warnings;
  const Warn warn = [&](const std::vector<std::string>& keys, const std::string& why) {
    std::string path;
    for (const std::string& key : keys) path += (path.empty() ? "" : ".") + key;
    warnings.add(nearest_node(root, keys).at, path, why);
  };
  if (study.baseline.empty())
    warn({"baseline"},
         "is missing: nothing can be called a gain, and no canary can tell a bad machine from bad proposals");
  if (const Node* baseline = root.find("baseline")) {
    for (const Node::Entry& entry : baseline->entries) {
      if (!study.baseline.contains(entry.key))
        warn({"baseline", entry.key}, "is left out: the parameter is not active at the other values");
    }
  }
  warn_of_task(study, warn);
  warn_of_limits(study, warn);
  return warnings.take();
}

}  // namespace overnight::study
