#include "workers/model/ops.h"

#include "workers/model/rows.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {
namespace {

struct Embedding final : Op {
  TensorId out, table;
  std::size_t rows, width;
  Embedding(const Graph& g, TensorId o, TensorId t)
      : out(o), table(t), rows(g.tensor(o).rows), width(g.tensor(o).columns) {}
  const char* kind() const override { return "embedding"; }
  Ids reads() const override { return {table}; }
  Ids writes() const override { return {out}; }
  Ids needed_by_backward() const override { return {}; }
  double flops() const override { return 0; }
  std::size_t scratch_bytes() const override { return room_for<Full>(kernels::embedding_scratch(rows, width)); }
  void forward(const Graph& g, Memory& m) const override {
    m.backend->embedding_forward(g.value(m, out), m.inputs, g.read(m, table), rows, width);
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    begin_gradient(g, m, table, adds[0]);
    m.backend->embedding_backward(g.parameter_gradient(m, table), m.inputs, m.order, g.gradient(m, out),
                                  Pieces(g, m).take<Full>(kernels::embedding_scratch(rows, width)), rows, width);
  }
};

struct RmsNorm final : Op {
  TensorId out, rstd, in;
  std::size_t rows, width;
  RmsNorm(const Graph& g, TensorId o, TensorId r, TensorId i)
      : out(o), rstd(r), in(i), rows(g.tensor(o).rows), width(g.tensor(o).columns) {}
  const char* kind() const override { return "norm"; }
  Ids reads() const override { return {in}; }
  Ids writes() const override { return {out, rstd}; }
  Ids needed_by_backward() const override { return {in, rstd}; }
  double flops() const override { return 4.0 * static_cast<double>(rows * width); }
  void forward(const Graph& g, Memory& m) const override {
    m.backend->rmsnorm_forward(g.value(m, out), g.full_value(m, rstd), g.read(m, in), rows, width);
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    Real* din = g.gradient(m, in);
    m.backend->rmsnorm_backward(din, g.gradient(m, out), g.read(m, in), false, g.read_full(m, rstd), rows, width,
                                adds[0] ? din : nullptr);
  }
};

struct ResidualLinear final : Op {
  TensorId out, in, weights, residual;
  std::size_t rows, inputs, outputs, block;
  ResidualLinear(const Graph& g, TensorId o, TensorId i, TensorId w, TensorId r)
      : out(o),
        in(i),
        weights(w),
        residual(r),
        rows(g.tensor(o).rows),
        inputs(g.tensor(i).columns),
        outputs(g.tensor(o).columns),
        block(block_rows(g, rows, std::max(inputs, outputs))) {}
  const char* kind() const override { return "mixer out"; }
  Ids reads() const override { return {in, weights, residual}; }
  Ids writes() const override { return {out}; }
  Ids needed_by_backward() const override { return {in}; }
  std::optional<TensorId> hands_on_gradient() const override { return residual; }
  double flops() const override { return product_flops(rows, inputs, outputs); }
  void forward(const Graph& g, Memory& m) const override {
    in_blocks(rows, block, [&](std::size_t from, std::size_t count) {
      kernels::linear_forward(*m.backend, g.value(m, out) + from * outputs, g.read(m, in) + from * inputs,
                              g.read(m, weights), count, inputs, outputs, g.read(m, residual) + from * outputs);
    });
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    in_blocks(rows, block, [&](std::size_t from, std::size_t count) {
      const Real* dout = g.gradient(m, out) + from * outputs;
      kernels::linear_backward_input(*m.backend, g.gradient(m, in) + from * inputs, dout, g.read(m, weights), count,
                                     inputs, outputs, adds[0]);
      kernels::linear_backward_weights(*m.backend, g.parameter_gradient(m, weights), dout,
                                       g.read(m, in) + from * inputs, count, inputs, outputs, adds[1] || from > 0);
      pass_on(m, g.gradient(m, residual) + from * outputs, dout, count * outputs, adds[2]);
    });
  }
};

struct NormLinear final : Op {
  const char* name;
  NormedRows normed;
  TensorId out, weights;
  std::size_t outputs, stride;  // rows of `out` may be longer than what is made
  NormLinear(const Graph& g, const char* kind_name, TensorId o, Norm n, TensorId i, TensorId w)
      : name(kind_name),
        normed(g, n, i, g.tensor(o).columns),
        out(o),
        weights(w),
        outputs(g.tensor(w).rows),
        stride(g.tensor(o).columns) {}
  const char* kind() const override { return name; }
  Ids reads() const override { return {normed.in, weights}; }
  Ids writes() const override { return normed.with_writes({out}); }
  Ids needed_by_backward() const override { return normed.kept(); }
  double flops() const override { return product_flops(normed.rows, normed.width, outputs); }
  std::size_t scratch_bytes() const override { return 2 * normed.room(); }
  void forward(const Graph& g, Memory& m) const override {
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      const Real* x = normed.make(g, m, Pieces(g, m).take(normed.block * normed.width), from, count);
      m.backend->product(g.value(m, out) + from * stride, stride, {x, normed.width, 1},
                         {g.read(m, weights), 1, normed.width}, count, outputs, normed.width, nullptr);
    });
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      Pieces pieces(g, m);
      const Real* x = normed.made(g, m, pieces.take(normed.block * normed.width), from, count);
      Real* dx = pieces.take(normed.block * normed.width);
      const Real* dout = g.gradient(m, out) + from * stride;
      m.backend->full_product(g.parameter_gradient(m, weights), normed.width, {dout, 1, stride}, {x, normed.width, 1},
                              outputs, normed.width, count, adds[1] || from > 0);
      m.backend->product(dx, normed.width, {dout, stride, 1}, {g.read(m, weights), normed.width, 1}, count,
                         normed.width, outputs, nullptr);
      normed.pass_back(g, m, dx, x, from, count, adds[0] ? g.gradient(m, normed.in) : nullptr);
    });
  }
};

