#include "workers/model/ops.h"

#include <cstring>

namespace overnight::workers {
namespace {

using Ids = std::vector<TensorId>;

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
    float* dtable = g.gradient(m, table);
    if (!adds[0]) std::memset(dtable, 0, g.tensor(table).count() * sizeof(float));
    m.backend->embedding_backward(dtable, m.inputs, g.gradient(m, out), rows, width);
  }
};

struct RmsNorm final : Op {
  TensorId out, rstd, in;
  std::size_t rows, width;
  RmsNorm(const Graph& g, TensorId o, TensorId r, TensorId i)
      : out(o), rstd(r), in(i), rows(g.tensor(o).rows), width(g.tensor(o).columns) {}
  const char* kind() const override { return "rmsnorm"; }
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

struct Linear final : Op {
  TensorId out, in, weights, residual;
  bool has_residual;
  std::size_t rows, inputs, outputs;
  Linear(const Graph& g, TensorId o, TensorId i, TensorId w, const TensorId* r)
      : out(o),
        in(i),
        weights(w),
        residual(r != nullptr ? *r : o),
        has_residual(r != nullptr),
        rows(g.tensor(o).rows),
        inputs(g.tensor(i).columns),
        outputs(g.tensor(o).columns) {}
  const char* kind() const override { return "linear"; }
  Ids reads() const override { return has_residual ? Ids{in, weights, residual} : Ids{in, weights}; }
  Ids writes() const override { return {out}; }
  Ids needed_by_backward() const override { return {in}; }
  double flops() const override {
    return 2.0 * static_cast<double>(rows) * static_cast<double>(inputs) * static_cast<double>(outputs);
  }
  void forward(const Graph& g, Memory& m) const override {
    if (has_residual) std::memcpy(g.value(m, out), g.read(m, residual), rows * outputs * sizeof(float));
    kernels::linear_forward(g.value(m, out), g.read(m, in), g.read(m, weights), rows, inputs, outputs, has_residual);
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    const float* dout = g.gradient(m, out);
    kernels::linear_backward_input(g.gradient(m, in), dout, g.read(m, weights), rows, inputs, outputs, adds[0]);
    kernels::linear_backward_weights(g.gradient(m, weights), dout, g.read(m, in), rows, inputs, outputs, adds[1]);
    if (!has_residual) return;
    float* dresidual = g.gradient(m, residual);
    if (adds[2]) {
      m.backend->add(dresidual, dout, rows * outputs);
    } else {
      std::memcpy(dresidual, dout, rows * outputs * sizeof(float));
    }
  }
};

// The rotary table is made once and shared by all lanes.
std::shared_ptr<const std::vector<float>> turns_of(kernels::AttentionShape shape) {
  auto turns = std::make_shared<std::vector<float>>(shape.context * shape.head_size);
  kernels::rotary_table(turns->data(), shape.context, shape.head_size);
  return turns;
}

struct QkNormRotary final : Op {
  TensorId qk, rstd, qkv;
  kernels::AttentionShape shape;
  std::shared_ptr<const std::vector<float>> turns;
  QkNormRotary(TensorId q, TensorId r, TensorId x, kernels::AttentionShape s)
      : qk(q), rstd(r), qkv(x), shape(s), turns(turns_of(s)) {}
  const char* kind() const override { return "qk norm and rotary"; }
  Ids reads() const override { return {qkv}; }
  Ids writes() const override { return {qk, rstd}; }
  Ids needed_by_backward() const override { return {qkv, rstd}; }
  double flops() const override {
    return 20.0 * static_cast<double>(shape.batch * shape.context * shape.heads * shape.head_size);
  }
  void forward(const Graph& g, Memory& m) const override {
    m.backend->qk_forward(g.value(m, qk), g.value(m, rstd), g.read(m, qkv), turns->data(), shape);
  }
  // Writes the first two thirds of dqkv, attention the last: neither adds.
  void backward(const Graph& g, Memory& m, const std::vector<bool>&) const override {
    m.backend->qk_backward(g.gradient(m, qkv), g.gradient(m, qk), g.read(m, qkv), g.read(m, rstd), turns->data(),
                           shape);
  }
};

struct Attention final : Op {
  TensorId out, weights, scratch, qk, qkv;
  kernels::AttentionShape shape;
  Attention(TensorId o, TensorId w, TensorId t, TensorId q, TensorId x, kernels::AttentionShape s)
      : out(o), weights(w), scratch(t), qk(q), qkv(x), shape(s) {}
  const char* kind() const override { return "attention"; }
  Ids reads() const override { return {qk, qkv}; }
  Ids writes() const override { return {out, weights, scratch}; }
  Ids needed_by_backward() const override { return {weights, scratch, qk, qkv}; }
  double flops() const override {  // the causal half of both products
    return 2.0 * static_cast<double>(shape.batch * shape.heads * shape.context) * static_cast<double>(shape.context) *
           static_cast<double>(shape.head_size);
  }
  void forward(const Graph& g, Memory& m) const override {
    m.backend->attention_forward(g.value(m, out), g.value(m, weights), g.read(m, qk), g.read(m, qkv), shape);
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>&) const override {
    m.backend->attention_backward(g.gradient(m, qk), g.gradient(m, qkv), g.gradient(m, out), g.read(m, weights),
                                  g.read(m, qk), g.read(m, qkv), g.value(m, scratch), shape);
  }
};

struct Relu2 final : Op {
  TensorId out, in;
  std::size_t count;
  Relu2(const Graph& g, TensorId o, TensorId i) : out(o), in(i), count(g.tensor(o).count()) {}
  const char* kind() const override { return "relu2"; }
  Ids reads() const override { return {in}; }
  Ids writes() const override { return {out}; }
  Ids needed_by_backward() const override { return {in}; }
  double flops() const override { return 2.0 * static_cast<double>(count); }
  void forward(const Graph& g, Memory& m) const override {
    m.backend->relu2_forward(g.value(m, out), g.read(m, in), count);
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    m.backend->relu2_backward(g.gradient(m, in), g.gradient(m, out), g.read(m, in), count, adds[0]);
  }
};

struct CrossEntropy final : Op {
  TensorId logits;
  std::size_t rows, width;
  CrossEntropy(const Graph& g, TensorId l) : logits(l), rows(g.tensor(l).rows), width(g.tensor(l).columns) {}
  const char* kind() const override { return "cross-entropy"; }
  Ids reads() const override { return {logits}; }
  Ids writes() const override { return {}; }
  Ids needed_by_backward() const override { return {logits}; }
  double flops() const override { return 10.0 * static_cast<double>(rows * width); }
  void forward(const Graph& g, Memory& m) const override {
    m.loss = m.backend->cross_entropy(g.value(m, logits), m.targets, rows, width, m.loss_scale);
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>&) const override {
    std::memcpy(g.gradient(m, logits), g.read(m, logits), rows * width * sizeof(float));
  }
};

}  // namespace

