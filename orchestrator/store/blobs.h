// The content store of a home: files named by the SHA-256 of their bytes, blobs/<first two>/<sha256>.
//
// Putting the same bytes twice keeps one file. What `get` returns has the hash it was asked by; a file that no longer
// fits its name is an error. Written by the owner of the home's lock alone, read by anyone who may.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "orchestrator/store/home.h"

namespace overnight::store {

inline constexpr std::size_t blob_bytes_max = std::size_t{1} << 30;  // held in memory while it is put or read

class Blobs {
 public:
  explicit Blobs(const HomePaths& paths) : folder_(paths.blobs) {}

  // Durable when it returns; gives the name (64 hexadecimal digits).
  [[nodiscard]] Stored<std::string> put(std::string_view bytes) const;
  [[nodiscard]] Stored<std::string> get(const std::string& name) const;
  // Gone or never there: both are fine.
  [[nodiscard]] Stored<void> remove(const std::string& name) const;

 private:
  Stored<std::string> path_of(const std::string& name) const;

  std::string folder_;
};

}  // namespace overnight::store
