#include "workers/model/ops.h"

#include <algorithm>
#include <cstring>

namespace overnight::workers::inline OVERNIGHT_PRECISION {
namespace {

using Ids = std::vector<TensorId>;

constexpr std::size_t block_floats = 131072;  // of the widest tensor: half a MiB, to stay in the second-level cache
constexpr std::size_t block_rows_min = 64, block_rows_max = 512;  // fewer would waste the packing of the weights

std::size_t block_rows(std::size_t rows, std::size_t widest) {
  return std::min(rows, std::clamp(block_floats / widest / 16 * 16, block_rows_min, block_rows_max));
}

// Calls walk(first row, number of rows) block by block.
template <typename Walk>
void in_blocks(std::size_t rows, std::size_t block, const Walk& walk) {
  for (std::size_t from = 0; from < rows; from += block) walk(from, std::min(block, rows - from));
}

double product_flops(std::size_t rows, std::size_t inputs, std::size_t outputs) {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(inputs) * static_cast<double>(outputs);
}

// to = from, or to += from.
void pass_on(const Memory& m, Real* to, const Real* from, std::size_t count, bool add) {
  if (add) {
    m.backend->add(to, from, count);
  } else {
    std::memcpy(to, from, count * sizeof(Real));
  }
}

// A parameter's gradient that ops add to begins at zero, if nobody has written it.
void begin_gradient(const Graph& g, Memory& m, TensorId parameter, bool adds) {
  if (!adds) std::memset(g.gradient(m, parameter), 0, g.tensor(parameter).count() * sizeof(Real));
}

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
  void forward(const Graph& g, Memory& m) const override {
    m.backend->embedding_forward(g.value(m, out), m.inputs, g.read(m, table), rows, width);
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    begin_gradient(g, m, table, adds[0]);
    m.backend->embedding_backward(g.gradient(m, table), m.inputs, g.gradient(m, out), rows, width);
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
    m.backend->rmsnorm_forward(g.value(m, out), g.value(m, rstd), g.read(m, in), rows, width);
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    m.backend->rmsnorm_backward(g.gradient(m, in), g.gradient(m, out), g.read(m, in), g.read(m, rstd), rows, width,
                                adds[0]);
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
        block(block_rows(rows, std::max(inputs, outputs))) {}
  const char* kind() const override { return "mixer out"; }
  Ids reads() const override { return {in, weights, residual}; }
  Ids writes() const override { return {out}; }
  Ids needed_by_backward() const override { return {in}; }
  double flops() const override { return product_flops(rows, inputs, outputs); }
  void forward(const Graph& g, Memory& m) const override {
    in_blocks(rows, block, [&](std::size_t from, std::size_t count) {
      Real* to = g.value(m, out) + from * outputs;
      std::memcpy(to, g.read(m, residual) + from * outputs, count * outputs * sizeof(Real));
      kernels::linear_forward(*m.backend, to, g.read(m, in) + from * inputs, g.read(m, weights), count, inputs, outputs,
                              true);
    });
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    in_blocks(rows, block, [&](std::size_t from, std::size_t count) {
      const Real* dout = g.gradient(m, out) + from * outputs;
      kernels::linear_backward_input(*m.backend, g.gradient(m, in) + from * inputs, dout, g.read(m, weights), count,
                                     inputs, outputs, adds[0]);
      kernels::linear_backward_weights(*m.backend, g.gradient(m, weights), dout, g.read(m, in) + from * inputs, count,
                                       inputs, outputs, adds[1] || from > 0);
      pass_on(m, g.gradient(m, residual) + from * outputs, dout, count * outputs, adds[2]);
    });
  }
};

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

struct NormLinear final : Op {
  const char* name;
  NormedRows normed;
  TensorId out, weights;
  std::size_t outputs;
  NormLinear(const Graph& g, const char* n, TensorId o, TensorId r, TensorId i, TensorId w)
      : name(n), normed(g, r, i, g.tensor(o).columns), out(o), weights(w), outputs(g.tensor(o).columns) {}
  const char* kind() const override { return name; }
  Ids reads() const override { return {normed.in, weights}; }
  Ids writes() const override { return {out, normed.rstd}; }
  Ids needed_by_backward() const override { return {normed.in, normed.rstd}; }
  double flops() const override { return product_flops(normed.rows, normed.width, outputs); }
  std::size_t scratch_floats() const override { return 2 * normed.block * normed.width; }
  void forward(const Graph& g, Memory& m) const override {
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      normed.make(g, m, g.scratch(m), from, count);
      kernels::linear_forward(*m.backend, g.value(m, out) + from * outputs, g.scratch(m), g.read(m, weights), count,
                              normed.width, outputs, false);
    });
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      Real* x = g.scratch(m);
      Real* dx = x + normed.block * normed.width;
      const Real* dout = g.gradient(m, out) + from * outputs;
      normed.make(g, m, x, from, count);
      kernels::linear_backward_weights(*m.backend, g.gradient(m, weights), dout, x, count, normed.width, outputs,
                                       adds[1] || from > 0);
      kernels::linear_backward_input(*m.backend, dx, dout, g.read(m, weights), count, normed.width, outputs, false);
      normed.pass_back(g, m, dx, from, count, adds[0]);
    });
  }
};

