// The CUDA toolkit of this machine, by its compiler.
#pragma once

#include <optional>
#include <string>

namespace overnight::cli {

struct CudaToolkit {
  std::string nvcc;     // its path
  std::string version;  // "12.4.131"; empty: it does not say
  bool operator==(const CudaToolkit&) const = default;
};

// In the folders of `path` (as in PATH), then in /usr/local/cuda/bin. Runs the compiler that it finds, for its version.
std::optional<CudaToolkit> find_cuda_toolkit(const std::string& path);

// From what `nvcc --version` prints; empty: it is not in there.
std::string version_in(const std::string& printed);

}  // namespace overnight::cli
