#include "workers/model/block.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>
#include <utility>

namespace overnight::workers {
namespace {

constexpr std::size_t large_page = std::size_t{2} << 20, small_page = 4096;

}  // namespace

Block::Block(std::size_t floats) : bytes_(floats * sizeof(float) + large_page) {
  mapping_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping_ == MAP_FAILED) throw std::bad_alloc();
  const auto at = (reinterpret_cast<std::uintptr_t>(mapping_) + large_page - 1) / large_page * large_page;
  data_ = reinterpret_cast<float*>(at);
  // What does not fill a large page lies on small ones, so that no more is held than was planned. If it is refused,
  // small pages do.
  const std::size_t whole = floats * sizeof(float) / large_page * large_page;
  madvise(mapping_, bytes_, MADV_NOHUGEPAGE);
  if (whole > 0) madvise(data_, whole, MADV_HUGEPAGE);
}

std::size_t Block::bytes_of(std::size_t floats) {
  return (floats * sizeof(float) + small_page - 1) / small_page * small_page;
}

Block::~Block() {
  if (mapping_ != nullptr) munmap(mapping_, bytes_);
}

Block::Block(Block&& other) noexcept
    : mapping_(std::exchange(other.mapping_, nullptr)), bytes_(other.bytes_), data_(other.data_) {}

}  // namespace overnight::workers
