// Small files that are whole or absent: written beside, fsynced, renamed, and the folder fsynced.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "orchestrator/store/error.h"

namespace overnight::store {

// A file descriptor, closed at the end.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_;
};

// Makes a folder for its owner alone (0700); its parents too.
[[nodiscard]] Stored<void> make_folder(const std::string& path);

[[nodiscard]] Stored<void> write_whole(const std::string& path, std::string_view bytes);

// The bytes of a file, at most `bytes_max` (more is an error); none if it does not exist.
[[nodiscard]] Stored<std::optional<std::string>> read_whole(const std::string& path, std::size_t bytes_max);

}  // namespace overnight::store
