// What ops share that walk blocks of rows: how many rows they take at once, pieces of the scratch, gradients that are
// added or begun, and normalised rows that are made again in backward. Private to the ops of this folder.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "workers/model/graph.h"
#include "workers/model/ops.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {

using Ids = std::vector<TensorId>;

inline constexpr std::size_t block_floats =
    131072;  // of the widest tensor: half a MiB, to stay in the second-level cache
inline constexpr std::size_t block_rows_min = 64, block_rows_max = 512;  // fewer would waste the packing of the weights
// On a GPU: what two ops hand on should stay in its cache of some tens of MB, and a product must fill it. Not measured.
inline constexpr std::size_t device_block_numbers = std::size_t{1} << 24, device_block_rows_min = 2048;

inline std::size_t block_rows(const Graph& graph, std::size_t rows, std::size_t widest) {
  if (graph.walk() == Walk::device)
    return std::min(rows, std::max(device_block_numbers / widest / 128 * 128, device_block_rows_min));
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

// Takes pieces of the shared scratch, one after the other; scratch_bytes adds up room_for of the same.
template <typename Number>
constexpr std::size_t room_for(std::size_t count) {
  return room(count * sizeof(Number));
}
class Pieces {
 public:
  Pieces(const Graph& graph, Memory& memory) : at_(static_cast<std::byte*>(graph.scratch(memory))) {}
  template <typename Number = Real>
  Number* take(std::size_t count) {
    return reinterpret_cast<Number*>(std::exchange(at_, at_ + room_for<Number>(count)));
  }

 private:
  std::byte* at_;
};

inline void copy(const Memory& m, Real* to, const Real* from, std::size_t count) {
  m.backend->copy(to, from, count * sizeof(Real));
}

// to = from, or to += from; nothing where a gradient was handed on in its place (Op::hands_on_gradient).
inline void pass_on(const Memory& m, Real* to, const Real* from, std::size_t count, bool add) {
  if (add) {
    m.backend->add(to, from, count);
  } else if (to != from) {
    copy(m, to, from, count);
  }
}

// A parameter's gradient that ops add to begins at zero, if nobody has written it.
inline void begin_gradient(const Graph& g, Memory& m, TensorId parameter, bool adds) {
  if (!adds) m.backend->zero(g.parameter_gradient(m, parameter), g.tensor(parameter).count() * sizeof(Full));
}

// What follows a norm: the block of normalised rows, and its gradient's way back. A CPU makes the rows again in
// backward, in its cache; a GPU keeps them, which costs it no more memory than what they were made from.
struct NormedRows {
  Norm norm;
  TensorId in;
  std::size_t rows, width, block;
  NormedRows(const Graph& g, Norm n, TensorId i, std::size_t widest)
      : norm(n),
        in(i),
        rows(g.tensor(i).rows),
        width(g.tensor(i).columns),
        block(block_rows(g, rows, std::max(width, widest))) {}
  Ids kept() const { return {norm.rows.value_or(in), norm.rstd}; }
  Ids with_writes(Ids ids) const {
    ids.push_back(norm.rstd);
    if (norm.rows) ids.push_back(*norm.rows);
    return ids;
  }
  std::size_t room() const { return room_for<Real>(block * width); }

  // In forward; `place`: for them where they are not kept.
  const Real* make(const Graph& g, Memory& m, Real* place, std::size_t from, std::size_t count) const {
    Real* to = norm.rows ? g.value(m, *norm.rows) + from * width : place;
    m.backend->rmsnorm_forward(to, g.full_value(m, norm.rstd) + from, g.read(m, in) + from * width, count, width);
    return to;
  }
  // In backward.
  const Real* made(const Graph& g, Memory& m, Real* place, std::size_t from, std::size_t count) const {
    return norm.rows ? g.read(m, *norm.rows) + from * width : make(g, m, place, from, count);
  }
  // Of the rows x, whose gradient is d; to it is added what is in `plus` [rows, width], if that is not null.
  void pass_back(const Graph& g, Memory& m, const Real* d, const Real* x, std::size_t from, std::size_t count,
                 const Real* plus) const {
    m.backend->rmsnorm_backward(g.gradient(m, in) + from * width, d, x, true, g.read_full(m, norm.rstd) + from, count,
                                width, plus != nullptr ? plus + from * width : nullptr);
  }
};

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
