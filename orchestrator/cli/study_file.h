// Reading a study for the verbs that take one: parse, overrides, site file, checks of this machine; errors printed, all
// at once.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/core/study.h"

namespace overnight::cli {

struct StudyOptions {
  std::string file;
  std::vector<std::string> overrides;  // --set key=value
  std::string site;                    // --site FILE
};

void add_study_options(CLI::App& verb, StudyOptions& options);

// None: it was refused, and why was printed. Warnings are printed too.
std::optional<core::Study> read_study(const StudyOptions& options, const std::filesystem::path& home,
                                      const std::filesystem::path& prices);

// configs/prices.yaml beside the program: in the source tree of a build, or in PREFIX/share/overnight.
std::filesystem::path prices_file(const std::filesystem::path& program);

}  // namespace overnight::cli
