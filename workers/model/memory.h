// What memory there is, so that a model that cannot fit is refused before anything is allocated: Linux grants what it
// has not, and kills later.
#pragma once

#include <cstdint>
#include <string>

namespace overnight::workers {

// The least of: what the machine has available, the memory limits of this process's control groups, its address space.
std::uint64_t memory_available();

// What this process holds now; 0 where the system does not say.
std::uint64_t memory_held();

// Empty, or why `bytes` cannot be had: "it needs 3.1 GiB of memory, and 1.2 GiB are available". `limit` of 0: none.
std::string why_too_large(std::uint64_t bytes, std::uint64_t limit = 0);

}  // namespace overnight::workers
