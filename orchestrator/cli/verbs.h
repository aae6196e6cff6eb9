// The verbs of the command line, one file each. A verb adds itself to the parser and, when it was chosen, runs and
// leaves the exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <string>

namespace overnight::cli {

// What all verbs share.
struct Common {
  std::string home_option;        // --home
  std::filesystem::path program;  // this executable; its keeper and configs lie beside it
  std::function<int()> chosen;    // set by the verb that was chosen

  // --home, else $OVERNIGHT_HOME, else .overnight in the current folder.
  std::filesystem::path home() const;
};

void add_run(CLI::App& app, Common& common);          // verb_run.cc: run resume try
void add_validate(CLI::App& app, Common& common);     // verb_validate.cc
void add_status(CLI::App& app, Common& common);       // verb_status.cc: status runs watch breakers
void add_budget(CLI::App& app, Common& common);       // verb_budget.cc
void add_init(CLI::App& app, Common& common);         // verb_init.cc
void add_experiments(CLI::App& app, Common& common);  // verb_experiments.cc: experiments show
void add_logs(CLI::App& app, Common& common);         // verb_logs.cc
void add_stops(CLI::App& app, Common& common);        // verb_stops.cc: halt hold release enqueue
void add_report(CLI::App& app, Common& common);       // verb_report.cc: report
void add_audit(CLI::App& app, Common& common);        // verb_audit.cc: audit verify
void add_doctor(CLI::App& app, Common& common);       // verb_doctor.cc

// After a command line that could not be understood: the verb that the first word may have meant.
void suggest_verb(const CLI::App& app, int argc, const char* const* argv);

// Prints "overnight: WHY" and returns `code`.
int refuse(int code, const std::string& why);

}  // namespace overnight::cli
