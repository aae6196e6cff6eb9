// Memory that both a test and the ops that it tries can reach: ordinary memory; with OVERNIGHT_TEST_ON_GPU that of the
// host which the GPU reads and writes in place.
#pragma once

#include <vector>

#ifdef OVERNIGHT_TEST_ON_GPU
#include "tests/gpu/shared_device.h"
#endif

namespace overnight::kernels {

#ifdef OVERNIGHT_TEST_ON_GPU
template <typename Number>
struct Reachable {
  using value_type = Number;
  Reachable() = default;
  template <typename Other>
  Reachable(const Reachable<Other>&) {}
  Number* allocate(std::size_t count) {
    return static_cast<Number*>(shared_device()->allocate_host(count * sizeof(Number)));
  }
  void deallocate(Number* at, std::size_t) { shared_device()->release_host(at); }
  bool operator==(const Reachable&) const = default;
};
template <typename Number>
using Numbers = std::vector<Number, Reachable<Number>>;
#else
template <typename Number>
using Numbers = std::vector<Number>;
#endif

}  // namespace overnight::kernels
