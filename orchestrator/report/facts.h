// Sentences and lists that html and md share: what a run was, and which of its notes matter. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "orchestrator/report/findings.h"

namespace overnight::report {

// "owner" -> "...": plain text, not escaped.
std::vector<std::pair<std::string, std::string>> facts_of(const ReportData& data, const Findings& found);

// Stages, breakers, holds, halts, budgets and the end; what is told of every experiment is left out.
std::vector<const core::Note*> notes_that_matter(const ReportData& data, std::size_t most);

// "lr=0.003 depth=4", plain text.
std::string params_words(const core::Params& params);

// The share of its proposer's LLM cost that an experiment carries: money and tokens, spread evenly over what was
// admitted. The ledger knows proposers, not experiments.
struct LlmShare {
  double microusd = 0, tokens = 0;
};
LlmShare llm_share(const core::Run& run, const std::string& proposer);

}  // namespace overnight::report
