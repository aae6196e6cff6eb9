// Attention, and the projection before it with normalised and turned queries and keys.
#include "workers/model/ops.h"
#include "workers/model/rows.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {
namespace {

// A rotary table is one of the graph's constants.
std::vector<Full> turns_of(kernels::AttentionShape shape, double base) {
  std::vector<Full> turns(shape.context * shape.head_size);
  kernels::rotary_table(turns.data(), shape.context, shape.head_size, base);
  return turns;
}

struct NormQkv final : Op {
  NormedRows normed;
  TensorId qkv, rstd_qk, weights;
  kernels::AttentionShape shape;
  std::size_t outputs;
  std::size_t turns;  // in the constants
  std::optional<ValueEmbedding> embedding;
  NormQkv(const Graph& g, TensorId o, Norm n, TensorId rqk, TensorId i, TensorId w, kernels::AttentionShape s,
          std::size_t turns_at, std::optional<ValueEmbedding> e)
      : normed(g, n, i, g.tensor(o).columns),
        qkv(o),
        rstd_qk(rqk),
        weights(w),
        shape(s),
        outputs(g.tensor(o).columns),
        turns(turns_at),
        embedding(e) {
    // A GPU sums the table's gradient over all rows, ordered by token, at once.
    if (embedding && g.walk() == Walk::device) normed.block = normed.rows;
  }
  const char* kind() const override { return "mixer in"; }
  Ids reads() const override {
    Ids ids{normed.in, weights};
    if (embedding) ids.insert(ids.end(), {embedding->table, embedding->gate});
    return ids;
  }
  kernels::ValueEmbeddingOf<const Real, const Full> read_embedding(const Graph& g, const Memory& m) const {
    return {g.read(m, embedding->table), g.read_full(m, embedding->gate)};
  }
  Ids writes() const override { return normed.with_writes({qkv, rstd_qk}); }
  Ids needed_by_backward() const override {
    Ids ids = normed.kept();
    ids.insert(ids.end(), {rstd_qk, qkv});
    return ids;
  }
  double flops() const override { return product_flops(normed.rows, normed.width, outputs); }
  std::size_t scratch_bytes() const override {
    const std::size_t of_embedding = embedding ? kernels::value_embedding_scratch(normed.rows, shape) : 0;
    return 2 * normed.room() + std::max(room_for<Real>(normed.block * outputs), room_for<Full>(of_embedding));
  }
  void forward(const Graph& g, Memory& m) const override {
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      Pieces pieces(g, m);
      const Real* x = normed.make(g, m, pieces.take(normed.block * normed.width), from, count);
      Real* to = g.value(m, qkv) + from * outputs;
      Real* product =
          g.walk() == Walk::cache ? pieces.take(normed.block * outputs) : to;  // what is worked on is cached
      kernels::linear_forward(*m.backend, product, x, g.read(m, weights), count, normed.width, outputs);
      if (embedding)
        m.backend->value_embedding_forward(product, x, normed.width, m.inputs + from, read_embedding(g, m), shape,
                                           count);
      m.backend->qk_forward(product, g.full_value(m, rstd_qk) + from * (shape.heads + shape.key_heads()),
                            g.constant(m, turns), shape, from, count);
      if (product != to) copy(m, to, product, count * outputs);
    });
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    if (embedding) {
      begin_gradient(g, m, embedding->table, adds[2]);
      begin_gradient(g, m, embedding->gate, adds[3]);
    }
    in_blocks(normed.rows, normed.block, [&](std::size_t from, std::size_t count) {
      Pieces pieces(g, m);
      Real *place = pieces.take(normed.block * normed.width), *dx = pieces.take(normed.block * normed.width);
      Real* dqkv = g.gradient(m, qkv) + from * outputs;
      m.backend->qk_backward(dqkv, g.read(m, qkv) + from * outputs,
                             g.read_full(m, rstd_qk) + from * (shape.heads + shape.key_heads()), g.constant(m, turns),
                             shape, from, count);
      const Real* x = normed.made(g, m, place, from, count);
      kernels::linear_backward_weights(*m.backend, g.parameter_gradient(m, weights), dqkv, x, count, normed.width,
                                       outputs, adds[1] || from > 0);
      kernels::linear_backward_input(*m.backend, dx, dqkv, g.read(m, weights), count, normed.width, outputs, false);
      if (embedding)
        m.backend->value_embedding_backward(
            dx, {g.parameter_gradient(m, embedding->table), g.parameter_gradient(m, embedding->gate)}, dqkv, x,
            normed.width, m.inputs + from, m.order, read_embedding(g, m), pieces.take<Full>(0), shape, count);
      normed.pass_back(g, m, dx, x, from, count, adds[0] ? g.gradient(m, normed.in) : nullptr);
    });
  }
};

struct Attention final : Op {
  TensorId out, log_sums, qkv;
  kernels::AttentionShape shape;
  bool on_device;
  Attention(const Graph& g, TensorId o, TensorId l, TensorId x, kernels::AttentionShape s)
      : out(o), log_sums(l), qkv(x), shape(s), on_device(g.walk() == Walk::device) {}
  const char* kind() const override { return "attention"; }
  Ids reads() const override { return {qkv}; }
  Ids writes() const override { return {out, log_sums}; }
  Ids needed_by_backward() const override { return {out, log_sums, qkv}; }
  double flops() const override {  // both products, of the keys that each token sees
    double seen = 0;
    for (std::size_t t = 0; t < shape.context; ++t) seen += static_cast<double>(t + 1 - shape.first_seen(t));
    return 4.0 * static_cast<double>(shape.batch * shape.width()) * seen;
  }
  std::string off_matrix_unit(const kernels::DeviceOps& ops) const override {
    if (ops.attention_suits(shape)) return "";
    const bool right = shape.head_size == 64 || shape.head_size == 128;
    return "attention with heads of " + std::to_string(shape.head_size) +
           (right ? " (this GPU has too little shared memory for it)" : " (the matrix unit takes 64 and 128)");
  }
  std::size_t scratch_bytes() const override {
    return room_for<Full>(on_device ? kernels::device_attention_scratch(shape) : kernels::attention_scratch(shape));
  }
  void forward(const Graph& g, Memory& m) const override {
    m.backend->attention_forward(g.value(m, out), g.full_value(m, log_sums), g.read(m, qkv), Pieces(g, m).take<Full>(0),
                                 shape);
  }
  // All of dqkv is this op's: nobody else reads queries, keys and values.
  void backward(const Graph& g, Memory& m, const std::vector<bool>&) const override {
    m.backend->attention_backward(g.gradient(m, qkv), g.gradient(m, out), g.read(m, out), g.read_full(m, log_sums),
                                  g.read(m, qkv), Pieces(g, m).take<Full>(0), shape);
  }
};

}  // namespace

std::unique_ptr<Op> norm_qkv(Graph& graph, TensorId qkv, Norm norm, TensorId rstd_qk, TensorId in, TensorId weights,
                             kernels::AttentionShape shape, double base, std::optional<ValueEmbedding> embedding) {
  const std::size_t turns = graph.add_constants(turns_of(shape, base));
  return std::make_unique<NormQkv>(graph, qkv, norm, rstd_qk, in, weights, shape, turns, embedding);
}
std::unique_ptr<Op> attention(const Graph& graph, TensorId out, TensorId log_sums, TensorId qkv,
                              kernels::AttentionShape shape) {
  return std::make_unique<Attention>(graph, out, log_sums, qkv, shape);
}

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
