#include "workers/model/mixers.h"

#include <cstring>
#include <utility>

#include "workers/model/rows.h"

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {
namespace {

// Of all parameters, which an op reads behind its projection.
void begin_gradients(const Graph& g, Memory& m, const Ids& parameters, const std::vector<bool>& adds) {
  for (std::size_t i = 0; i < parameters.size(); ++i) begin_gradient(g, m, parameters[i], adds[i + 1]);
}

// Of the sequences that a mixer works on at once.
kernels::StateSpaceShape at_once(const Graph& g, kernels::StateSpaceShape shape) {
  if (g.walk() == Walk::cache) shape.batch = 1;
  return shape;
}

std::size_t scan_scratch(const Graph& g, const kernels::StateSpaceShape& s) {
  return g.walk() == Walk::device ? kernels::device_state_space_scratch(s) : kernels::state_space_scratch(s);
}

// Forward, per token: scores and their use, of which the mask hides half, and the way into and out of the state.
double scan_flops(const kernels::StateSpaceShape& s) {
  const auto real = [](std::size_t n) { return static_cast<double>(n); };
  const double per_row = real(s.chunk * s.rank) * (real(s.state * s.groups) / real(s.heads) + real(s.head_size)) +
                         4 * real(s.state * s.head_size);
  return real(s.batch * s.context * s.rank * s.heads) * per_row;
}

std::string scan_off_matrix_unit(const kernels::DeviceOps& ops, const kernels::StateSpaceShape& s) {
  if (ops.state_space_suits(s)) return "";
  return "a state-space layer with a state of " + std::to_string(s.state) + ", heads of " +
         std::to_string(s.head_size) + " and chunks of " + std::to_string(s.chunk) + " x " + std::to_string(s.rank) +
         " (the matrix unit takes multiples of 16, states and heads up to 128, chunks up to 64, as far as this GPU's "
         "shared memory goes)";
}

struct Mamba2 final : Op {
  Mamba2Tensors t;
  kernels::StateSpaceShape all, s;
  std::size_t taps, inner, shared, channels, projected, steps_at, scratch_of_scan;
  Mamba2(const Graph& g, const Mamba2Tensors& tensors, kernels::StateSpaceShape shape, std::size_t taps_wanted)
      : t(tensors),
        all(shape),
        s(at_once(g, shape)),
        taps(taps_wanted),
        inner(s.heads * s.head_size),
        shared(s.groups * s.state),
        channels(inner + 2 * shared),
        projected(g.tensor(t.projection).columns),
        steps_at(inner + channels),
        scratch_of_scan(scan_scratch(g, s)) {}
  Ids parameters() const { return {t.taps, t.taps_bias, t.step_bias, t.log_rate, t.skip, t.gain}; }
  const char* kind() const override { return "mamba2"; }
  Ids reads() const override { return {t.projection, t.taps, t.taps_bias, t.step_bias, t.log_rate, t.skip, t.gain}; }
  Ids writes() const override { return {t.out, t.convolved, t.step, t.decay, t.y, t.states, t.rstd}; }
  Ids needed_by_backward() const override {
    return {t.projection, t.convolved, t.step, t.decay, t.y, t.states, t.rstd};
  }
  std::string off_matrix_unit(const kernels::DeviceOps& ops) const override { return scan_off_matrix_unit(ops, s); }
  double flops() const override {
    return scan_flops(all) + 2.0 * static_cast<double>(all.batch * s.context * channels * taps);
  }
  std::size_t rows() const { return s.batch * s.context; }  // at once
  std::size_t scratch_bytes() const override {
    return 3 * room_for<Real>(rows() * inner) + room_for<Real>(rows() * channels) +
           2 * room_for<Full>(rows() * s.heads) + room_for<Full>(channels) + room_for<Full>(scratch_of_scan);
  }

  // Pointers to the part of the sequences from `n` on.
  struct Sequence {
    const Real *z, *in, *raw_step, *x, *b, *c;
    Real* convolved;
    Full *step, *decay;
    Real* y;
    Full *states, *rstd;
  };
  Sequence sequence(const Graph& g, Memory& m, std::size_t n) const {
    const std::size_t row = n * s.context;
    const Real* projection = g.read(m, t.projection) + row * projected;
    Real* convolved = g.value(m, t.convolved) + row * channels;
    return {projection,
            projection + inner,
            projection + steps_at,
            convolved,
            convolved + inner,
            convolved + inner + shared,
            convolved,
            g.full_value(m, t.step) + row * s.heads,
            g.full_value(m, t.decay) + row * s.heads,
            g.value(m, t.y) + row * inner,
            g.full_value(m, t.states) + n * (s.states() / s.batch),
            g.full_value(m, t.rstd) + row};
  }
  kernels::StateSpaceOf<const Real, const Full> scan(const Sequence& q) const {
    return {q.c, q.b, q.x, q.decay, q.step, nullptr, channels, channels};
  }
  kernels::GateOf<const Real> gate(const Sequence& q) const { return {q.y, q.x, q.z, channels, projected}; }

  void forward(const Graph& g, Memory& m) const override {
    const kernels::BackendOf<Real, Full>& k = *m.backend;
    for (std::size_t n = 0; n < all.batch; n += s.batch) {
      const Sequence q = sequence(g, m, n);
      Real* out = g.value(m, t.out) + n * s.context * inner;
      k.convolution_forward(q.convolved, q.in, projected, {g.read_full(m, t.taps), g.read_full(m, t.taps_bias)},
                            s.batch, s.context, channels, taps);
      k.mamba2_forward(q.step, q.decay, q.raw_step, projected, g.read_full(m, t.step_bias), g.read_full(m, t.log_rate),
                       rows(), s.heads);
      k.state_space_forward(q.y, inner, q.states, scan(q), Pieces(g, m).take<Full>(0), s);
      k.gate_forward(out, gate(q), {g.read_full(m, t.skip), nullptr, nullptr}, rows(), s);
      k.rmsnorm_forward(out, q.rstd, out, rows(), inner);
      k.gain_forward(out, out, g.read_full(m, t.gain), rows(), inner);
    }
  }

  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    const kernels::BackendOf<Real, Full>& k = *m.backend;
    begin_gradients(g, m, parameters(), adds);
    const auto gradient = [&](TensorId id) { return g.parameter_gradient(m, id); };
    for (std::size_t n = 0; n < all.batch; n += s.batch) {
      const Sequence q = sequence(g, m, n);
      Pieces pieces(g, m);
      Real *gated = pieces.take(rows() * inner), *normed = pieces.take(rows() * inner),
           *dy = pieces.take(rows() * inner), *dconvolved = pieces.take(rows() * channels);
      Full *ddecay = pieces.take<Full>(rows() * s.heads), *dstep = pieces.take<Full>(rows() * s.heads),
           *one_token = pieces.take<Full>(channels), *of_scan = pieces.take<Full>(0);
      const Real* dout = g.gradient(m, t.out) + n * s.context * inner;
      Real* dprojection = g.gradient(m, t.projection) + n * s.context * projected;
      k.gate_forward(gated, gate(q), {g.read_full(m, t.skip), nullptr, nullptr}, rows(), s);
      k.rmsnorm_forward(normed, q.rstd, gated, rows(), inner);
      k.gain_backward(normed, gradient(t.gain), dout, normed, g.read_full(m, t.gain), rows(), inner);
      k.rmsnorm_backward(gated, normed, gated, false, q.rstd, rows(), inner, nullptr);
      k.gate_backward({dy, nullptr, dprojection, 0, projected}, {gradient(t.skip), nullptr, nullptr}, gated, gate(q),
                      {g.read_full(m, t.skip), nullptr, nullptr}, rows(), s);
      k.state_space_backward(
          {dconvolved + inner + shared, dconvolved + inner, dconvolved, ddecay, dstep, nullptr, channels, channels}, dy,
          inner, q.states, scan(q), of_scan, s);
      k.skip_backward(dconvolved, channels, dy, g.read_full(m, t.skip), rows(), s);
      k.convolution_backward(dprojection + inner, {gradient(t.taps), gradient(t.taps_bias)}, dconvolved, q.in,
                             projected, {g.read_full(m, t.taps), g.read_full(m, t.taps_bias)}, one_token, s.batch,
                             s.context, channels, taps);
      k.mamba2_backward(dprojection + steps_at, projected, gradient(t.step_bias), gradient(t.log_rate), ddecay, dstep,
                        q.step, g.read_full(m, t.log_rate), rows(), s.heads);
    }
  }
};

struct Mamba3 final : Op {
  Mamba3Tensors t;
  kernels::Mamba3Shape shape;
  kernels::StateSpaceShape all, s;
  std::size_t inner, keys, turned, projected, steps_at, scratch_of_scan;
  Mamba3(const Graph& g, const Mamba3Tensors& tensors, kernels::Mamba3Shape of)
      : t(tensors),
        shape(of),
        all(of.scan),
        s(at_once(g, of.scan)),
        inner(s.heads * s.head_size),
        keys(s.rank * of.shared_groups * s.state),
        turned(s.rank * s.heads * s.state),
        projected(g.tensor(t.projection).columns),
        steps_at(2 * inner + 2 * keys),
        scratch_of_scan(scan_scratch(g, s)) {
    shape.scan = s;
  }
  bool many() const { return s.rank > 1; }
  Ids parameters() const {
    Ids ids{t.step_bias, t.key_gain, t.query_gain, t.key_bias, t.query_bias, t.skip};
    if (many()) ids.insert(ids.end(), {t.spread, t.spread_gate, t.mix});
    return ids;
  }
  const char* kind() const override { return "mamba3"; }
  Ids reads() const override {
    Ids ids = parameters();
    ids.insert(ids.begin(), t.projection);
    return ids;
  }
  Ids writes() const override { return {t.out, t.keys, t.queries, t.steps, t.angles, t.rstd, t.y, t.states}; }
  Ids needed_by_backward() const override {
    return {t.projection, t.keys, t.queries, t.steps, t.angles, t.rstd, t.y, t.states};
  }
  std::string off_matrix_unit(const kernels::DeviceOps& ops) const override { return scan_off_matrix_unit(ops, s); }
  double flops() const override { return scan_flops(all); }
  std::size_t rows() const { return s.batch * s.context; }  // at once
  std::size_t scratch_bytes() const override {
    return 2 * room_for<Real>(rows() * turned) + 3 * room_for<Real>(rows() * s.rank * inner) +
           3 * room_for<Full>(rows() * s.heads) + room_for<Full>(shape.scratch()) + room_for<Full>(scratch_of_scan);
  }

  // The part of the sequences from `n` on.
  kernels::Mamba3Of<Real, Full> made(const Graph& g, Memory& m, std::size_t n) const {
    const std::size_t row = n * s.context, apart = all.batch * s.context * s.heads;
    Full* steps = g.full_value(m, t.steps) + row * s.heads;
    return {g.value(m, t.queries) + row * turned,
            g.value(m, t.keys) + row * turned,
            steps,
            steps + apart,
            steps + 2 * apart,
            steps + 3 * apart,
            g.full_value(m, t.angles) + row * s.heads * shape.angles,
            g.full_value(m, t.rstd) + row * 2 * s.rank * shape.shared_groups};
  }
  template <typename Number>
  kernels::Mamba3ProjectionOf<Number> parts(Number* projection) const {
    Number* steps = projection + steps_at;
    return {projection + 2 * inner, projection + 2 * inner + keys, steps,    steps + s.heads,
            steps + 2 * s.heads,    steps + 3 * s.heads,           projected};
  }
  kernels::Mamba3ParametersOf<const Full> read_parameters(const Graph& g, const Memory& m) const {
    return {g.read_full(m, t.step_bias), g.read_full(m, t.key_gain), g.read_full(m, t.query_gain),
            g.read_full(m, t.key_bias), g.read_full(m, t.query_bias)};
  }
  kernels::GateParametersOf<const Full> gate_parameters(const Graph& g, const Memory& m) const {
    return {g.read_full(m, t.skip), many() ? g.read_full(m, t.spread_gate) : nullptr,
            many() ? g.read_full(m, t.mix) : nullptr};
  }
  // What goes into the state: x itself, or spread over ranks into `room`.
  struct Values {
    const Real* at;
    std::size_t stride;
  };
  Values values(const Graph& g, const Memory& m, const Real* projection, Real* room) const {
    if (!many()) return {projection + inner, projected};
    m.backend->spread_forward(room, projection + inner, projected, g.read_full(m, t.spread), rows(), s.rank, inner);
    return {room, inner};
  }
  kernels::StateSpaceOf<const Real, const Full> scan(const kernels::Mamba3Of<Real, Full>& made, Values v) const {
    return {made.q, made.k, v.at, made.decay, made.weight, made.own, s.heads * s.state, v.stride};
  }

  void forward(const Graph& g, Memory& m) const override {
    const kernels::BackendOf<Real, Full>& k = *m.backend;
    for (std::size_t n = 0; n < all.batch; n += s.batch) {
      const std::size_t row = n * s.context;
      const Real* projection = g.read(m, t.projection) + row * projected;
      const auto ready = made(g, m, n);
      Pieces pieces(g, m);
      const Values v = values(g, m, projection, pieces.take(rows() * s.rank * inner));
      Real* y = g.value(m, t.y) + row * s.rank * inner;
      k.mamba3_forward(ready, parts(projection), read_parameters(g, m), shape);
      k.state_space_forward(y, inner, g.full_value(m, t.states) + n * (s.states() / s.batch), scan(ready, v),
                            pieces.take<Full>(0), s);
      k.gate_forward(g.value(m, t.out) + row * inner, {y, v.at, projection, v.stride, projected}, gate_parameters(g, m),
                     rows(), s);
    }
  }

  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    const kernels::BackendOf<Real, Full>& k = *m.backend;
    begin_gradients(g, m, parameters(), adds);
    const auto gradient = [&](TensorId id) { return g.parameter_gradient(m, id); };
    for (std::size_t n = 0; n < all.batch; n += s.batch) {
      const std::size_t row = n * s.context;
      const Real* projection = g.read(m, t.projection) + row * projected;
      Real* dprojection = g.gradient(m, t.projection) + row * projected;
      const auto ready = made(g, m, n);
      Pieces pieces(g, m);
      const Values v = values(g, m, projection, pieces.take(rows() * s.rank * inner));
      Real *dy = pieces.take(rows() * s.rank * inner), *dspread = pieces.take(rows() * s.rank * inner),
           *dq = pieces.take(rows() * turned), *dk = pieces.take(rows() * turned);
      Full *ddecay = pieces.take<Full>(rows() * s.heads), *dweight = pieces.take<Full>(rows() * s.heads),
           *down = pieces.take<Full>(rows() * s.heads), *turning = pieces.take<Full>(shape.scratch()),
           *of_scan = pieces.take<Full>(0);
      Real* dv = many() ? dspread : dprojection + inner;
      const Real* y = g.value(m, t.y) + row * s.rank * inner;
      k.gate_backward(
          {dy, nullptr, dprojection, 0, projected},
          {gradient(t.skip), many() ? gradient(t.spread_gate) : nullptr, many() ? gradient(t.mix) : nullptr},
          g.gradient(m, t.out) + row * inner, {y, v.at, projection, v.stride, projected}, gate_parameters(g, m), rows(),
          s);
      k.state_space_backward({dq, dk, dv, ddecay, dweight, down, s.heads * s.state, v.stride}, dy, inner,
                             g.full_value(m, t.states) + n * (s.states() / s.batch), scan(ready, v), of_scan, s);
      k.skip_backward(dv, v.stride, dy, g.read_full(m, t.skip), rows() * s.rank, s);
      if (many())
        k.spread_backward(dprojection + inner, gradient(t.spread), dspread, projection + inner, projected,
                          g.read_full(m, t.spread), rows(), s.rank, inner);
      const kernels::Mamba3Of<const Real, const Full> kept{ready.q,   ready.k,    ready.decay,  ready.weight,
                                                           ready.own, ready.step, ready.angles, ready.rstd};
      k.mamba3_backward(parts(dprojection),
                        {gradient(t.step_bias), gradient(t.key_gain), gradient(t.query_gain), gradient(t.key_bias),
                         gradient(t.query_bias)},
                        {dq, dk, ddecay, dweight, down, nullptr, nullptr, nullptr}, kept, parts(projection),
                        read_parameters(g, m), turning, shape);
    }
  }
};

