// What a test sees of, and says to, the library of products that fake_cublaslt.cc plays.
#pragma once

#include <cstddef>
#include <vector>

namespace overnight::kernels {

struct FakeCublasLt {
  // Ways by number, the first asked for first: the milliseconds that each takes; below 0, it turns out not to be
  // possible. None: the library has no way.
  std::vector<double> ways{3, -1, 1, 2};
  std::size_t version = 130100;

  std::size_t asked = 0;            // for ways
  std::vector<std::size_t> played;  // by number, one for each product
  static FakeCublasLt& here();
};

}  // namespace overnight::kernels
