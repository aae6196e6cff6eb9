// What is done number by number: activations, the cap of logits, blends, gains, spreads, sums, AdamW.
#pragma once

#include "kernels/cuda/scalar.cuh"
#include "kernels/kernels.h"

namespace overnight::kernels::cuda {

template <typename Real>
void relu2_forward(Real* out, const Real* in, std::size_t count) {
  each("relu2_forward", count, [=] __device__(std::size_t i) {
    const Real x = in[i] > 0 ? in[i] : Real(0);
    out[i] = x * x;
  });
}
template <typename Real>
void relu2_backward(Real* din, const Real* dout, const Real* out, std::size_t count) {
  each("relu2_backward", count, [=] __device__(std::size_t i) { din[i] = 2 * sqrt(out[i]) * dout[i]; });
}

template <typename Real>
void gelu_forward(Real* out, const Real* in, std::size_t count) {
  each("gelu_forward", count, [=] __device__(std::size_t i) { out[i] = gelu(in[i]).value; });
}
template <typename Real>
void gelu_backward(Real* din, const Real* dout, const Real* in, std::size_t count) {
  each("gelu_backward", count, [=] __device__(std::size_t i) { din[i] = dout[i] * gelu(in[i]).slope; });
}

template <typename Real>
void swiglu_forward(Real* out, const Real* in, std::size_t rows, std::size_t width) {
  each("swiglu_forward", rows * width, [=] __device__(std::size_t i) {
    const Real* gate = in + i / width * 2 * width + i % width;
    out[i] = silu(gate[0]).value * gate[width];
  });
}
template <typename Real>
void swiglu_backward(Real* din, const Real* dout, const Real* in, std::size_t rows, std::size_t width) {
  each("swiglu_backward", rows * width, [=] __device__(std::size_t i) {
    const std::size_t at = i / width * 2 * width + i % width;
    const auto gate = silu(in[at]);
    const Real up = in[at + width], d = dout[i];
    din[at] = d * up * gate.slope;
    din[at + width] = d * gate.value;
  });
}

template <typename Real>
void softcap_forward(Real* values, std::size_t count, Real cap) {
  each("softcap_forward", count, [=] __device__(std::size_t i) { values[i] = cap * tanh(values[i] / cap); });
}
template <typename Real>
void softcap_backward(Real* gradient, const Real* capped, std::size_t count, Real cap) {
  each("softcap_backward", count, [=] __device__(std::size_t i) {
    const Real share = capped[i] / cap;
    gradient[i] *= 1 - share * share;
  });
}

template <typename Real>
void blend_forward(Real* out, const Real* a, const Real* b, const Real* shares, std::size_t count) {
  each("blend_forward", count, [=] __device__(std::size_t i) { out[i] = shares[0] * a[i] + shares[1] * b[i]; });
}
template <typename Real>
void blend_backward(Real* da, Real* db, Real* dshares, const Real* dout, const Real* a, const Real* b, const Real* shares, std::size_t count, bool add_a,
                    bool add_b) {
  add_column_sums("blend_backward, shares", dshares, count, 2,
                  [=] __device__(std::size_t i, std::size_t which) { return dout[i] * (which == 0 ? a[i] : b[i]); });
  each("blend_backward", count, [=] __device__(std::size_t i) {
    const Real d = dout[i], to_a = shares[0] * d, to_b = shares[1] * d;
    da[i] = add_a ? da[i] + to_a : to_a;
    db[i] = add_b ? db[i] + to_b : to_b;
  });
}

template <typename Real>
void gain_forward(Real* out, const Real* in, const Real* gain, std::size_t rows, std::size_t width) {
  each("gain_forward", rows * width, [=] __device__(std::size_t i) { out[i] = in[i] * gain[i % width]; });
}
template <typename Real>
void gain_backward(Real* din, Real* dgain, const Real* dout, const Real* in, const Real* gain, std::size_t rows, std::size_t width) {
  add_column_sums("gain_backward, gain", dgain, rows, width,
                  [=] __device__(std::size_t row, std::size_t i) { return dout[row * width + i] * in[row * width + i]; });
  each("gain_backward", rows * width, [=] __device__(std::size_t i) { din[i] = dout[i] * gain[i % width]; });
}

template <typename Real>
void spread_forward(Real* v, const Real* x, std::size_t stride, const Real* spread, std::size_t rows, std::size_t rank, std::size_t width) {
  each("spread_forward", rows * rank * width, [=] __device__(std::size_t i) {
    const std::size_t column = i % width, r = i / width % rank, row = i / width / rank;
    v[i] = x[row * stride + column] * spread[r * width + column];
  });
}
template <typename Real>
void spread_backward(Real* dx, Real* dspread, const Real* dv, const Real* x, std::size_t stride, const Real* spread, std::size_t rows, std::size_t rank,
                     std::size_t width) {
  add_column_sums("spread_backward, spread", dspread, rows, rank * width, [=] __device__(std::size_t row, std::size_t i) {
    return dv[row * rank * width + i] * x[row * stride + i % width];
  });
  each("spread_backward", rows * width, [=] __device__(std::size_t i) {
    const std::size_t row = i / width, column = i % width;
    Real sum = 0;
    for (std::size_t r = 0; r < rank; ++r) sum += dv[(row * rank + r) * width + column] * spread[r * width + column];
    dx[row * stride + column] = sum;
  });
}

template <typename Real>
void add(Real* to, const Real* from, std::size_t count) {
  each("add", count, [=] __device__(std::size_t i) { to[i] += from[i]; });
}

template <typename Real>
void adamw(Real* weights, Real* first, Real* second, const Real* gradient, std::size_t count, Real learning_rate, Real beta1, Real beta2, Real correction1,
           Real correction2, Real eps, Real weight_decay, Real gradient_scale) {
  each("adamw", count, [=] __device__(std::size_t i) {
    const Real g = gradient[i] * gradient_scale;
    first[i] = beta1 * first[i] + (1 - beta1) * g;
    second[i] = beta2 * second[i] + (1 - beta2) * g * g;
    const Real step = first[i] * correction1 / (sqrt(second[i] * correction2) + eps);
    weights[i] -= learning_rate * (step + weight_decay * weights[i]);
  });
}

}  // namespace overnight::kernels::cuda
