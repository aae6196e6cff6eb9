// One function per section of a study file. Private to orchestrator/study. Each reads what is there into `out`, leaves
// the defaults where nothing is, and reports what is wrong.
#pragma once

#include <filesystem>

#include "orchestrator/core/study.h"
#include "orchestrator/study/reader.h"

namespace overnight::study {

void read_objective(Section& study, core::Study& out);
// space.cc; before the sections that name parameters. False if the space is broken: it would refuse every point.
bool read_space(Section& study, core::Study& out);
void read_baseline(Section& study, bool space_is_good, core::Study& out);
void read_task(Section& study, const std::filesystem::path& folder, core::Study& out);   // task.cc
void read_phases(Section& task, const std::filesystem::path& folder, core::Study& out);  // phases.cc
void read_proposers(Section& study, const std::filesystem::path& folder, bool space_is_good,
                    core::Study& out);                // proposers.cc
void read_budgets(Section& study, core::Study& out);  // limits.cc
void read_evaluation(Section& study, core::Study& out);
void read_governor(Section& study, core::Study& out);
void read_executor(Section& study, core::Study& out);
void read_notify(Section& study, core::Study& out);

// checks.cc: what only shows when all sections are read. May raise attempt.wall where the study leaves it open.
void check_across(Section& study, const budgets::Prices* prices, core::Study& out);
std::vector<StudyError> warnings_of(const core::Study& study, const Node& root);

// An absolute path; relative ones begin at `folder`, the study file's.
std::string absolute_path(const std::filesystem::path& folder, const std::string& path);

}  // namespace overnight::study
