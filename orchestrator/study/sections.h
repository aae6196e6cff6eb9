// One function per section of a study file. Private to orchestrator/study.
#pragma once

#include <filesystem>

#include "orchestrator/core/study.h"
#include "orchestrator/study/reader.h"

namespace overnight::study {

void read_objective(Section& study, core::Study& out);
void read_task(Section& study, const std::filesystem::path& folder, core::Study& out);  // task.cc
void read_space(Section& study, Errors& errors, core::Study& out);                      // space.cc
void read_baseline(Section& study, Errors& errors, core::Study& out);
void read_proposers(Section& study, Errors& errors, core::Study& out);  // proposers.cc
void read_budgets(Section& study, core::Study& out);                    // limits.cc
void read_evaluation(Section& study, core::Study& out);
void read_governor(Section& study, core::Study& out);
void read_executor(Section& study, core::Study& out);

bool good_name(const std::string& name);  // letters, digits, '_', '-', '.', at most 64, begins with a letter or '_'

}  // namespace overnight::study
