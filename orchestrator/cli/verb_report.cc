// report: the ranked report of a run, on the terminal or as html, md, csv or json.
#include <fstream>
#include <iostream>

#include "orchestrator/cli/chosen_run.h"
#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/published_report.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/store/durable_file.h"

namespace overnight::cli {
namespace {

struct ReportOptions {
  std::string run, format, output;
  bool as_json = false;
};

// A file is written whole or not at all; a pipe or a device as it comes.
int deliver(const std::string& text, const std::string& output) {
  std::error_code ignored;
  const bool other = std::filesystem::exists(output, ignored) && !std::filesystem::is_regular_file(output, ignored);
  if (output.empty() || output == "-" || other) {
    std::ofstream file;
    if (other) file.open(output, std::ios::binary);
    std::ostream& out = other ? static_cast<std::ostream&>(file) : std::cout;
    out << text << std::flush;
    return out ? static_cast<int>(exit_done) : refuse(exit_failed, "the report cannot be written to " + output);
  }
  if (const auto written = store::write_whole(output, text); !written)
    return refuse(exit_failed, written.error().explain);
  return exit_done;
}

int report_run(const Common& common, const ReportOptions& options) {
  auto reader = open_reader(common.home());
  if (!reader) return refuse(reader.error().code, reader.error().why);
  const auto facts = choose_run(**reader, common.home(), options.run);
  if (!facts) return refuse(facts.error().code, facts.error().why);
  const auto data = report_data_of(**reader, facts->run.id);
  if (!data) return refuse(exit_failed, "run " + facts->run.id.text + " cannot be read");
  const std::string named = options.as_json ? "json" : options.format;
  if (named.empty()) return deliver(ranked_table(*data), options.output);
  const auto format = report::format_named(named);
  if (!format) return refuse(exit_bad_input, "--format: there is html, md, csv and json, not \"" + named + "\"");
  return deliver(report::write_report(*data, report::findings_of(*data), *format), options.output);
}

}  // namespace

void add_report(CLI::App& app, Common& common) {
  static ReportOptions options;
  CLI::App* verb = app.add_subcommand("report", "the ranked report of a run");
  verb->add_option("run", options.run, "the run; the newest if left out");
  verb->add_option("--format", options.format, "html, md, csv (all trials) or json (everything); a table if left out");
  verb->add_option("--output,-o", options.output, "the file to write; the terminal if left out");
  verb->add_flag("--json", options.as_json, "the same as --format json");
  verb->callback([&] { common.chosen = [&] { return report_run(common, options); }; });
}

}  // namespace overnight::cli
