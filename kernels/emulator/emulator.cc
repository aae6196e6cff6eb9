#include "kernels/emulator/emulator.h"

#include <sys/mman.h>

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace overnight::kernels::emulator {
namespace {

constexpr std::size_t stack_bytes = 128 * 1024;
constexpr int warp = 32;

namespace context = boost::context::detail;

enum class At { running, block_barrier, warp_barrier, gone };

struct Copy {
  void* to;
  const void* from;
};

struct Fiber {
  context::fcontext_t at_rest = nullptr;
  dim3 thread;
  At at = At::running;
  std::vector<std::vector<Copy>> copies;  // groups that are under way, the last still open; empty: none ever was
  void* fake_stack = nullptr;             // AddressSanitizer's
};

// The block that runs on this thread.
struct Block {
  const char* name = "";
  const std::function<void()>* kernel = nullptr;
  context::fcontext_t scheduler = nullptr;
  std::vector<Fiber> fibers;
  std::size_t now = 0;
  std::vector<std::uint64_t> given;  // per thread, for exchange
  std::vector<std::uint32_t> words;  // likewise, words_max of them
  std::vector<std::uint64_t> shared;
  char* stacks = nullptr;
  void* fake_stack = nullptr;
  std::uint64_t random = 88172645463325252ull;  // of the order in which threads run
  const void* scheduler_stack = nullptr;
  std::size_t scheduler_stack_bytes = 0;

  ~Block() {
    if (stacks != nullptr) munmap(stacks, threads_max * stack_bytes);
  }
};

thread_local Block block;

[[noreturn]] void give_up(const char* why) {
  std::fprintf(stderr, "kernel %s: %s\n", block.name, why);
  std::abort();
}

void to_fiber(std::size_t index) {
  Fiber& fiber = block.fibers[index];
  block.now = index;
  threadIdx = fiber.thread;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&block.fake_stack, block.stacks + index * stack_bytes, stack_bytes);
#endif
  fiber.at_rest = context::jump_fcontext(fiber.at_rest, nullptr).fctx;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(block.fake_stack, nullptr, nullptr);
#endif
}

void to_scheduler(At at) {
  Fiber& fiber = block.fibers[block.now];
  fiber.at = at;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(at == At::gone ? nullptr : &fiber.fake_stack, block.scheduler_stack,
                                 block.scheduler_stack_bytes);
#endif
  block.scheduler = context::jump_fcontext(block.scheduler, nullptr).fctx;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fiber.fake_stack, nullptr, nullptr);
#endif
}

void begin_fiber(context::transfer_t from) {
  block.scheduler = from.fctx;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &block.scheduler_stack, &block.scheduler_stack_bytes);
#endif
  (*block.kernel)();
  for (const auto& group : block.fibers[block.now].copies) must(group.empty(), "it leaves while copies are under way");
  to_scheduler(At::gone);
}

// Whether all threads [from, to) that are not gone have come to this barrier.
bool all_at(At barrier, std::size_t from, std::size_t to) {
  bool any = false;
  for (std::size_t i = from; i < to; ++i) {
    if (block.fibers[i].at == At::gone) continue;
    if (block.fibers[i].at != barrier) return false;
    any = true;
  }
  return any;
}

void pass(std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to; ++i) {
    if (block.fibers[i].at != At::gone) block.fibers[i].at = At::running;
  }
}

std::uint64_t next_random() {  // xorshift64 (Marsaglia 2003)
  block.random ^= block.random << 13;
  block.random ^= block.random >> 7;
  return block.random ^= block.random << 17;
}

// Lets the threads of one warp run, lanes in this order or the other, until each waits or is gone. Returns how many are
// gone.
std::size_t run_warp(std::size_t from, std::size_t to, bool backwards, bool& moved) {
  std::size_t gone = 0;
  for (std::size_t n = from; n < to; ++n) {
    const std::size_t i = backwards ? from + to - 1 - n : n;
    if (block.fibers[i].at != At::running) continue;
    to_fiber(i);
    moved = true;
    gone += block.fibers[i].at == At::gone;
  }
  return gone;
}

