#include "orchestrator/cli/proposer_factory.h"

#include "orchestrator/proposers/random_proposer.h"

namespace overnight::cli {

budgets::Result<std::unique_ptr<ports::Proposer>, std::string> make_study_proposer(const core::Study& study,
                                                                                   std::size_t index,
                                                                                   const std::filesystem::path&,
                                                                                   const std::filesystem::path&) {
  const std::string& kind = study.proposers[index].kind;
  if (kind == "random") return std::make_unique<proposers::RandomProposer>(study.space);
  return budgets::unexpected("kind " + kind + " is not available yet in this version; random is");
}

}  // namespace overnight::cli
