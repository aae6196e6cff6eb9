// What an attempt leaves in its folder beside its records and artifacts. Blocks; runs on a thread of its own.
#pragma once

#include <filesystem>

namespace overnight::executors {

// Removes it. What a hostile task left (locked, nested without end, beside its place) costs a process of `keeper`, the
// program overnight-worker, which knows how; what others leave does not.
void remove_leavings(const std::filesystem::path& keeper, const std::filesystem::path& folder);

}  // namespace overnight::executors
