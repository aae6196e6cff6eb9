// Which way of doing each kind of product was found to be the fastest on a kind of GPU, in a file that programs share.
// Nothing here needs CUDA. A file is believed in nothing: a line that cannot be read is passed over, and the library is
// asked whether a way suits before it is used (library_product.cc).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "kernels/cuda/product_key.h"

namespace overnight::kernels::cuda {

// The library's own secret.
using ProductWay = std::array<std::uint64_t, 8>;

class KeptProducts {
 public:
  static constexpr std::size_t ways_max = 4096;  // of a file; a model has a few dozen

  // What `file` says for this GPU and version of the library; an empty `file`: one in the user's cache folder, named
  // after both (none where there is no such folder). No file yet is an empty one.
  KeptProducts(const std::string& gpu, const std::string& version, std::filesystem::path file);

  const std::filesystem::path& file() const { return file_; }
  const ProductWay* find(const ProductKey& key) const;  // null: none
  void keep(const ProductKey& key, const ProductWay& way);
  // As a whole or not at all, with what others have written there meanwhile (of two that do so in the same moment one
  // is lost, and found again another time); what another kind of GPU had in the file is replaced. Why it could not be
  // done, or nothing. Never writes over a file that is not of this kind.
  std::string write();

 private:
  void read();

  std::filesystem::path file_;
  std::string made_for_;  // the first line
  std::map<ProductKey, ProductWay> ways_;
};

}  // namespace overnight::kernels::cuda
