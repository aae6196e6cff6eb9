#include "orchestrator/cli/proposer_factory.h"

#include <cstdlib>

#include "orchestrator/proposers/make_proposer.h"

namespace overnight::cli {

budgets::Result<std::unique_ptr<ports::Proposer>, std::string> make_study_proposer(const core::Study& study,
                                                                                   std::size_t index,
                                                                                   const std::filesystem::path&,
                                                                                   const std::filesystem::path&) {
  proposers::Surroundings around;
  around.environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  return proposers::make_proposer(study, index, around);
}

}  // namespace overnight::cli
