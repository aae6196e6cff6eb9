// experiments show: what was tried.
#include <iostream>
#include <nlohmann/json.hpp>

#include "orchestrator/cli/api_client.h"
#include "orchestrator/cli/chosen_run.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/published_report.h"
#include "orchestrator/cli/terminal.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/report/gpu_facts.h"

namespace overnight::cli {
namespace {

using nlohmann::json;

struct ExperimentsOptions {
  std::string run;
  std::string status;
  std::int64_t experiment = 0;
  bool as_json = false;
};

json json_of(const core::Params& params) {
  json out = json::object();
  for (const auto& [name, value] : params) std::visit([&, &key = name](const auto& v) { out[key] = v; }, value);
  return out;
}

// Of each trial of a study that asks for GPUs; one whose attempts cannot be read is unknown.
using GpusOfTrials = std::map<core::TrialId, report::GpuFacts>;

GpusOfTrials gpus_of(store::HomeReader& reader, const store::RunFacts& facts,
                     const std::vector<core::TrialRecord>& trials) {
  GpusOfTrials found;
  if (facts.run.study.task.gpus == 0) return found;
  for (const auto& trial : trials) {
    std::optional<report::GpuFacts> so_far;
    if (const auto attempts = reader.attempts_of(trial.trial)) {
      for (const auto& attempt : *attempts) so_far = report::gpu_facts_after(so_far, attempt);
    }
    found[trial.trial] = so_far.value_or(report::GpuFacts{});
  }
  return found;
}

json json_of(const report::GpuFacts& facts) {
  return {{"throttled", std::string(workers::name_of(facts.throttling))},
          {"slowed_percent", facts.slowed_percent < 0 ? json(nullptr) : json(facts.slowed_percent)},
          {"slowed_by", facts.slowed_by},
          {"energy_mj", facts.energy.mj < 0 ? json(nullptr) : json(facts.energy.mj)},
          {"energy_complete", facts.energy.complete}};
}

json json_of(const core::TrialRecord& trial, const GpusOfTrials& gpus) {
  json out{{"trial", core::number(trial.trial)},
           {"experiment", core::number(trial.experiment)},
           {"purpose", std::string(core::name_of(trial.purpose))},
           {"seed", trial.seed},
           {"cause", std::string(workers::name_of(trial.cause))},
           {"phase", std::string(workers::name_of(trial.phase))},
           {"detail", trial.detail},
           {"self_reported", trial.self_reported},
           {"metrics", trial.metrics},
           {"attempts", trial.attempts},
           {"last_attempt", core::number(trial.last_attempt)},
           {"slot_ms", trial.used.slot_time.count()},
           {"finished_unix_ms", trial.finished.ms()}};
  out["score"] = trial.score ? json(*trial.score) : json(nullptr);
  const auto at = gpus.find(trial.trial);
  out["gpus"] = at == gpus.end() ? json(nullptr) : json_of(at->second);
  return out;
}

json json_of(const core::ExperimentRecord& experiment, const std::vector<core::TrialRecord>& trials,
             const GpusOfTrials& gpus) {
  json out{{"experiment", core::number(experiment.experiment)},
           {"run", experiment.run.text},
           {"status", experiment.status},
           {"proposer", experiment.proposer},
           {"hypothesis", experiment.hypothesis},
           {"params", json_of(experiment.params)},
           {"hash", experiment.hash},
           {"admitted_unix_ms", experiment.admitted.ms()}};
  out["trials"] = json::array();
  for (const auto& trial : trials) out["trials"].push_back(json_of(trial, gpus));
  return out;
}

std::string params_words(const core::Params& params) {
  std::string text;
  for (const auto& [name, value] : params) {
    const auto* real = std::get_if<double>(&value);
    text += (text.empty() ? "" : " ") + name + "=" + (real ? number_words(*real) : core::text_of(value));
  }
  return text;
}

// "2 of 3 throttled, 1 unknown": of the trials with a score.
std::string throttled_words(const std::vector<core::TrialRecord>& trials, const GpusOfTrials& gpus) {
  std::int64_t scored = 0, throttled = 0, unknown = 0;
  for (const auto& trial : trials) {
    if (!trial.score) continue;
    const auto throttling = gpus.at(trial.trial).throttling;
    ++scored;
    throttled += throttling == workers::Throttling::yes;
    unknown += throttling == workers::Throttling::unknown;
  }
  if (throttled + unknown == 0) return scored > 0 ? "no" : "-";
  std::string words;
  if (throttled > 0) words = std::to_string(throttled) + " of " + std::to_string(scored);
  if (unknown > 0) words += (words.empty() ? "" : ", ") + std::to_string(unknown) + " unknown";
  return words;
}

// What an experiment is judged by, as in the report: its confirmation if there is one, else the search. A canary judges
// the machine.
struct Judged {
  double sum = 0;
  std::int64_t n = 0;
  bool confirmed = false;
};

Judged judged_by(const std::vector<core::TrialRecord>& trials) {
  Judged judged;
  for (const auto& trial : trials) {
    if (!trial.score || trial.purpose == core::Purpose::canary) continue;
    const bool confirms = trial.purpose == core::Purpose::confirm;
    if (judged.confirmed && !confirms) continue;
    if (confirms && !judged.confirmed) judged = {0, 0, true};
    judged.sum += *trial.score, ++judged.n;
  }
  return judged;
}

// The store's word for what an orchestrator that died left in the middle is still "running".
struct Statuses {
  bool cut_off = false;

