// Which run a verb means: an id, the beginning of one, or, if nothing is said, the newest.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "budgets/result.h"
#include "orchestrator/store/reader.h"

namespace overnight::cli {

struct NotChosen {
  int code;         // one of exit_codes.h
  std::string why;  // names the places that were searched
};

// What a home that cannot be opened means for the exit status; the same for every verb.
int exit_code_of(const store::StoreError& error);

// Why there is no home at this place: nothing is there (not found), or something else (bad input).
NotChosen no_home_at(const std::filesystem::path& place);

budgets::Result<std::unique_ptr<store::HomeReader>, NotChosen> open_reader(const std::filesystem::path& home);
budgets::Result<store::RunFacts, NotChosen> choose_run(store::HomeReader& reader, const std::filesystem::path& home,
                                                       const std::string& text);

}  // namespace overnight::cli
