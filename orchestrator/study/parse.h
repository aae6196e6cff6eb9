// From the text of a study file to a Study, or to all that is wrong with it at once, each with its place, its value and
// the fix.
//
// Strict: unknown and duplicate keys, anchors, aliases, tags and several documents are refused. What DESIGN names and
// this version does not do yet is refused as "not available yet", never ignored. Pure, but for relative paths, which
// are resolved against the file system.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "budgets/prices.h"
#include "budgets/result.h"
#include "orchestrator/core/study.h"

namespace overnight::study {

struct StudyError {
  std::string file;          // of the study or the site file, or "--set key=value"
  int line = 0, column = 0;  // from 1; 0: the file as a whole
  std::string path;          // "space.learning_rate.low"
  std::string explain;       // what is wrong, with the value, and the fix

  std::string text() const;  // "study.yaml:12:5: space.learning_rate.low: ..."
  bool operator==(const StudyError&) const = default;
};

// Where each value of a study stands, by its path ("task.train.command", "proposers[0].command").
class Places {
 public:
  void put(const std::string& path, const std::string& file, int line, int column);
  // Gives the finding the place of its path, or of the nearest one that is written down.
  void locate(StudyError& finding) const;

 private:
  struct Spot {
    std::string file;
    int line = 0, column = 0;
  };
  std::map<std::string, Spot> spots_;
};

struct Parsed {
  core::Study study;
  std::vector<StudyError> warnings;
  Places places;
};

// What stands around a study: the site's own settings, and what models cost.
struct Surroundings {
  std::optional<std::string> site;          // text of the site file: executor, notify, governor
  std::filesystem::path site_file;          // its name, for errors
  const budgets::Prices* prices = nullptr;  // none: only what a study prices itself has a price
};

inline constexpr std::size_t study_bytes_max = 1 << 20;  // a study is written by hand
inline constexpr int study_depth_max = 32;

// `file` is shown in errors and is where relative paths begin; `overrides` are "path.to.key=YAML".
budgets::Result<Parsed, std::vector<StudyError>> parse_study(const std::string& text, const std::filesystem::path& file,
                                                             const std::vector<std::string>& overrides = {},
                                                             const Surroundings& around = {});

// What only this machine can tell: programs, folders, data and secrets that are missing (errors), limits that it is too
// small for (warnings).
struct MachineFindings {
  std::vector<StudyError> errors, warnings;
};
MachineFindings check_machine(const Parsed& parsed);

// Both at once, so that one reading tells all: what the text says, and what this machine says of it.
struct Findings {
  std::optional<core::Study> study;  // if there are no errors
  std::vector<StudyError> errors, warnings;
};
Findings read_study_here(const std::string& text, const std::filesystem::path& file,
                         const std::vector<std::string>& overrides = {}, const Surroundings& around = {});

}  // namespace overnight::study
