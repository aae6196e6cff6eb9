// The head behind its norm: logits, or their cross-entropy without ever having all of them.
#include <algorithm>

#include "workers/model/ops.h"
#include "workers/model/rows.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {
namespace {

// Logits of a block of rows.
struct Head {
  NormedRows normed;
  TensorId weights;
  std::size_t vocabulary, stride;
  Full softcap;
  // Rows lie `row` apart: 0, as far as they are long.
  Head(const Graph& g, Norm n, TensorId i, TensorId w, Full cap, std::size_t row = 0)
      : normed(g, n, i, std::max(row, g.tensor(w).rows)),
        weights(w),
        vocabulary(g.tensor(w).rows),
        stride(std::max(row, vocabulary)),
        softcap(cap) {}
  Ids reads() const { return {normed.in, weights}; }
  double flops() const { return product_flops(normed.rows, normed.width, vocabulary); }
  // And returns the normalised rows.
  const Real* make(const Graph& g, Memory& m, Real* to, Real* place, std::size_t from, std::size_t count) const {
    const Real* x = normed.make(g, m, place, from, count);
    m.backend->product(to, stride, {x, normed.width, 1}, {g.read(m, weights), 1, normed.width}, count, vocabulary,
                       normed.width, nullptr);
    return x;
  }
};

// GPUs move 16 bytes at once, and multiply rows of an even such number of them best: 257 logits get a place for 264.
std::size_t row_of_logits(const Graph& g, TensorId weights) {
  const std::size_t at_once = 16 / sizeof(Real), vocabulary = g.tensor(weights).rows;
  return g.walk() == Walk::device ? (vocabulary + at_once - 1) / at_once * at_once : vocabulary;
}

struct NormHeadLoss final : Op {
  Head head;
  TensorId losses;
  NormHeadLoss(const Graph& g, TensorId l, Norm n, TensorId i, TensorId w, Full cap)
      : head(g, n, i, w, cap, row_of_logits(g, w)), losses(l) {}
  const char* kind() const override { return "head and loss"; }
  Ids reads() const override { return head.reads(); }
  Ids writes() const override { return head.normed.with_writes({losses}); }
  Ids needed_by_backward() const override { return {head.normed.in, head.normed.norm.rstd}; }
  double flops() const override { return head.flops(); }
  std::size_t scratch_bytes() const override {
    return 2 * head.normed.room() + room_for<Real>(head.normed.block * head.stride);
  }
  void lose(const Graph& g, Memory& m, Real* logits, std::size_t from, std::size_t count) const {
    m.backend->cross_entropy(g.full_value(m, losses) + from, logits, head.stride, m.targets + from, count,
                             head.vocabulary, head.softcap, m.loss_scale);
  }
  void forward(const Graph& g, Memory& m) const override {
    if (m.loss_scale > 0) return;
    const NormedRows& normed = head.normed;
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      Pieces pieces(g, m);
      Real *x = pieces.take(normed.block * normed.width), *logits = pieces.take(normed.block * head.stride);
      head.make(g, m, logits, x, from, count);
      lose(g, m, logits, from, count);
    });
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    const NormedRows& normed = head.normed;
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      Pieces pieces(g, m);
      Real *place = pieces.take(normed.block * normed.width), *d = pieces.take(normed.block * head.stride),
           *dx = pieces.take(normed.block * normed.width);
      const Real* x = head.make(g, m, d, place, from, count);
      lose(g, m, d, from, count);
      m.backend->full_product(g.parameter_gradient(m, head.weights), normed.width, {d, 1, head.stride},
                              {x, normed.width, 1}, head.vocabulary, normed.width, count, adds[1] || from > 0);
      m.backend->product(dx, normed.width, {d, head.stride, 1}, {g.read(m, head.weights), normed.width, 1}, count,
                         normed.width, head.vocabulary, nullptr);
      normed.pass_back(g, m, dx, x, from, count, adds[0] ? g.gradient(m, normed.in) : nullptr);
    });
  }
};

struct NormHead final : Op {
  Head head;
  TensorId out;
  NormHead(const Graph& g, TensorId o, Norm n, TensorId i, TensorId w, Full cap) : head(g, n, i, w, cap), out(o) {}
  const char* kind() const override { return "head"; }
  Ids reads() const override { return head.reads(); }
  Ids writes() const override { return head.normed.with_writes({out}); }
  Ids needed_by_backward() const override { return {}; }
  double flops() const override { return head.flops(); }
  std::size_t scratch_bytes() const override { return head.normed.room(); }
  void forward(const Graph& g, Memory& m) const override {
    in_blocks(head.normed.rows, head.normed.block, [&](std::size_t from, std::size_t count) {
      Real* to = g.value(m, out) + from * head.vocabulary;
      head.make(g, m, to, Pieces(g, m).take(head.normed.block * head.normed.width), from, count);
      if (head.softcap > 0) m.backend->softcap_forward(to, count * head.vocabulary, head.softcap);
    });
  }
  void backward(const Graph&, Memory&, const std::vector<bool>&) const override {}
};

}  // namespace

std::unique_ptr<Op> norm_head_loss(const Graph& graph, TensorId losses, Norm norm, TensorId in, TensorId weights,
                                   Full softcap) {
  return std::make_unique<NormHeadLoss>(graph, losses, norm, in, weights, softcap);
}
std::unique_ptr<Op> norm_head(const Graph& graph, TensorId logits, Norm norm, TensorId in, TensorId weights,
                              Full softcap) {
  return std::make_unique<NormHead>(graph, logits, norm, in, weights, softcap);
}

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
