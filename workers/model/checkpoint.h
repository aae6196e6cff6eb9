// Parameters on disk as safetensors: a length, a JSON header, the tensors as little-endian 32-bit floats without gaps.
// Everything that is read is checked before anything is allocated: a checkpoint comes from the experiment, and is
// hostile.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "budgets/result.h"
#include "workers/model/graph.h"

namespace overnight::workers {

inline constexpr std::uint64_t checkpoint_header_max = 1 << 20;

// Writes to a temporary file beside it, fsyncs, renames.
budgets::Result<void, std::string> write_checkpoint(const std::filesystem::path& file, const Graph& graph,
                                                    const float* parameters);

// Exactly the parameters of `graph`: same names, same shapes, nothing else. `parameters` holds
// graph.parameter_floats().
budgets::Result<void, std::string> read_checkpoint(const std::filesystem::path& file, const Graph& graph,
                                                   float* parameters);

}  // namespace overnight::workers
