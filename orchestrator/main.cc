// The program `overnight`: reads the command line, lets the chosen verb run. Wiring only; each verb has its file in
// cli/.
#include <filesystem>
#include <iostream>

#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/verbs.h"

int main(int argc, char** argv) {
  namespace cli = overnight::cli;
  CLI::App app{
      "overnight runs machine-learning experiments while people sleep, within hard budgets, and can be stopped at any "
      "second.\n"
      "Exit codes: 0 done, 1 failed, 2 bad input, 3 halted, tripped or stopped, 4 halt not confirmed, 5 no such "
      "home, run or experiment;\n"
      "audit verify: 0 intact, 10 tampered, 11 truncated, 12 unreadable."};
  app.name("overnight");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("overnight " OVERNIGHT_VERSION));
  cli::Common common;
  std::error_code ignored;
  common.program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  app.add_option("--home", common.home_option, "the orchestrator's state; else $OVERNIGHT_HOME, else .overnight here");
  app.fallthrough();

  cli::add_init(app, common);
  cli::add_validate(app, common);
  cli::add_run(app, common);
  cli::add_status(app, common);
  cli::add_budget(app, common);
  cli::add_experiments(app, common);
  cli::add_logs(app, common);
  cli::add_stops(app, common);
  cli::add_report(app, common);
  cli::add_audit(app, common);
  cli::add_doctor(app, common);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    if (code != 0) cli::suggest_verb(app, argc, argv);
    return code == 0 ? cli::exit_done : cli::exit_bad_input;
  }
  return common.chosen ? common.chosen() : static_cast<int>(cli::exit_bad_input);
}
