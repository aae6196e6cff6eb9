// The tables of ops that a test is run on: each instruction set of the CPU in floats, the same code in doubles
// ("exact"), the GPU's ops as the emulator runs them; with OVERNIGHT_TEST_ON_GPU those of this machine's GPU alone.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <type_traits>
#include <vector>

#include "kernels/bfloat16.h"
#include "kernels/kernels.h"
#include "tests/kernels/numeric.h"

namespace overnight::kernels {

namespace exact {
extern const BackendOf<double> table;  // exact_table.cc
}

// A table and how near its numbers must come.
struct Base {
  using Real = float;
  static constexpr double near = 1e-4;
  static const Backend* table() { return cpu_backend_named("base"); }
};
struct Avx2 : Base {
  static const Backend* table() { return cpu_backend_named("avx2"); }
};
struct Avx512 : Base {
  static const Backend* table() { return cpu_backend_named("avx512"); }
};
struct Exact {
  using Real = double;
  static constexpr double near = 1e-6;
  static const BackendOf<double>* table() { return &exact::table; }
};

// The GPU's ops, line by line as a GPU would run them (kernels/emulator).
namespace emulated {
extern const BackendOf<float> floats;  // emulated_table.cc
extern const BackendOf<double> doubles;
extern const BackendOf<bfloat16, float> mixed;
void be_deterministic(bool on);
}  // namespace emulated
struct Emulated {
  using Real = float;
  static constexpr double near = 1e-4;
  static const Backend* table() { return &emulated::floats; }
};
struct EmulatedExact {
  using Real = double;
  static constexpr double near = 1e-6;
  static const BackendOf<double>* table() { return &emulated::doubles; }
};

#ifdef OVERNIGHT_TEST_ON_GPU
struct Gpu {
  using Real = float;
  static constexpr double near = 1e-4;
  static const Backend* table() { return waiting_floats(); }
};
using Tables = testing::Types<Gpu>;
#else
using Tables = testing::Types<Base, Avx2, Avx512, Exact, Emulated, EmulatedExact>;
#endif

struct Names {
  template <typename Table>
  static std::string GetName(int) {
#ifdef OVERNIGHT_TEST_ON_GPU
    if (std::is_same_v<Table, Gpu>) return "gpu";
#endif
    if (std::is_same_v<Table, Exact>) return "exact";
    if (std::is_same_v<Table, Emulated>) return "emulated";
    if (std::is_same_v<Table, EmulatedExact>) return "emulated_exact";
    return std::is_same_v<Table, Base> ? "base" : std::is_same_v<Table, Avx2> ? "avx2" : "avx512";
  }
};

template <typename Table>
class OnEveryTable : public testing::Test {
 protected:
  using Real = typename Table::Real;
  static constexpr double near = Table::near;

  void SetUp() override {
#ifdef OVERNIGHT_TEST_ON_GPU
    if (shared_device() == nullptr) GTEST_SKIP() << why_no_device();
#endif
    if (Table::table() == nullptr) GTEST_SKIP() << "this machine cannot run " << Names::GetName<Table>(0);
  }
  static const BackendOf<Real>& cpu() { return *Table::table(); }
  static Numbers<Real> narrow(const Doubles& values) { return kernels::narrow<Real>(values); }
  static Numbers<Real> poisoned(std::size_t count) { return kernels::poisoned<Real>(count); }
};

// Of tests in bfloat16: the table of the emulated GPU, or of this machine's.
class OnMixedTable : public testing::Test {
 protected:
#ifdef OVERNIGHT_TEST_ON_GPU
  void SetUp() override {
    if (shared_device() == nullptr) GTEST_SKIP() << why_no_device();
  }
#endif
};
inline const BackendOf<bfloat16, float>& mixed_table() {
#ifdef OVERNIGHT_TEST_ON_GPU
  return *waiting_bfloat16s();
#else
  return emulated::mixed;
#endif
}
inline void be_deterministic(bool on) {
#ifdef OVERNIGHT_TEST_ON_GPU
  shared_device()->be_deterministic(on);
#else
  emulated::be_deterministic(on);
#endif
}

}  // namespace overnight::kernels
