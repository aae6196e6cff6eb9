// validate: what a study would do here, before a night is spent on it.
#include <iostream>
#include <nlohmann/json.hpp>

#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/study_file.h"
#include "orchestrator/cli/terminal.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/executors/gpus.h"
#include "orchestrator/executors/slots.h"
#include "orchestrator/study/plan.h"

namespace overnight::cli {
namespace {

using nlohmann::json;

json json_of(const std::vector<study::StudyError>& findings) {
  json out = json::array();
  for (const study::StudyError& one : findings)
    out.push_back(
        {{"file", one.file}, {"line", one.line}, {"column", one.column}, {"path", one.path}, {"explain", one.explain}});
  return out;
}

std::size_t slots_here(const core::Study& study) {
  const auto gpus = study.task.gpus > 0 ? executors::find_gpus().found : std::vector<executors::GpuFound>{};
  return executors::slots_of(executors::usable_cpus(), gpus, study.task.cpus, study.task.gpus, study.executor.slots)
      .size();
}

int validate(const Common& common, const StudyOptions& options, bool as_json) {
  study::Findings read = study_from(options, common.home(), prices_file(common.program));
  const std::size_t slots = read.study ? slots_here(*read.study) : 0;
  if (read.study && slots == 0) {
    read.errors.push_back({options.file, 0, 0, "task.resources", "no slot of this machine has what it asks for"});
    read.study.reset();
  }
  json out{{"good", read.study.has_value()}, {"errors", json_of(read.errors)}, {"warnings", json_of(read.warnings)}};
  if (!as_json) print_findings(options, read);
  if (read.study && as_json) {
    const study::Plan plan = study::plan_of(*read.study, slots);
    out["plan"] = {
        {"slots", plan.slots},
        {"worst_case_ms", plan.worst_case.count()},
        {"reserved_when_busy_ms", plan.worst_case.count() * static_cast<std::int64_t>(plan.slots)},
        {"binds_first", plan.binds_first},
        {"experiments_at_worst", plan.experiments_at_worst < 0 ? json(nullptr) : json(plan.experiments_at_worst)},
        {"slots_idle", plan.slots_idle},
        {"baseline_trials", plan.baseline_trials},
        {"confirm_trials", plan.confirm_trials},
        {"confirm_trials_late", plan.confirm_late},
        {"warnings", plan.warnings}};
  } else if (read.study) {
    std::cout << options.file << " is a good study. Here it would have:\n" << study::plan_text(*read.study, slots);
  }
  if (as_json) std::cout << out.dump(2, ' ', false, json::error_handler_t::replace) << "\n";
  return read.study ? exit_done : exit_bad_input;
}

}  // namespace

void add_validate(CLI::App& app, Common& common) {
  static StudyOptions options;
  static bool as_json = false;
  CLI::App* verb = app.add_subcommand("validate", "check a study, and show what it could cost at its worst");
  add_study_options(*verb, options);
  verb->add_flag("--json", as_json, "print JSON: errors and warnings with their places, and the plan");
  verb->callback([&] { common.chosen = [&] { return validate(common, options, as_json); }; });
}

}  // namespace overnight::cli
