// Runs that never were, for tests of reports: what the store would tell of them.
#pragma once

#include <cstdint>
#include <string>

#include "orchestrator/report/report_data.h"

namespace overnight::report {

class Made {
 public:
  // A study that minimizes "loss" over lr (float, log), depth (int) and kind (choice), with proposers "tpe" and "llm".
  Made();

  ReportData data;

  // Admits an experiment with these parameters and returns it.
  core::ExperimentId admit(core::Purpose purpose, const std::string& proposer, double lr,
                           const std::string& kind = "a");
  // One trial of it that took a second on a slot, with a score or a failure.
  void score(core::ExperimentId experiment, core::Purpose purpose, double score);
  void fail(core::ExperimentId experiment, core::Purpose purpose, core::Cause cause,
            const std::string& detail = "exit status 1", const std::string& log_tail = "");
  void end(core::EndKind kind, const std::string& reason);

  // A baseline with these scores; returns it.
  core::ExperimentId baseline(std::initializer_list<double> scores);
  // A search experiment with one score, and its confirmation.
  core::ExperimentId found(double score, std::initializer_list<double> confirmed = {});

 private:
  core::TrialRecord& trial(core::ExperimentId experiment, core::Purpose purpose, core::Cause cause);

  std::int64_t next_trial_ = 1, next_seed_ = 1;
  std::int64_t slots_ = 2;
  std::map<core::SlotId, std::int64_t> free_at_;
};

// A night with `trials` trials: two proposers, failures of several causes, three confirmed at the end.
ReportData night(std::int64_t trials, std::int64_t slots);

// Its proposals, details and logs try to break out of every form.
ReportData hostile();

}  // namespace overnight::report
