// report: the ranked report of a run.
#include <iostream>

#include "orchestrator/cli/chosen_run.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/published_report.h"
#include "orchestrator/cli/verbs.h"

namespace overnight::cli {

void add_report(CLI::App& app, Common& common) {
  static std::string run;
  CLI::App* verb = app.add_subcommand("report", "the ranked report of a run");
  verb->add_option("run", run, "the run; the newest if left out");
  verb->callback([&] {
    common.chosen = [&] {
      auto reader = open_reader(common.home());
      if (!reader) return refuse(reader.error().code, reader.error().why);
      const auto facts = choose_run(**reader, common.home(), run);
      if (!facts) return refuse(facts.error().code, facts.error().why);
      std::cout << ranked_table(**reader, facts->run.id);
      return static_cast<int>(exit_done);
    };
  });
}

}  // namespace overnight::cli
