#include "orchestrator/cli/proposer_factory.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "orchestrator/proposers/make_proposer.h"
#include "orchestrator/study/prices.h"

namespace overnight::cli {
namespace {

// The price table beside the program. A file that cannot be used prices nothing; why is said where it matters.
std::optional<budgets::Prices> prices_in(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (file.empty() || !in) return std::nullopt;
  std::stringstream text;
  text << in.rdbuf();
  auto prices = study::parse_prices(text.str(), file);
  return prices ? std::optional(std::move(*prices)) : std::nullopt;
}

}  // namespace

budgets::Result<std::unique_ptr<ports::Proposer>, std::string> make_study_proposer(const core::Study& study,
                                                                                   std::size_t index,
                                                                                   const std::filesystem::path& prices,
                                                                                   const std::filesystem::path& home) {
  proposers::Surroundings around;
  const std::filesystem::path folder = std::filesystem::absolute(home) / "proposers";
  std::error_code failed;
  if (study.proposers[index].kind == "command") std::filesystem::create_directories(folder, failed);
  if (failed) return budgets::unexpected(folder.string() + ": " + failed.message());
  around.folder = folder.string();
  around.environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  around.price_of = [table = prices_in(prices)](const core::ProposerSpec& spec) {
    return study::price_of(spec, table ? &*table : nullptr);
  };
  return proposers::make_proposer(study, index, around);
}

}  // namespace overnight::cli
