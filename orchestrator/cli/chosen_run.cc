#include "orchestrator/cli/chosen_run.h"

#include "orchestrator/cli/exit_codes.h"
#include "orchestrator/cli/terminal.h"

namespace overnight::cli {
namespace {

constexpr std::int64_t runs_searched_max = 1000;

}  // namespace

int exit_code_of(const store::StoreError& error) {
  using Kind = store::StoreError::Kind;
  switch (error.kind) {
    case Kind::missing:
      return exit_not_found;
    case Kind::disk_full:
    case Kind::read_only:
    case Kind::no_permission:
    case Kind::not_a_home:
    case Kind::in_use:
    case Kind::newer_version:
      return exit_bad_input;  // another home, or this one at another time, would do
    case Kind::corrupt:
    case Kind::disk_fault:
    case Kind::misuse:
      return exit_failed;
  }
  return exit_failed;
}

NotChosen no_home_at(const std::filesystem::path& place) {
  std::error_code ignored;
  const std::string where = std::filesystem::absolute(place).string();
  if (std::filesystem::exists(place, ignored) && !std::filesystem::is_directory(place, ignored))
    return {exit_bad_input, where + " is no home: it is no folder; --home or OVERNIGHT_HOME name another"};
  return {exit_not_found, "no home at " + where + "; --home or OVERNIGHT_HOME name another"};
}

budgets::Result<std::unique_ptr<store::HomeReader>, NotChosen> open_reader(const std::filesystem::path& home) {
  auto reader = store::HomeReader::open(std::filesystem::absolute(home).string());
  if (reader) return std::move(*reader);
  return budgets::unexpected(NotChosen{exit_code_of(reader.error()), reader.error().explain});
}

budgets::Result<store::RunFacts, NotChosen> choose_run(store::HomeReader& reader, const std::filesystem::path& home,
                                                       const std::string& text) {
  const auto runs = reader.runs(0, runs_searched_max);
  if (!runs) return budgets::unexpected(NotChosen{exit_failed, runs.error().explain});
  if (runs->items.empty())
    return budgets::unexpected(NotChosen{
        exit_not_found, "no run in " + std::filesystem::absolute(home).string() + "; overnight run STUDY starts one"});
  if (text.empty()) return runs->items.front();
  const store::RunFacts* found = nullptr;
  for (const store::RunFacts& facts : runs->items) {
    if (facts.run.id.text == text) return facts;
    if (facts.run.id.text.starts_with(text)) {
      if (found != nullptr)
        return budgets::unexpected(NotChosen{exit_bad_input, "\"" + text + "\" begins more than one run: " +
                                                                 found->run.id.text + ", " + facts.run.id.text});
      found = &facts;
    }
  }
  if (found != nullptr) return *found;
  std::vector<std::string> names;
  for (const store::RunFacts& facts : runs->items) names.push_back(facts.run.id.text);
  const std::string near = nearest(text, names);
  return budgets::unexpected(NotChosen{
      exit_not_found, "no run \"" + clean(text, 100) + "\" in " + std::filesystem::absolute(home).string() +
                          (near.empty() ? "; overnight runs lists them" : "; did you mean \"" + near + "\"?")});
}

}  // namespace overnight::cli
