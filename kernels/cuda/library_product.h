// Products by cuBLASLt, where shapes and alignments suit it; a plan for each kind of product is made once, with `tune`
// from the fastest of several ways, which can be kept in a file for other programs on the same kind of GPU. One
// per device; no allocation after the first product of a kind.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "kernels/cuda/kept_products.h"

namespace overnight::kernels::cuda {

class LibraryProducts {
 public:
  // Plans are kept in `file`, or if it is empty in the user's cache folder. All work goes to `stream`, one product
  // after the other, so that they share the workspace.
  static constexpr std::size_t workspace_bytes = std::size_t{32} << 20;  // what Hopper's products want
  LibraryProducts(const std::string& gpu, const std::filesystem::path& file, cudaStream_t stream, void* workspace);
  ~LibraryProducts();
  LibraryProducts(const LibraryProducts&) = delete;
  LibraryProducts& operator=(const LibraryProducts&) = delete;

  void tune(bool on);        // kinds that are met while it is on try several ways
  std::string keep_found();  // what tuning found, in the file; why not, or nothing
  void use_kept(bool on);    // off, as at first: the library's own first choice, whatever was found before
  std::string version() const;

  // False: the library has no way to do this; nothing was done.
  // out = alpha a b + beta plus; a null `plus` is none. Throws DeviceError.
  bool multiply(void* out, const void* a, const void* b, const void* plus, float alpha, float beta,
                const ProductKey& key);

 private:
  struct Plan;
  Plan* plan_of(const ProductKey& key, void* out, const void* a, const void* b, const void* plus);

  cublasLtHandle_t handle_ = nullptr;
  cudaStream_t stream_;
  void* workspace_;
  bool tuning_ = false, found_ = false, use_kept_ = false;
  std::map<ProductKey, std::unique_ptr<Plan>> plans_;
  KeptProducts kept_;
};

}  // namespace overnight::kernels::cuda
