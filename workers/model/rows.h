// What ops share that walk blocks of rows: how many rows fit the cache, gradients that are added or begun, and
// normalised rows that are made again in backward. Private to the ops of this folder.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "workers/model/graph.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {

using Ids = std::vector<TensorId>;

inline constexpr std::size_t block_floats =
    131072;  // of the widest tensor: half a MiB, to stay in the second-level cache
inline constexpr std::size_t block_rows_min = 64, block_rows_max = 512;  // fewer would waste the packing of the weights

inline std::size_t block_rows(std::size_t rows, std::size_t widest) {
  return std::min(rows, std::clamp(block_floats / widest / 16 * 16, block_rows_min, block_rows_max));
}

// Calls walk(first row, number of rows) block by block.
template <typename Walk>
void in_blocks(std::size_t rows, std::size_t block, const Walk& walk) {
  for (std::size_t from = 0; from < rows; from += block) walk(from, std::min(block, rows - from));
}

inline double product_flops(std::size_t rows, std::size_t inputs, std::size_t outputs) {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(inputs) * static_cast<double>(outputs);
}

// to = from, or to += from.
inline void pass_on(const Memory& m, Real* to, const Real* from, std::size_t count, bool add) {
  if (add) {
    m.backend->add(to, from, count);
  } else {
    std::memcpy(to, from, count * sizeof(Real));
  }
}

// A parameter's gradient that ops add to begins at zero, if nobody has written it.
inline void begin_gradient(const Graph& g, Memory& m, TensorId parameter, bool adds) {
  if (!adds) std::memset(g.gradient(m, parameter), 0, g.tensor(parameter).count() * sizeof(Real));
}

// What follows a norm: the block of normalised rows, made again in backward, and its gradient's way back.
struct NormedRows {
  TensorId rstd, in;
  std::size_t rows, width, block;
  NormedRows(const Graph& g, TensorId r, TensorId i, std::size_t widest)
      : rstd(r),
        in(i),
        rows(g.tensor(i).rows),
        width(g.tensor(i).columns),
        block(block_rows(rows, std::max(width, widest))) {}
  void make(const Graph& g, Memory& m, Real* to, std::size_t from, std::size_t count) const {
    m.backend->rmsnorm_forward(to, g.value(m, rstd) + from, g.read(m, in) + from * width, count, width);
  }
  void pass_back(const Graph& g, Memory& m, const Real* d, std::size_t from, std::size_t count, bool add) const {
    m.backend->rmsnorm_backward(g.gradient(m, in) + from * width, d, g.read(m, in) + from * width,
                                g.read(m, rstd) + from, count, width, add);
  }
};

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