struct GatedConvolution final : Op {
  ConvolutionTensors t;
  std::size_t batch, at_once, context, width, projected, taps;
  GatedConvolution(const Graph& g, const ConvolutionTensors& tensors, std::size_t sequences, std::size_t taps_wanted)
      : t(tensors),
        batch(sequences),
        at_once(g.walk() == Walk::cache ? 1 : sequences),
        context(g.tensor(t.out).rows / sequences),
        width(g.tensor(t.out).columns),
        projected(g.tensor(t.projection).columns),
        taps(taps_wanted) {}
  const char* kind() const override { return "convolution"; }
  Ids reads() const override { return {t.projection, t.taps, t.taps_bias}; }
  Ids writes() const override { return {t.out, t.convolved}; }
  Ids needed_by_backward() const override { return {t.projection, t.convolved}; }
  double flops() const override { return 2.0 * static_cast<double>(batch * context * width * taps); }
  std::size_t scratch_bytes() const override {
    return room_for<Real>(at_once * context * width) + room_for<Full>(width);
  }
  kernels::StateSpaceShape gate_shape() const { return {.heads = 1, .head_size = width}; }
  kernels::ConvolutionOf<const Full> filter(const Graph& g, const Memory& m) const {
    return {g.read_full(m, t.taps), g.read_full(m, t.taps_bias)};
  }

