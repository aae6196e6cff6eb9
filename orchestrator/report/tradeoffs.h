// What a better score costs: the results set against the study's trade-offs (objective.tradeoffs), and those among them
// that no other beats in everything. Pure.
//
// Each number is a mean over the trials by which a result is judged. Costs are compared as far as two significant
// digits, and scores in steps of the minimum effect: a clock's last digit is no reason to choose. Noise plays no other
// part, so results that are nearly equal may change places in a repetition.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "orchestrator/report/findings.h"

namespace overnight::report {

struct Weighed {
  const Result* result = nullptr;
  std::vector<double> costs;   // one per trade-off, in their order; NaN: no trial told it
  std::vector<double> losses;  // the score, then the costs, as they are compared; less is better
  bool best = false;           // no other result is nowhere worse and somewhere better

  bool complete() const;
};

struct Tradeoffs {
  std::vector<std::string> metrics;
  std::vector<core::Direction> directions;
  std::vector<Weighed> points;  // the baseline, then all ranked results
  std::size_t incomplete = 0;   // so many of them lack a number
};

// Nothing in it if the study names none. `data` and `found` must outlive what is returned.
Tradeoffs tradeoffs_of(const ReportData& data, const Findings& found);

// A number of this metric with the unit that its name tells: "..._seconds", "bytes" anywhere in it.
std::string cost_words(const std::string& metric, double value);

}  // namespace overnight::report
