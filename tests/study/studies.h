// Studies to begin with; tests change one thing of them.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/study/parse.h"

namespace overnight::study {

// The least that is a study, without a warning to give.
inline const std::string least = R"(study: small
objective: {metric: loss, direction: minimize}
task:
  train: {command: [python3, train.py, "{params}"], timeout: 60s}
  evaluate: {command: [python3, score.py, "{artifacts}"], timeout: 10s}
  seed: {env: SEED}
baseline: {x: 0.5}
space:
  x: {type: float, low: 0, high: 1}
proposers: [{kind: random}]
budgets: {run: {experiments: 10}}
)";

inline std::vector<StudyError> errors_of(const std::string& text, const std::vector<std::string>& overrides = {},
                                         const Surroundings& around = {}) {
  auto parsed = parse_study(text, "/tmp/study.yaml", overrides, around);
  return parsed ? std::vector<StudyError>{} : parsed.error();
}

// All errors, a line each.
inline std::string words_of(const std::vector<StudyError>& errors) {
  std::string words;
  for (const StudyError& error : errors) words += error.text() + "\n";
  return words;
}

}  // namespace overnight::study
