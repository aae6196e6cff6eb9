// The price table (configs/prices.yaml) and what a proposer's tokens cost by it.
#pragma once

#include "budgets/prices.h"
#include "orchestrator/study/parse.h"

namespace overnight::study {

budgets::Result<budgets::Prices, std::vector<StudyError>> parse_prices(const std::string& text,
                                                                       const std::filesystem::path& file);

// `price` of the proposer's own settings (free, or its two prices), else the table's; none if nobody knows.
std::optional<budgets::Price> price_of(const core::ProposerSpec& proposer, const budgets::Prices* prices);

}  // namespace overnight::study
