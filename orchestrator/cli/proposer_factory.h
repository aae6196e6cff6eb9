// From what a study says to the proposer that is asked: hands over what only this process knows (environment, prices,
// folders).
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "budgets/result.h"
#include "orchestrator/core/study.h"
#include "orchestrator/ports/proposer.h"

namespace overnight::cli {

budgets::Result<std::unique_ptr<ports::Proposer>, std::string> make_study_proposer(const core::Study& study,
                                                                                   std::size_t index,
                                                                                   const std::filesystem::path& prices,
                                                                                   const std::filesystem::path& home);

}  // namespace overnight::cli
