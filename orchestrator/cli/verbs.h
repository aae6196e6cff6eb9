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
void add_status(CLI::App& app, Common& common);       // verb_status.cc: status runs watch budget breakers
void add_experiments(CLI::App& app, Common& common);  // verb_experiments.cc: experiments show logs
void add_stops(CLI::App& app, Common& common);        // verb_stops.cc: halt hold release enqueue
void add_report(CLI::App& app, Common& common);       // verb_report.cc: report
void add_audit(CLI::App& app, Common& common);        // verb_audit.cc: audit verify
void add_doctor(CLI::App& app, Common& common);       // verb_doctor.cc

// Prints "overnight: WHY" and returns `code`.
int refuse(int code, const std::string& why);

}  // namespace overnight::cli
