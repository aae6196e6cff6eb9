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

int validate(const Common& common, const StudyOptions& options, bool as_json) {
  const auto study = read_study(options, common.home(), prices_file(common.program));
  if (!study) return exit_bad_input;
  const auto gpus = study->task.gpus > 0 ? executors::find_gpus().found : std::vector<executors::GpuFound>{};
  const auto slots =
      executors::slots_of(executors::usable_cpus(), gpus, study->task.cpus, study->task.gpus, study->executor.slots);
  const study::Plan plan = study::plan_of(*study, slots.size());
  if (as_json) {
    std::cout << nlohmann::json{{"slots", plan.slots},
                                {"worst_case_ms", plan.worst_case.count()},
                                {"binds_first", plan.binds_first},
                                {"experiments_at_worst", plan.experiments_at_worst},
                                {"slots_idle", plan.slots_idle},
                                {"warnings", plan.warnings}}
                     .dump(2)
              << "\n";
  } else {
    std::cout << options.file << " is a good study.\n"
              << "  slots            " << plan.slots << "\n"
              << "  worst case       " << duration_words(plan.worst_case.count())
              << " per attempt, kill allowance included; "
              << duration_words(plan.worst_case.count() * static_cast<std::int64_t>(plan.slots))
              << " reserved when all slots are busy\n"
              << "  binds first      " << plan.binds_first
              << (plan.experiments_at_worst >= 0 ? ", after " + std::to_string(plan.experiments_at_worst) +
                                                       " experiments if every one takes its worst case"
                                                 : "")
              << "\n"
              << "  idle slots       " << plan.slots_idle
              << (plan.slots_idle > 0 ? " (the reservations of the others would take the whole budget)" : "") << "\n";
    for (const std::string& warning : plan.warnings) std::cout << "  warning          " << warning << "\n";
  }
  return plan.slots == 0 ? exit_bad_input : exit_done;
}

}  // namespace

void add_validate(CLI::App& app, Common& common) {
  static StudyOptions options;
  static bool as_json = false;
  CLI::App* verb = app.add_subcommand("validate", "check a study, and show what it could cost at its worst");
  add_study_options(*verb, options);
  verb->add_flag("--json", as_json, "print JSON");
  verb->callback([&] { common.chosen = [&] { return validate(common, options, as_json); }; });
}

}  // namespace overnight::cli
