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

// The most that it ever held.
std::uint64_t memory_peak();

// Gives what was freed back to the system, so that it is not held twice.
void give_memory_back();

// Empty, or why `bytes` cannot be had: "it needs 3.1 GiB of memory, and 1.2 GiB are available". `limit` of 0: none;
// `held` of them are held already.
std::string why_too_large(std::uint64_t bytes, std::uint64_t limit = 0, std::uint64_t held = 0);

}  // namespace overnight::workers