struct Blend final : Op {
  TensorId out, a, b, shares;
  std::size_t count;
  Blend(const Graph& g, TensorId o, TensorId x, TensorId y, TensorId s)
      : out(o), a(x), b(y), shares(s), count(g.tensor(o).count()) {}
  const char* kind() const override { return "blend"; }
  Ids reads() const override { return {a, b, shares}; }
  Ids writes() const override { return {out}; }
  Ids needed_by_backward() const override { return {a, b}; }
  double flops() const override { return 3.0 * static_cast<double>(count); }
  void forward(const Graph& g, Memory& m) const override {
    m.backend->blend_forward(g.value(m, out), g.read(m, a), g.read(m, b), g.read_full(m, shares), count);
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    begin_gradient(g, m, shares, adds[2]);
    m.backend->blend_backward(g.gradient(m, a), g.gradient(m, b), g.parameter_gradient(m, shares), g.gradient(m, out),
                              g.read(m, a), g.read(m, b), g.read_full(m, shares), count, adds[0], adds[1]);
  }
};

}  // namespace

std::unique_ptr<Op> embedding(const Graph& graph, TensorId out, TensorId table) {
  return std::make_unique<Embedding>(graph, out, table);
}
std::unique_ptr<Op> rmsnorm(const Graph& graph, TensorId out, TensorId rstd, TensorId in) {
  return std::make_unique<RmsNorm>(graph, out, rstd, in);
}
std::unique_ptr<Op> residual_linear(const Graph& graph, TensorId out, TensorId in, TensorId weights,
                                    TensorId residual) {
  return std::make_unique<ResidualLinear>(graph, out, in, weights, residual);
}
std::unique_ptr<Op> norm_linear(const Graph& graph, const char* kind, TensorId out, Norm norm, TensorId in,
                                TensorId weights) {
  return std::make_unique<NormLinear>(graph, kind, out, norm, in, weights);
}
std::unique_ptr<Op> blend(const Graph& graph, TensorId out, TensorId a, TensorId b, TensorId shares) {
  return std::make_unique<Blend>(graph, out, a, b, shares);
}

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