// The rotary table is made once and shared by all lanes.
std::shared_ptr<const std::vector<Real>> turns_of(kernels::AttentionShape shape, double base) {
  auto turns = std::make_shared<std::vector<Real>>(shape.context * shape.head_size);
  kernels::rotary_table(turns->data(), shape.context, shape.head_size, base);
  return turns;
}

struct NormQkv final : Op {
  NormedRows normed;
  TensorId qkv, rstd_qk, weights;
  kernels::AttentionShape shape;
  std::size_t outputs;
  std::shared_ptr<const std::vector<Real>> turns;
  std::optional<ValueEmbedding> embedding;
  NormQkv(const Graph& g, TensorId o, TensorId r, TensorId rqk, TensorId i, TensorId w, kernels::AttentionShape s,
          double base, std::optional<ValueEmbedding> e)
      : normed(g, r, i, g.tensor(o).columns),
        qkv(o),
        rstd_qk(rqk),
        weights(w),
        shape(s),
        outputs(g.tensor(o).columns),
        turns(turns_of(s, base)),
        embedding(e) {}
  const char* kind() const override { return "mixer in"; }
  Ids reads() const override {
    Ids ids{normed.in, weights};
    if (embedding) ids.insert(ids.end(), {embedding->table, embedding->gate});
    return ids;
  }
  kernels::ValueEmbeddingOf<const Real> read_embedding(const Graph& g, const Memory& m) const {
    return {g.read(m, embedding->table), g.read(m, embedding->gate)};
  }
  Ids writes() const override { return {qkv, normed.rstd, rstd_qk}; }
  Ids needed_by_backward() const override { return {normed.in, normed.rstd, rstd_qk, qkv}; }
  double flops() const override { return product_flops(normed.rows, normed.width, outputs); }
  std::size_t scratch_floats() const override { return normed.block * (2 * normed.width + outputs); }
  void forward(const Graph& g, Memory& m) const override {
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      Real* product = g.scratch(m) + 2 * normed.block * normed.width;
      normed.make(g, m, g.scratch(m), from, count);
      kernels::linear_forward(*m.backend, product, g.scratch(m), g.read(m, weights), count, normed.width, outputs,
                              false);
      if (embedding)
        m.backend->value_embedding_forward(product, g.scratch(m), normed.width, m.inputs + from, read_embedding(g, m),
                                           shape, count);
      m.backend->qk_forward(product, g.value(m, rstd_qk) + from * (shape.heads + shape.key_heads()), turns->data(),
                            shape, from, count);
      std::memcpy(g.value(m, qkv) + from * outputs, product, count * outputs * sizeof(Real));
    });
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    if (embedding) {
      begin_gradient(g, m, embedding->table, adds[2]);
      begin_gradient(g, m, embedding->gate, adds[3]);
    }
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      Real* x = g.scratch(m);
      Real* dx = x + normed.block * normed.width;
      Real* dqkv = g.gradient(m, qkv) + from * outputs;
      m.backend->qk_backward(dqkv, g.read(m, qkv) + from * outputs,
                             g.read(m, rstd_qk) + from * (shape.heads + shape.key_heads()), turns->data(), shape, from,
                             count);
      normed.make(g, m, x, from, count);
      kernels::linear_backward_weights(*m.backend, g.gradient(m, weights), dqkv, x, count, normed.width, outputs,
                                       adds[1] || from > 0);
      kernels::linear_backward_input(*m.backend, dx, dqkv, g.read(m, weights), count, normed.width, outputs, false);
      if (embedding)
        m.backend->value_embedding_backward(dx, {g.gradient(m, embedding->table), g.gradient(m, embedding->gate)}, dqkv,
                                            x, normed.width, m.inputs + from, read_embedding(g, m), shape, count);
      normed.pass_back(g, m, dx, from, count, adds[0]);
    });
  }
};

