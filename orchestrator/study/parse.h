// From the text of a study file to a Study, or to all that is wrong with it at once, each with its place, its value and
// the fix.
//
// Strict: unknown and duplicate keys, anchors and aliases, several documents are refused. What DESIGN names and this
// version does not do yet is refused as "not available yet", never ignored.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "budgets/result.h"
#include "orchestrator/core/study.h"

namespace overnight::study {

struct StudyError {
  std::string file;
  int line = 0, column = 0;  // from 1; 0: the file as a whole
  std::string path;          // "space.learning_rate.low"
  std::string explain;       // what is wrong, with the value, and the fix

  std::string text() const;  // "study.yaml:12:5: space.learning_rate.low: ..."
};

struct Parsed {
  core::Study study;
  std::vector<StudyError> warnings;
};

inline constexpr std::size_t study_bytes_max = 1 << 20;  // a study is written by hand
inline constexpr int study_depth_max = 32;

// `file` is shown in errors and is where relative paths begin; `overrides` are "path.to.key=YAML".
budgets::Result<Parsed, std::vector<StudyError>> parse_study(const std::string& text, const std::filesystem::path& file,
                                                             const std::vector<std::string>& overrides = {});

// What only this machine can tell: programs, folders and data that are missing.
std::vector<StudyError> check_machine(const core::Study& study);

}  // namespace overnight::study