  void forward(const Graph& g, Memory& m) const override {
    for (std::size_t n = 0; n < batch; n += at_once) {
      const Real* projection = g.read(m, t.projection) + n * context * projected;
      Real* convolved = g.value(m, t.convolved) + n * context * width;
      m.backend->convolution_forward(convolved, projection + width, projected, filter(g, m), at_once, context, width,
                                     taps);
      m.backend->gate_forward(g.value(m, t.out) + n * context * width,
                              {convolved, convolved, projection, width, projected}, {}, at_once * context,
                              gate_shape());
    }
  }
  void backward(const Graph& g, Memory& m, const std::vector<bool>& adds) const override {
    begin_gradients(g, m, {t.taps, t.taps_bias}, adds);
    for (std::size_t n = 0; n < batch; n += at_once) {
      const Real* projection = g.read(m, t.projection) + n * context * projected;
      Real* dprojection = g.gradient(m, t.projection) + n * context * projected;
      const Real* convolved = g.read(m, t.convolved) + n * context * width;
      Pieces pieces(g, m);
      Real* dconvolved = pieces.take(at_once * context * width);
      m.backend->gate_backward(
          {dconvolved, nullptr, dprojection, 0, projected}, {}, g.gradient(m, t.out) + n * context * width,
          {convolved, convolved, projection, width, projected}, {}, at_once * context, gate_shape());
      m.backend->convolution_backward(
          dprojection + width, {g.parameter_gradient(m, t.taps), g.parameter_gradient(m, t.taps_bias)}, dconvolved,
          projection + width, projected, filter(g, m), pieces.take<Full>(width), at_once, context, width, taps);
    }
  }
};

}  // namespace

std::unique_ptr<Op> mamba2(const Graph& graph, const Mamba2Tensors& tensors, kernels::StateSpaceShape shape,
                           std::size_t taps) {
  return std::make_unique<Mamba2>(graph, tensors, shape, taps);
}
std::unique_ptr<Op> mamba3(const Graph& graph, const Mamba3Tensors& tensors, kernels::Mamba3Shape shape) {
  return std::make_unique<Mamba3>(graph, tensors, shape);
}
std::unique_ptr<Op> gated_convolution(const Graph& graph, const ConvolutionTensors& tensors, std::size_t batch,
                                      std::size_t taps) {
  return std::make_unique<GatedConvolution>(graph, tensors, batch, taps);
}

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
