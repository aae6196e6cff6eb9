// `overnight try`: the baseline once, under the real keeper, without a home: nothing is kept but what it shows.
#pragma once

#include <filesystem>

#include "orchestrator/core/study.h"

namespace overnight::cli {

int try_once(const core::Study& study, const std::filesystem::path& keeper, const std::filesystem::path& home);

}  // namespace overnight::cli
