// The head behind its norm: logits, or their cross-entropy without ever having all of them.
#include "workers/model/ops.h"
#include "workers/model/rows.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {
namespace {

// Logits of a block of rows, in the scratch.
struct Head {
  NormedRows normed;
  TensorId weights;
  std::size_t vocabulary;
  Real softcap;
  Head(const Graph& g, TensorId r, TensorId i, TensorId w, Real cap)
      : normed(g, r, i, g.tensor(w).rows), weights(w), vocabulary(g.tensor(w).rows), softcap(cap) {}
  Ids reads() const { return {normed.in, weights}; }
  double flops() const { return product_flops(normed.rows, normed.width, vocabulary); }
  std::size_t scratch_floats() const { return normed.block * (2 * normed.width + (softcap > 0 ? 2 : 1) * vocabulary); }
  Real* logits(const Graph& g, Memory& m) const { return g.scratch(m) + 2 * normed.block * normed.width; }
  Real* capped(const Graph& g, Memory& m) const { return logits(g, m) + normed.block * vocabulary; }
  void make(const Graph& g, Memory& m, std::size_t from, std::size_t count) const {
    normed.make(g, m, g.scratch(m), from, count);
    kernels::linear_forward(*m.backend, logits(g, m), g.scratch(m), g.read(m, weights), count, normed.width, vocabulary,
                            false);
    if (softcap > 0) m.backend->softcap_forward(logits(g, m), count * vocabulary, softcap);
  }
};

struct NormHeadLoss final : Op {
  Head head;
  NormHeadLoss(const Graph& g, TensorId r, TensorId i, TensorId w, Real cap) : head(g, r, i, w, cap) {}
  const char* kind() const override { return "head and loss"; }
  Ids reads() const override { return head.reads(); }
  Ids writes() const override { return {head.normed.rstd}; }
  Ids needed_by_backward() const override { return {head.normed.in, head.normed.rstd}; }
  double flops() const override { return head.flops(); }
  std::size_t scratch_floats() const override { return head.scratch_floats(); }
  void forward(const Graph& g, Memory& m) const override {
    m.loss = 0;
    if (m.loss_scale > 0) return;
    in_blocks(head.normed.rows, head.normed.block, [&](std::size_t from, std::size_t count) {
      head.make(g, m, from, count);
      m.loss += m.backend->cross_entropy(head.logits(g, m), m.targets + from, count, head.vocabulary, 0);
    });
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    m.loss = 0;
    const NormedRows& normed = head.normed;
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      head.make(g, m, from, count);
      Real* d = head.logits(g, m);
      Real* dx = g.scratch(m) + normed.block * normed.width;
      const std::size_t floats = count * head.vocabulary;
      if (head.softcap > 0) std::memcpy(head.capped(g, m), d, floats * sizeof(Real));
      m.loss += m.backend->cross_entropy(d, m.targets + from, count, head.vocabulary, m.loss_scale);
      if (head.softcap > 0) m.backend->softcap_backward(d, head.capped(g, m), floats, head.softcap);
      kernels::linear_backward_weights(*m.backend, g.gradient(m, head.weights), d, g.scratch(m), count, normed.width,
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
  NormHead(const Graph& g, TensorId o, TensorId r, TensorId i, TensorId w, Real cap) : head(g, r, i, w, cap), out(o) {}
  const char* kind() const override { return "head"; }
  Ids reads() const override { return head.reads(); }
  Ids writes() const override { return {out, head.normed.rstd}; }
  Ids needed_by_backward() const override { return {}; }
  double flops() const override { return head.flops(); }
  std::size_t scratch_floats() const override { return head.scratch_floats(); }
  void forward(const Graph& g, Memory& m) const override {
    in_blocks(head.normed.rows, head.normed.block, [&](std::size_t from, std::size_t count) {
      head.make(g, m, from, count);
      std::memcpy(g.value(m, out) + from * head.vocabulary, head.logits(g, m), count * head.vocabulary * sizeof(Real));
    });
  }
  void backward(const Graph&, Memory&, const std::vector<bool>&) const override {}
};

}  // namespace

std::unique_ptr<Op> norm_head_loss(const Graph& graph, TensorId rstd, TensorId in, TensorId weights, Real softcap) {
  return std::make_unique<NormHeadLoss>(graph, rstd, in, weights, softcap);
}
std::unique_ptr<Op> norm_head(const Graph& graph, TensorId logits, TensorId rstd, TensorId in, TensorId weights,
                              Real softcap) {
  return std::make_unique<NormHead>(graph, logits, rstd, in, weights, softcap);
}

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
