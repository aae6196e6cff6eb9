#include "orchestrator/cli/study_file.h"

#include <fstream>
#include <iostream>
#include <sstream>

#include "orchestrator/study/parse.h"

namespace overnight::cli {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> read_text(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return std::nullopt;
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

void add_study_options(CLI::App& verb, StudyOptions& options) {
  verb.add_option("study", options.file, "the study (YAML)")->required();
  verb.add_option("--set", options.overrides, "override a key: --set budgets.run.wall=1h (may be given more than once)")
      ->allow_extra_args(false);
}

std::optional<core::Study> read_study(const StudyOptions& options, const fs::path&, const fs::path&) {
  const auto text = read_text(options.file);
  if (!text) {
    std::cerr << "overnight: " << options.file << ": cannot be read; name a study file\n";
    return std::nullopt;
  }
  auto parsed = study::parse_study(*text, options.file, options.overrides);
  if (!parsed) {
    for (const study::StudyError& error : parsed.error()) std::cerr << error.text() << "\n";
    std::cerr << "overnight: " << parsed.error().size() << (parsed.error().size() == 1 ? " error" : " errors") << " in "
              << options.file << "; nothing was started\n";
    return std::nullopt;
  }
  for (const study::StudyError& warning : parsed->warnings) std::cerr << "warning: " << warning.text() << "\n";
  const auto missing = study::check_machine(parsed->study);
  for (const study::StudyError& error : missing) std::cerr << options.file << error.text() << "\n";
  if (!missing.empty()) return std::nullopt;
  return std::move(parsed->study);
}

fs::path prices_file(const fs::path& program) {
  std::error_code ignored;
  for (const fs::path& place : {program.parent_path() / "../../../configs/prices.yaml",
                                program.parent_path() / "../share/overnight/prices.yaml"}) {
    if (fs::exists(place, ignored)) return fs::weakly_canonical(place, ignored);
  }
  return {};
}

}  // namespace overnight::cli