std::unique_ptr<Op> embedding(const Graph& graph, TensorId out, TensorId table) {
  return std::make_unique<Embedding>(graph, out, table);
}
std::unique_ptr<Op> rmsnorm(const Graph& graph, TensorId out, TensorId rstd, TensorId in) {
  return std::make_unique<RmsNorm>(graph, out, rstd, in);
}
std::unique_ptr<Op> linear(const Graph& graph, TensorId out, TensorId in, TensorId weights, const TensorId* residual) {
  return std::make_unique<Linear>(graph, out, in, weights, residual);
}
std::unique_ptr<Op> qk_norm_rotary(const Graph&, TensorId qk, TensorId rstd, TensorId qkv,
                                   kernels::AttentionShape shape) {
  return std::make_unique<QkNormRotary>(qk, rstd, qkv, shape);
}
std::unique_ptr<Op> attention(const Graph&, TensorId out, TensorId weights, TensorId scratch, TensorId qk, TensorId qkv,
                              kernels::AttentionShape shape) {
  return std::make_unique<Attention>(out, weights, scratch, qk, qkv, shape);
}
std::unique_ptr<Op> relu2(const Graph& graph, TensorId out, TensorId in) {
  return std::make_unique<Relu2>(graph, out, in);
}
std::unique_ptr<Op> cross_entropy(const Graph& graph, TensorId logits) {
  return std::make_unique<CrossEntropy>(graph, logits);
}

}  // namespace overnight::workers
