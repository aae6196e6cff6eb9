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

// The parameters of `graph`, graph.parameter_floats() of them: the file must hold exactly those, same names, same
// shapes, nothing else, all finite. Memory is allocated once the file is known to hold as much.
budgets::Result<std::vector<float>, std::string> read_checkpoint(const std::filesystem::path& file, const Graph& graph);

}  // namespace overnight::workers
