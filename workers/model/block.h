// Floats on cache-line boundaries, all zero at first, on large pages where the kernel grants them: an arena is walked
// from end to end in every step. A resource.
#pragma once

#include <cstddef>

namespace overnight::workers {

class Block {
 public:
  explicit Block(std::size_t floats);  // throws std::bad_alloc
  ~Block();
  Block(Block&& other) noexcept;
  Block& operator=(Block&&) = delete;
  float* get() const { return data_; }

  // What so many floats take once all are written, in bytes: whole pages.
  static std::size_t bytes_of(std::size_t floats);

 private:
  void* mapping_;
  std::size_t bytes_;
  float* data_;
};

}  // namespace overnight::workers
