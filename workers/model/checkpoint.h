// Parameters on disk as safetensors: a length, a JSON header, the tensors as little-endian 32-bit floats without gaps.
// Everything that is read is checked before anything is allocated: a checkpoint comes from the experiment, and is
// hostile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "budgets/result.h"
#include "workers/model/graph.h"

namespace overnight::workers {

inline constexpr std::uint64_t checkpoint_header_max = 1 << 20;

// A tensor in a file; `data` is null where only its place is asked for.
struct StoredTensor {
  std::string name;
  std::size_t rows = 0, columns = 0;
  const float* data = nullptr;

  std::size_t count() const { return rows * columns; }
};

// Whole or not at all: to a temporary file beside it, fsynced, renamed.
budgets::Result<void, std::string> write_text(const std::filesystem::path& file, const std::string& text);
// The same as safetensors; `metadata` is kept with the tensors.
budgets::Result<void, std::string> write_tensors(const std::filesystem::path& file,
                                                 const std::vector<StoredTensor>& tensors,
                                                 const std::map<std::string, std::string>& metadata = {});

// A file that holds exactly the tensors that are wanted: same names, same shapes, nothing else, no byte twice. Nothing
// is allocated for values before that is known.
class TensorFile {
 public:
  static budgets::Result<TensorFile, std::string> open(const std::filesystem::path& file,
                                                       const std::vector<StoredTensor>& wanted);
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // The values of one that was wanted, all finite.
  budgets::Result<void, std::string> read(const std::string& name, float* to);

 private:
  struct Place {
    std::uint64_t begin = 0;  // in the file
    std::size_t count = 0;    // in floats
  };
  std::string name_;  // of the file
  std::ifstream in_;
  std::map<std::string, Place> places_;
  std::map<std::string, std::string> metadata_;
};

// The parameters of a graph.
budgets::Result<void, std::string> write_checkpoint(const std::filesystem::path& file, const Graph& graph,
                                                    const float* parameters);

// graph.parameter_floats() of them.
budgets::Result<std::vector<float>, std::string> read_checkpoint(const std::filesystem::path& file, const Graph& graph);

}  // namespace overnight::workers
