// The head behind its norm: logits, or their cross-entropy without ever having all of them.
#include "workers/model/ops.h"
#include "workers/model/rows.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {
namespace {

// Logits of a block of rows.
struct Head {
  NormedRows normed;
  TensorId weights;
  std::size_t vocabulary;
  Full softcap;
  Head(const Graph& g, TensorId r, TensorId i, TensorId w, Full cap)
      : normed(g, r, i, g.tensor(w).rows), weights(w), vocabulary(g.tensor(w).rows), softcap(cap) {}
  Ids reads() const { return {normed.in, weights}; }
  double flops() const { return product_flops(normed.rows, normed.width, vocabulary); }
  void make(const Graph& g, Memory& m, Real* to, Real* x, std::size_t from, std::size_t count) const {
    normed.make(g, m, x, from, count);
    kernels::linear_forward(*m.backend, to, x, g.read(m, weights), count, normed.width, vocabulary);
  }
};

struct NormHeadLoss final : Op {
  Head head;
  TensorId losses;
  NormHeadLoss(const Graph& g, TensorId l, TensorId r, TensorId i, TensorId w, Full cap)
      : head(g, r, i, w, cap), losses(l) {}
  const char* kind() const override { return "head and loss"; }
  Ids reads() const override { return head.reads(); }
  Ids writes() const override { return {head.normed.rstd, losses}; }
  Ids needed_by_backward() const override { return {head.normed.in, head.normed.rstd}; }
  double flops() const override { return head.flops(); }
  std::size_t scratch_bytes() const override {
    return 2 * head.normed.room() + room_for<Real>(head.normed.block * head.vocabulary);
  }
  void lose(const Graph& g, Memory& m, Real* logits, std::size_t from, std::size_t count) const {
    m.backend->cross_entropy(g.full_value(m, losses) + from, logits, m.targets + from, count, head.vocabulary,
                             head.softcap, m.loss_scale);
  }
  void forward(const Graph& g, Memory& m) const override {
    if (m.loss_scale > 0) return;
    const NormedRows& normed = head.normed;
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      Pieces pieces(g, m);
      Real *x = pieces.take(normed.block * normed.width), *logits = pieces.take(normed.block * head.vocabulary);
      head.make(g, m, logits, x, from, count);
      lose(g, m, logits, from, count);
    });
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    const NormedRows& normed = head.normed;
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      Pieces pieces(g, m);
      Real *x = pieces.take(normed.block * normed.width), *d = pieces.take(normed.block * head.vocabulary),
           *dx = pieces.take(normed.block * normed.width);
      head.make(g, m, d, x, from, count);
      lose(g, m, d, from, count);
      kernels::linear_backward_weights(*m.backend, g.parameter_gradient(m, head.weights), d, x, count, normed.width,
                                       head.vocabulary, adds[1] || from > 0);
      kernels::linear_backward_input(*m.backend, dx, d, g.read(m, head.weights), count, normed.width, head.vocabulary,
                                     false);
      normed.pass_back(g, m, dx, from, count, adds[0]);
    });
  }
};

struct NormHead final : Op {
  Head head;
  TensorId out;
  NormHead(const Graph& g, TensorId o, TensorId r, TensorId i, TensorId w, Full cap) : head(g, r, i, w, cap), out(o) {}
  const char* kind() const override { return "head"; }
  Ids reads() const override { return head.reads(); }
  Ids writes() const override { return {out, head.normed.rstd}; }
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

std::unique_ptr<Op> norm_head_loss(const Graph& graph, TensorId losses, TensorId rstd, TensorId in, TensorId weights,
                                   Full softcap) {
  return std::make_unique<NormHeadLoss>(graph, losses, rstd, in, weights, softcap);
}
std::unique_ptr<Op> norm_head(const Graph& graph, TensorId logits, TensorId rstd, TensorId in, TensorId weights,
                              Full softcap) {
  return std::make_unique<NormHead>(graph, logits, rstd, in, weights, softcap);
}

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