struct Attention final : Op {
  TensorId out, log_sums, qkv;
  kernels::AttentionShape shape;
  Attention(TensorId o, TensorId l, TensorId x, kernels::AttentionShape s) : out(o), log_sums(l), qkv(x), shape(s) {}
  const char* kind() const override { return "attention"; }
  Ids reads() const override { return {qkv}; }
  Ids writes() const override { return {out, log_sums}; }
  Ids needed_by_backward() const override { return {log_sums, qkv}; }
  double flops() const override {  // both products, of the keys that each token sees
    double seen = 0;
    for (std::size_t t = 0; t < shape.context; ++t) seen += static_cast<double>(t + 1 - shape.first_seen(t));
    return 4.0 * static_cast<double>(shape.batch * shape.width()) * seen;
  }
  std::size_t scratch_floats() const override { return kernels::attention_scratch(shape); }
  void forward(const Graph& g, Memory& m) const override {
    m.backend->attention_forward(g.value(m, out), g.value(m, log_sums), g.read(m, qkv), g.scratch(m), shape);
  }
  // All of dqkv is this op's: nobody else reads queries, keys and values.
  void backward(const Graph& g, Memory& m, const std::vector<bool>&) const override {
    m.backend->attention_backward(g.gradient(m, qkv), g.gradient(m, out), g.read(m, log_sums), g.read(m, qkv),
                                  g.scratch(m), shape);
  }
};

