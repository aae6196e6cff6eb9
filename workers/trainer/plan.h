// What a training will take, told before it begins; and where its time went, told afterwards.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "workers/trainer/place.h"
#include "workers/trainer/texts.h"

namespace overnight::workers {

// The most that the process will hold. `texts` are in memory already.
struct MemoryPlan {
  std::uint64_t training = 0, documents = 0, program = 0;
  std::uint64_t before = 0;  // the most that was held while the texts were made ready; given back since
  std::uint64_t bytes() const { return std::max(before, training + documents + program); }
};
MemoryPlan memory_plan(const Options& options, const Texts& texts, std::uint64_t program);

// Empty, or why the documents or the tokens of these options cannot be made ready, or the model not be trained,
// whatever the documents turn out to be: asked before any are read.
std::string why_too_large_at_all(const Options& options);

void print_plan(const Options& options, const MemoryPlan& memory, const Place& place);
void print_profile(const std::vector<ProfileLine>& lines, const Place& place);

// "41 % of sgemm" for a training of so many FLOPs per second, or the share of a GPU's measured peak (MFU).
std::string share_of_peak(double flops, const Place& place);

}  // namespace overnight::workers