  std::string of(const core::ExperimentRecord& experiment) const {
    return cut_off && experiment.status == "running" ? "interrupted" : experiment.status;
  }
};

Statuses statuses_in(const std::filesystem::path& home) {
  std::string view;
  return {orchestrator_of(home, view) == Orchestrator::none};
}

int list(const Common& common, store::HomeReader& reader, const store::RunFacts& facts,
         const ExperimentsOptions& options) {
  const bool on_gpus = facts.run.study.task.gpus > 0;
  const Statuses statuses = statuses_in(common.home());
  auto experiments = all_experiments(reader, facts.run.id);
  for (auto& experiment : experiments) experiment.status = statuses.of(experiment);
  const auto trials = all_trials(reader, facts.run.id);
  std::map<core::ExperimentId, std::vector<core::TrialRecord>> by_experiment;
  for (const auto& trial : trials) by_experiment[trial.experiment].push_back(trial);
  const GpusOfTrials gpus = gpus_of(reader, facts, trials);
  json out = json::array();
  std::vector<std::vector<std::string>> rows;
  for (const auto& experiment : experiments) {
    if (!options.status.empty() && experiment.status != options.status) continue;
    const auto& own = by_experiment[experiment.experiment];
    out.push_back(json_of(experiment, own, gpus));
    std::string score = "-", why;
    for (const auto& trial : own) {
      if (!trial.score)
        why = std::string(workers::name_of(trial.cause)) + " in " + std::string(workers::name_of(trial.phase));
    }
    const Judged judged = judged_by(own);
    if (judged.n > 0) score = number_words(judged.sum / static_cast<double>(judged.n));
    rows.push_back({std::to_string(core::number(experiment.experiment)), experiment.status, experiment.proposer, score,
                    std::to_string(judged.n) + (judged.confirmed ? " fresh" : ""), why,
                    params_words(experiment.params)});
    if (on_gpus) rows.back().insert(rows.back().end() - 2, throttled_words(own, gpus));
  }
  if (options.as_json) {
    std::cout << out.dump(2, ' ', false, json::error_handler_t::replace) << "\n";
  } else {
    std::vector<std::string> head{"#", "status",  "proposer",  facts.run.study.objective.metric,
                                  "n", "failure", "parameters"};
    if (on_gpus) head.insert(head.end() - 2, "throttled");
    std::cout << table(head, rows, 100);
  }
  return exit_done;
}

int show(const Common& common, store::HomeReader& reader, const store::RunFacts& facts,
         const ExperimentsOptions& options) {
  auto experiment = reader.experiment(core::ExperimentId{options.experiment});
  if (!experiment) return refuse(exit_failed, experiment.error().explain);
  if (!*experiment)
    return refuse(exit_not_found, "no experiment " + std::to_string(options.experiment) +
                                      " in this home; overnight experiments lists those of " + facts.run.id.text);
  (*experiment)->status = statuses_in(common.home()).of(**experiment);
  const auto trials = reader.trials_of(core::ExperimentId{options.experiment});
  if (!trials) return refuse(exit_failed, trials.error().explain);
  const GpusOfTrials gpus = gpus_of(reader, facts, *trials);
  if (options.as_json) {
    std::cout << json_of(**experiment, *trials, gpus).dump(2, ' ', false, json::error_handler_t::replace) << "\n";
    return exit_done;
  }
  const core::ExperimentRecord& one = **experiment;
  std::cout << "experiment " << options.experiment << " of " << one.run.text << ": " << one.status << ", proposed by "
            << clean(one.proposer, 40) << " at " << date_words(one.admitted.ms()) << "\n";
  if (!one.hypothesis.empty())
    std::cout << "  hypothesis (the proposer's words): " << clean(one.hypothesis, 400) << "\n";
  for (const auto& [name, value] : one.params) std::cout << "  " << name << " = " << core::text_of(value) << "\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& trial : *trials) {
    rows.push_back({std::to_string(core::number(trial.trial)), std::string(core::name_of(trial.purpose)),
                    std::to_string(trial.seed), trial.score ? number_words(*trial.score) : "-",
                    std::string(workers::name_of(trial.cause)), std::to_string(trial.attempts),
                    duration_words(trial.used.slot_time.count()), trial.detail});
    if (gpus.empty()) continue;
    const report::GpuFacts& gpu = gpus.at(trial.trial);
    rows.back().insert(rows.back().end() - 1, {report::energy_words(gpu.energy), report::throttling_words(gpu)});
  }
  std::vector<std::string> head{"trial", "purpose", "seed", "score", "cause", "attempts", "slot time", "detail"};
  if (!gpus.empty()) head.insert(head.end() - 1, {"energy", "throttled"});
  std::cout << table(head, rows, 60);
  for (const auto& trial : *trials) {
    if (trial.score) continue;
    const auto attempt = reader.attempt(trial.last_attempt);
    if (attempt && *attempt && !(*attempt)->log_tail.empty())
      std::cout << "\nlast lines of attempt " << core::number(trial.last_attempt) << ":\n"
                << clean_lines((*attempt)->log_tail);
  }
  return exit_done;
}

template <typename Show>
int with_run(const Common& common, const std::string& text, Show shown) {
  auto reader = open_reader(common.home());
  if (!reader) return refuse(reader.error().code, reader.error().why);
  const auto facts = choose_run(**reader, common.home(), text);
  if (!facts) return refuse(facts.error().code, facts.error().why);
  return shown(**reader, *facts);
}

}  // namespace

void add_experiments(CLI::App& app, Common& common) {
  static ExperimentsOptions options;
  CLI::App* experiments = app.add_subcommand("experiments", "list the experiments of a run");
  experiments->add_option("run", options.run, "the run; the newest if left out");
  experiments
      ->add_option("--status", options.status, "only queued, running, interrupted, scored, failed or dropped ones")
      ->check(CLI::IsMember({"queued", "running", "interrupted", "scored", "failed", "dropped"}));
  experiments->add_flag("--json", options.as_json, "print JSON");
  experiments->callback([&] {
    common.chosen = [&] {
      return with_run(common, options.run, [&](auto& r, const auto& f) { return list(common, r, f, options); });
    };
  });

  CLI::App* one = app.add_subcommand("show", "one experiment: parameters, trials, failures");
  one->add_option("experiment", options.experiment, "its number")->required();
  one->add_option("--run", options.run, "the run; the newest if left out");
  one->add_flag("--json", options.as_json, "print JSON");
  one->callback([&] {
    common.chosen = [&] {
      return with_run(common, options.run, [&](auto& r, const auto& f) { return show(common, r, f, options); });
    };
  });
}

}  // namespace overnight::cli