struct NormMlp final : Op {
  NormedRows normed;
  Activation f;
  TensorId out, hidden, up, down;
  std::size_t inner, before;  // width behind f, and before it
  NormMlp(const Graph& g, Activation a, TensorId o, TensorId h, TensorId r, TensorId i, TensorId u, TensorId d)
      : normed(g, r, i, g.tensor(h).columns),
        f(a),
        out(o),
        hidden(h),
        up(u),
        down(d),
        inner(g.tensor(d).columns),
        before(g.tensor(h).columns) {}
  const char* kind() const override { return "mlp"; }
  Ids reads() const override { return {normed.in, up, down}; }
  Ids writes() const override { return {out, hidden, normed.rstd}; }
  Ids needed_by_backward() const override { return {normed.in, normed.rstd, hidden}; }
  double flops() const override {
    return product_flops(normed.rows, normed.width, before) + product_flops(normed.rows, inner, normed.width);
  }
  std::size_t scratch_floats() const override { return normed.block * (2 * normed.width + before + inner); }

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
      Real* h = g.value(m, hidden) + from * before;
      Real* y = g.value(m, out) + from * width;
      Real* product = g.scratch(m) + 2 * normed.block * width;  // what a product writes to should be in the cache
      normed.make(g, m, g.scratch(m), from, count);
      kernels::linear_forward(*m.backend, product, g.scratch(m), g.read(m, up), count, width, before, false);
      if (f == Activation::relu2) {
        m.backend->relu2_forward(h, product, count * inner);
      } else {
        std::memcpy(h, product, count * before * sizeof(Real));
      }
      const Real* a = activated(m, h, product + normed.block * before, count);
      std::memcpy(y, g.read(m, normed.in) + from * width, count * width * sizeof(Real));
      kernels::linear_forward(*m.backend, y, a, g.read(m, down), count, inner, width, true);
    });
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    const std::size_t width = normed.width;
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      Real* x = g.scratch(m);
      Real* dx = x + normed.block * width;
      Real* dbefore = dx + normed.block * width;
      Real* room = dbefore + normed.block * before;
      const Real* h = g.read(m, hidden) + from * before;
      const Real* dy = g.gradient(m, out) + from * width;
      kernels::linear_backward_weights(*m.backend, g.gradient(m, down), dy, activated(m, h, room, count), count, inner,
                                       width, adds[2] || from > 0);
      Real* dactivated = f == Activation::swiglu ? room : dbefore;
      kernels::linear_backward_input(*m.backend, dactivated, dy, g.read(m, down), count, inner, width, false);
      pass_back_f(m, dbefore, dactivated, h, count);
      normed.make(g, m, x, from, count);
      kernels::linear_backward_weights(*m.backend, g.gradient(m, up), dbefore, x, count, width, before,
                                       adds[1] || from > 0);
      kernels::linear_backward_input(*m.backend, dx, dbefore, g.read(m, up), count, width, before, false);
      pass_on(m, g.gradient(m, normed.in) + from * width, dy, count * width, adds[0]);
      normed.pass_back(g, m, dx, from, count, true);
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
    m.backend->blend_forward(g.value(m, out), g.read(m, a), g.read(m, b), g.read(m, shares), count);
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    begin_gradient(g, m, shares, adds[2]);
    m.backend->blend_backward(g.gradient(m, a), g.gradient(m, b), g.gradient(m, shares), g.gradient(m, out),
                              g.read(m, a), g.read(m, b), g.read(m, shares), count, adds[0], adds[1]);
  }
};

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
std::unique_ptr<Op> norm_linear(const Graph& graph, const char* kind, TensorId out, TensorId rstd, TensorId in,
                                TensorId weights) {
  return std::make_unique<NormLinear>(graph, kind, out, rstd, in, weights);
}
std::unique_ptr<Op> norm_qkv(const Graph& graph, TensorId qkv, TensorId rstd, TensorId rstd_qk, TensorId in,
                             TensorId weights, kernels::AttentionShape shape, double base,
                             std::optional<ValueEmbedding> embedding) {
  return std::make_unique<NormQkv>(graph, qkv, rstd, rstd_qk, in, weights, shape, base, embedding);
}
std::unique_ptr<Op> attention(const Graph&, TensorId out, TensorId log_sums, TensorId qkv,
                              kernels::AttentionShape shape) {
  return std::make_unique<Attention>(out, log_sums, qkv, shape);
}
std::unique_ptr<Op> norm_mlp(const Graph& graph, Activation f, TensorId out, TensorId hidden, TensorId rstd,
                             TensorId in, TensorId up, TensorId down) {
  return std::make_unique<NormMlp>(graph, f, out, hidden, rstd, in, up, down);
}
std::unique_ptr<Op> blend(const Graph& graph, TensorId out, TensorId a, TensorId b, TensorId shares) {
  return std::make_unique<Blend>(graph, out, a, b, shares);
}
std::unique_ptr<Op> norm_head_loss(const Graph& graph, TensorId rstd, TensorId in, TensorId weights, Real softcap) {
  return std::make_unique<NormHeadLoss>(graph, rstd, in, weights, softcap);
}
std::unique_ptr<Op> norm_head(const Graph& graph, TensorId logits, TensorId rstd, TensorId in, TensorId weights,
                              Real softcap) {
  return std::make_unique<NormHead>(graph, logits, rstd, in, weights, softcap);
}

}  // namespace overnight::workers::inline OVERNIGHT_PRECISION
