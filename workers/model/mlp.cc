// The MLP behind its norm, with what it adds to.
#include "workers/model/ops.h"
#include "workers/model/rows.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {
namespace {

struct NormMlp final : Op {
  NormedRows normed;
  Activation f;
  TensorId out, hidden, up, down;
  std::size_t inner, before;  // width behind f, and before it
  NormMlp(const Graph& g, Activation a, TensorId o, TensorId h, Norm n, TensorId i, TensorId u, TensorId d)
      : normed(g, n, i, g.tensor(h).columns),
        f(a),
        out(o),
        hidden(h),
        up(u),
        down(d),
        inner(g.tensor(d).columns),
        before(g.tensor(h).columns) {}
  const char* kind() const override { return "mlp"; }
  Ids reads() const override { return {normed.in, up, down}; }
  Ids writes() const override { return normed.with_writes({out, hidden}); }
  Ids needed_by_backward() const override {
    Ids ids = normed.kept();
    ids.push_back(hidden);
    return ids;
  }
  std::optional<TensorId> hands_on_gradient() const override { return normed.in; }
  double flops() const override {
    return product_flops(normed.rows, normed.width, before) + product_flops(normed.rows, inner, normed.width);
  }
  std::size_t scratch_bytes() const override {
    return 2 * normed.room() + room_for<Real>(normed.block * before) + room_for<Real>(normed.block * inner);
  }

  // What f gives, from the kept values.
  const Real* activated(const Memory& m, const Real* kept, Real* room, std::size_t count) const {
    if (f == Activation::relu2) return kept;
    if (f == Activation::gelu) {
      m.backend->gelu_forward(room, kept, count * inner);
    } else {
      m.backend->swiglu_forward(room, kept, count, inner);
    }
    return room;
  }
  // d [count, before], from the gradient of what f gives. For relu2 and gelu both may be the same.
  void pass_back_f(const Memory& m, Real* d, const Real* dactivated, const Real* kept, std::size_t count) const {
    if (f == Activation::relu2) {
      m.backend->relu2_backward(d, dactivated, kept, count * inner);
    } else if (f == Activation::gelu) {
      m.backend->gelu_backward(d, dactivated, kept, count * inner);
    } else {
      m.backend->swiglu_backward(d, dactivated, kept, count, inner);
    }
  }

  void forward(const Graph& g, Memory& m) const override {
    const std::size_t width = normed.width;
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      Pieces pieces(g, m);
      const Real* x = normed.make(g, m, pieces.take(normed.block * width), from, count);
      Real* h = g.value(m, hidden) + from * before;
      Real *product = pieces.take(normed.block * before), *a = pieces.take(normed.block * inner);
      // What a product writes to should be in a CPU's cache; on a GPU a copy is dearer.
      const bool direct = g.walk() == Walk::device && f != Activation::relu2;
      if (direct) product = h;
      kernels::linear_forward(*m.backend, product, x, g.read(m, up), count, width, before);
      if (f == Activation::relu2) {
        m.backend->relu2_forward(h, product, count * inner);
      } else if (!direct) {
        copy(m, h, product, count * before);
      }
      kernels::linear_forward(*m.backend, g.value(m, out) + from * width, activated(m, h, a, count), g.read(m, down),
                              count, inner, width, g.read(m, normed.in) + from * width);
    });
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    const std::size_t width = normed.width;
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      Pieces pieces(g, m);
      Real *place = pieces.take(normed.block * width), *dx = pieces.take(normed.block * width),
           *dbefore = pieces.take(normed.block * before), *room = pieces.take(normed.block * inner);
      const Real* h = g.read(m, hidden) + from * before;
      const Real* dy = g.gradient(m, out) + from * width;
      kernels::linear_backward_weights(*m.backend, g.parameter_gradient(m, down), dy, activated(m, h, room, count),
                                       count, inner, width, adds[2] || from > 0);
      Real* dactivated = f == Activation::swiglu ? room : dbefore;
      kernels::linear_backward_input(*m.backend, dactivated, dy, g.read(m, down), count, inner, width, false);
      pass_back_f(m, dbefore, dactivated, h, count);
      const Real* x = normed.made(g, m, place, from, count);
      kernels::linear_backward_weights(*m.backend, g.parameter_gradient(m, up), dbefore, x, count, width, before,
                                       adds[1] || from > 0);
      kernels::linear_backward_input(*m.backend, dx, dbefore, g.read(m, up), count, width, before, false);
      Real* din = g.gradient(m, normed.in);
      if (adds[0]) pass_on(m, din + from * width, dy, count * width, true);
      normed.pass_back(g, m, dx, x, from, count, adds[0] ? din : g.gradient(m, out));
    });
  }
};

}  // namespace

std::unique_ptr<Op> norm_mlp(const Graph& graph, Activation f, TensorId out, TensorId hidden, Norm norm, TensorId in,
                             TensorId up, TensorId down) {
  return std::make_unique<NormMlp>(graph, f, out, hidden, norm, in, up, down);
}

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
