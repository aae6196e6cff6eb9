#include "orchestrator/cli/study_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>

#include "orchestrator/study/prices.h"

namespace overnight::cli {
namespace {

namespace fs = std::filesystem;
using study::StudyError;

// The text of a file that a person named, bounded; what cannot be read is an error with the reason.
std::optional<std::string> read_text(const fs::path& file, std::vector<StudyError>& errors) {
  const auto fail = [&](const std::string& why) {
    errors.push_back({file.string(), 0, 0, "", "cannot be read: " + why});
    return std::nullopt;
  };
  std::error_code ignored;
  if (fs::is_directory(file, ignored)) return fail("it is a folder; name the study file in it");
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(std::string(std::strerror(errno == 0 ? EIO : errno)) + "; name a study file (YAML)");
  std::string text(study::study_bytes_max + 1, '\0');  // one more than allowed, so that too much is seen
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

void append(std::vector<StudyError>& to, std::vector<StudyError> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

void add_study_options(CLI::App& verb, StudyOptions& options) {
  verb.add_option("study", options.file, "the study (YAML)")->required();
  verb.add_option("--set", options.overrides, "override a key: --set budgets.run.wall=1h (may be given more than once)")
      ->allow_extra_args(false);
  verb.add_option(
      "--site", options.site,
      "what belongs to the machine: executor, notify, governor; else site.yaml in the home, if it is there");
}

study::Findings study_from(const StudyOptions& options, const fs::path& home, const fs::path& prices_at) {
  study::Findings read;
  const auto text = read_text(options.file, read.errors);
  study::Surroundings around;
  std::error_code ignored;
  around.site_file = options.site.empty() ? home / "site.yaml" : fs::path(options.site);
  if (!options.site.empty() || fs::exists(around.site_file, ignored))
    around.site = read_text(around.site_file, read.errors);
  budgets::Prices prices;
  if (!prices_at.empty()) {
    if (const auto table = read_text(prices_at, read.errors)) {
      auto parsed = study::parse_prices(*table, prices_at);
      if (parsed) {
        prices = std::move(*parsed);
        around.prices = &prices;
      } else {
        append(read.errors, std::move(parsed.error()));
      }
    }
  }
  if (!text) return read;
  study::Findings found = study::read_study_here(*text, options.file, options.overrides, around);
  append(read.errors, std::move(found.errors));
  append(read.warnings, std::move(found.warnings));
  if (read.errors.empty()) read.study = std::move(found.study);
  return read;
}

void print_findings(const StudyOptions& options, const study::Findings& read) {
  for (const StudyError& error : read.errors) std::cerr << error.text() << "\n";
  for (const StudyError& warning : read.warnings) std::cerr << "warning: " << warning.text() << "\n";
  if (!read.errors.empty())
    std::cerr << "overnight: " << read.errors.size() << (read.errors.size() == 1 ? " error" : " errors") << " in "
              << options.file << "; nothing was started\n";
}

std::optional<core::Study> read_study(const StudyOptions& options, const fs::path& home, const fs::path& prices) {
  study::Findings read = study_from(options, home, prices);
  print_findings(options, read);
  return std::move(read.study);
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