void run_block() {
  constexpr std::uint64_t held_in_4 = 2;  // of four warps, where there is more than one
  const std::size_t threads = block.fibers.size();
  for (std::size_t left = threads; left > 0;) {
    bool moved = false;
    for (std::size_t from = 0; from < threads; from += warp) {
      const std::uint64_t random = next_random();
      if (threads > warp && random >> 20 & 1 && (random >> 30) % 4 < held_in_4) {
        moved = true;  // it could have
        continue;
      }
      left -= run_warp(from, std::min(threads, from + warp), random >> 40 & 1, moved);
    }
    for (std::size_t from = 0; from < threads; from += warp) {
      const std::size_t to = std::min(threads, from + warp);
      if (all_at(At::warp_barrier, from, to)) pass(from, to), moved = true;
    }
    if (all_at(At::block_barrier, 0, threads)) pass(0, threads), moved = true;
    if (!moved && left > 0) give_up("its threads wait for each other at different barriers");
  }
}

void prepare(dim3 shape) {
  const std::size_t threads = static_cast<std::size_t>(shape.x) * shape.y * shape.z;
  block.fibers.assign(threads, {});
  block.given.assign((threads + warp - 1) / warp * warp, 0);
  block.words.assign(block.given.size() * words_max, 0);
  for (std::size_t i = 0; i < threads; ++i) {
    Fiber& fiber = block.fibers[i];
    const auto at = static_cast<unsigned>(i);
    fiber.thread = {at % shape.x, at / shape.x % shape.y, at / shape.x / shape.y};
    // Stacks that began at equal distances would all lie in the same few lines of the cache.
    const std::size_t shift = i % 64 * 64;
    fiber.at_rest =
        context::make_fcontext(block.stacks + (i + 1) * stack_bytes - shift, stack_bytes - shift, begin_fiber);
  }
}

}  // namespace

void run(const char* name, dim3 grid, dim3 shape, std::size_t shared_bytes, const std::function<void()>& kernel) {
  block.name = name;
  block.kernel = &kernel;
  const std::size_t threads = static_cast<std::size_t>(shape.x) * shape.y * shape.z;
  if (threads == 0 || threads > threads_max) give_up("so many threads are not in a block");
  if (shared_bytes > shared_max) give_up("it asks for more shared memory than a block can have");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535) give_up("no such grid");
  if (block.stacks == nullptr) {
    void* stacks = mmap(nullptr, threads_max * stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stacks == MAP_FAILED) give_up("no memory for its threads' stacks");
    block.stacks = static_cast<char*>(stacks);
  }
  gridDim = grid, blockDim = shape;
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = {x, y, z};
        block.shared.assign(shared_bytes / 8 + 2, 0xcdcdcdcdcdcdcdcdull);
        prepare(shape);
        run_block();
      }
    }
  }
}

void* dynamic_shared() {
  const auto at = reinterpret_cast<std::uintptr_t>(block.shared.data());
  return reinterpret_cast<void*>((at + 15) / 16 * 16);
}

int lane() { return static_cast<int>(block.now % warp); }

void copy_later(void* to, const void* from) {
  must(reinterpret_cast<std::uintptr_t>(to) % 16 == 0, "a copy's end does not lie on a boundary of 16 bytes");
  must(reinterpret_cast<std::uintptr_t>(from) % 16 == 0, "a copy's beginning does not lie on a boundary of 16 bytes");
  std::memset(to, 0xff, 16);
  auto& groups = block.fibers[block.now].copies;
  if (groups.empty()) groups.emplace_back();
  groups.back().push_back({to, from});
}
void close_copies() {
  auto& groups = block.fibers[block.now].copies;
  groups.resize(std::max<std::size_t>(1, groups.size()) + 1);
}
void wait_for_copies(std::size_t open) {
  auto& groups = block.fibers[block.now].copies;
  while (groups.size() > open + 1) {
    for (const Copy& copy : groups.front()) {
      if (copy.from != nullptr) {
        std::memcpy(copy.to, copy.from, 16);
      } else {
        std::memset(copy.to, 0, 16);
      }
    }
    groups.erase(groups.begin());
  }
}

const std::uint64_t* exchange(std::uint64_t mine) {
  block.given[block.now] = mine;
  __syncwarp();
  return &block.given[block.now / warp * warp];
}

Words exchange_words(const std::uint32_t* mine, std::size_t count) {
  std::copy_n(mine, count, &block.words[block.now * words_max]);
  __syncwarp();
  return reinterpret_cast<Words>(&block.words[block.now / warp * warp * words_max]);
}

void must(bool so, const char* why_not) {
  if (!so) give_up(why_not);
}

void wait_for_block() { to_scheduler(At::block_barrier); }
void wait_for_warp() { to_scheduler(At::warp_barrier); }

}  // namespace overnight::kernels::emulator

void __syncthreads() { overnight::kernels::emulator::wait_for_block(); }
void __syncwarp(unsigned) { overnight::kernels::emulator::wait_for_warp(); }
