// `overnight try`: the baseline once, under the real keeper, without a home: nothing is kept but what it shows.
#pragma once

#include <filesystem>

#include "orchestrator/core/study.h"

namespace overnight::cli {

// `as_json`: the outcome on stdout, how it goes on stderr.
int try_once(const core::Study& study, const std::filesystem::path& keeper, const std::filesystem::path& home,
             bool as_json);

}  // namespace overnight::cli
