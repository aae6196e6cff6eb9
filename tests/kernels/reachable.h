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

// Memory of the ops alone: a GPU adds up there in ways that it may not know in the host's.
template <typename Number>
class Scratch {
 public:
  explicit Scratch(std::size_t count) : numbers_(*shared_device(), count) {}
  Number* data() { return numbers_.get(); }
  bool stands() const { return true; }  // compute-sanitizer sees what is written beside it

 private:
  DeviceArray<Number> numbers_;
};
#else
template <typename Number>
using Numbers = std::vector<Number>;
#endif

}  // namespace overnight::kernels
