// Products by cuBLASLt, where shapes and alignments suit it; a plan for each kind of product is made once and kept, and
// with `tune` the fastest of several, in a file for other programs on the same kind of GPU and the same library. One
// per device; no allocation after the first product of a kind.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <compare>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace overnight::kernels::cuda {

enum class NumberKind : std::uint32_t { float32, bfloat16 };

// All that a plan depends on. In rows and columns as BackendOf::product has them.
struct ProductKey {
  std::uint64_t rows = 0, columns = 0, depth = 0;
  std::uint64_t stride = 0, a_stride = 0, b_stride = 0;
  std::uint64_t count = 1, a_apart = 0, b_apart = 0, out_apart = 0;
  NumberKind in = NumberKind::float32, out = NumberKind::float32;
  std::uint32_t a_turned = 0, b_turned = 0, adds = 0, in_place = 0, alignment = 256;
  auto operator<=>(const ProductKey&) const = default;
};

class LibraryProducts {
 public:
  // Plans are kept in `file`, or if it is empty in one in the user's cache folder, named after the GPU. All work goes
  // to `stream`, one product after the other, so that they share the workspace.
  static constexpr std::size_t workspace_bytes = std::size_t{32} << 20;  // what Hopper's products want
  LibraryProducts(const std::string& gpu, const std::filesystem::path& file, cudaStream_t stream, void* workspace);
  ~LibraryProducts();
  LibraryProducts(const LibraryProducts&) = delete;
  LibraryProducts& operator=(const LibraryProducts&) = delete;

  void tune(bool on);      // off: what was found is written to the file
  void use_kept(bool on);  // off: the library's own first choice, whatever was found before
  std::string version() const;

  // False: the library has no way to do this; nothing was done.
  // out = alpha a b + beta plus; a null `plus` is none. Throws DeviceError.
  bool multiply(void* out, const void* a, const void* b, const void* plus, float alpha, float beta,
                const ProductKey& key);

 private:
  struct Plan;
  Plan* plan_of(const ProductKey& key, void* out, const void* a, const void* b, const void* plus);
  void read_file();
  void write_file() const;

  cublasLtHandle_t handle_ = nullptr;
  cudaStream_t stream_;
  void* workspace_;
  std::filesystem::path file_;
  std::string made_for_;  // GPU and library version: the first line of the file
  bool tuning_ = false, found_ = false, use_kept_ = true;
  std::map<ProductKey, std::unique_ptr<Plan>> plans_;
  std::map<ProductKey, cublasLtMatmulAlgo_t> kept_;  // of the file
};

}  // namespace overnight::kernels::cuda
