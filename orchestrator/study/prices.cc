#include "orchestrator/study/prices.h"

#include "orchestrator/study/reader.h"

namespace overnight::study {

budgets::Result<budgets::Prices, std::vector<StudyError>> parse_prices(const std::string& text,
                                                                       const std::filesystem::path& file) {
  Errors errors;
  const Node root = read_document(text, file.string(), errors);
  if (!errors.empty()) return budgets::unexpected(errors.take());
  budgets::Prices prices;
  Section table(errors, root, "");
  if (table.valid()) {
    table.require("date");
    table.text("date", prices.date);
    table.require("models");
    if (auto models = table.section("models")) {
      for (const Node::Entry& entry : models->entries()) {
        auto model = models->section(entry.key);
        if (!model) continue;
        budgets::Price& price = prices.models[entry.key];
        for (const auto& [key, out] :
             {std::pair{"input", &price.input_per_million}, std::pair{"output", &price.output_per_million}}) {
          model->require(key);
          model->quantity(key, parse_money, Section::Zero::allowed,
                          [&](std::int64_t microusd) { *out = budgets::MicroUsd::of(microusd); });
        }
        model->finish();
      }
    }
    table.finish();
  }
  if (!errors.empty()) return budgets::unexpected(errors.take());
  return prices;
}

std::optional<budgets::Price> price_of(const core::ProposerSpec& proposer, const budgets::Prices* prices) {
  const auto setting = [&](const char* key) {
    const auto found = proposer.settings.find(key);
    return found == proposer.settings.end() ? std::string() : found->second;
  };
  if (setting("price") == "free") return budgets::Price{};
  const Read input = parse_money(setting("price_input")), output = parse_money(setting("price_output"));
  if (input && output) return budgets::Price{budgets::MicroUsd::of(*input), budgets::MicroUsd::of(*output)};
  return prices == nullptr ? std::nullopt : prices->price_of(setting("model"));
}

}  // namespace overnight::study
