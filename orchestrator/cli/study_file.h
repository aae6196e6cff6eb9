// Reading a study for the verbs that take one: parse, overrides, site file, prices, checks of this machine; all errors
// at once.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/core/study.h"
#include "orchestrator/study/parse.h"

namespace overnight::cli {

struct StudyOptions {
  std::string file;
  std::vector<std::string> overrides;  // --set key=value
  std::string site;                    // --site FILE; empty: site.yaml in the home, if there is one
};

void add_study_options(CLI::App& verb, StudyOptions& options);

study::Findings study_from(const StudyOptions& options, const std::filesystem::path& home,
                           const std::filesystem::path& prices);

// The same, with errors and warnings printed.
std::optional<core::Study> read_study(const StudyOptions& options, const std::filesystem::path& home,
                                      const std::filesystem::path& prices);

// Errors and warnings for people: "study.yaml:12:5: space.x.low: ...", one a line.
void print_findings(const StudyOptions& options, const study::Findings& read);

// configs/prices.yaml beside the program: in the source tree of a build, or in PREFIX/share/overnight.
std::filesystem::path prices_file(const std::filesystem::path& program);

}  // namespace overnight::cli
