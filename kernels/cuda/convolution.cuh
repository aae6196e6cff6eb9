// The short causal convolution, channel by channel, with its SiLU.
#pragma once

#include "kernels/cuda/scalar.cuh"
#include "kernels/kernels.h"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

// What a convolution reads, and the sizes of it.
template <typename Real>
struct Convolved {
  const Real* in;
  std::size_t stride;
  ConvolutionOf<const FullOf<Real>> p;
  unsigned context, channels, taps;

  // sums[n] = the sum before SiLU of channel c + n of token `row`; the first tokens of a sequence see zeros before it.
  template <unsigned Count>
  __device__ void sum(FullOf<Real> (&sums)[Count], std::size_t row, unsigned c) const {
    const unsigned t = static_cast<unsigned>(row) % context;
    read(sums, p.bias + c);
    for (unsigned back = 0; back < taps && back <= t; ++back) {
      FullOf<Real> weights[Count], x[Count];
      read(weights, p.weights + (taps - 1 - back) * channels + c);
      read(x, in + (row - back) * stride + c);
#pragma unroll
      for (unsigned n = 0; n < Count; ++n) sums[n] += weights[n] * x[n];
    }
  }
  bool in_packs(const Real* one, const Real* other) const {
    return channels % Pack<Real>::size == 0 && stride % Pack<Real>::size == 0 && on_pack_boundaries(one, other, in, p.weights, p.bias);
  }
};
template <typename Real>
Convolved<Real> convolved(const Real* in, std::size_t stride, ConvolutionOf<const FullOf<Real>> p, std::size_t context, std::size_t channels,
                          std::size_t taps) {
  return {in, stride, p, static_cast<unsigned>(context), static_cast<unsigned>(channels), static_cast<unsigned>(taps)};
}

template <unsigned Count, typename Real>
void convolution_forward_by(Real* out, Convolved<Real> from, std::size_t rows) {
  each_in_rows<Count>("convolution_forward", rows, from.channels, [=] __device__(std::size_t row, unsigned c) {
    FullOf<Real> sums[Count];
    from.sum(sums, row, c);
    Pack<Real, Count> y;
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) y.at[n] = silu(sums[n]).value;
    store(out + row * from.channels + c, y);
  });
}
template <typename Real>
void convolution_forward(Real* out, const Real* in, std::size_t stride, ConvolutionOf<const FullOf<Real>> p, std::size_t batch, std::size_t context,
                         std::size_t channels, std::size_t taps) {
  const auto from = convolved(in, stride, p, context, channels, taps);
  by_packs<Real>(from.in_packs(out, in), [&](auto size) { convolution_forward_by<size()>(out, from, batch * context); });
}

template <unsigned Count, typename Real>
void convolution_backward_by(Real* din, ConvolutionOf<FullOf<Real>> d, Real* dout, Convolved<Real> from, std::size_t rows) {
  using Full = FullOf<Real>;
  const unsigned context = from.context, channels = from.channels, taps = from.taps;
  // In place first: the gradient of the sum before SiLU, which all that follows reads again and again.
  each_in_rows<Count>("convolution_backward, sums", rows, channels, [=] __device__(std::size_t row, unsigned c) {
    Full sums[Count];
    from.sum(sums, row, c);
    auto dy = load<Count>(dout + row * channels + c);
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) dy.at[n] = dy.at[n] * silu(sums[n]).slope;
    store(dout + row * channels + c, dy);
  });
  add_column_sums("convolution_backward, bias", d.bias, rows, channels,
                  [=] __device__(std::size_t row, std::size_t c) { return static_cast<Full>(dout[row * channels + c]); });
  add_column_sums("convolution_backward, weights", d.weights, rows, taps * channels, [=] __device__(std::size_t row, std::size_t i) {
    const unsigned back = taps - 1 - static_cast<unsigned>(i) / channels, c = static_cast<unsigned>(i) % channels;
    return back <= static_cast<unsigned>(row) % context ? dout[row * channels + c] * static_cast<Full>(from.in[(row - back) * from.stride + c]) : Full(0);
  });
  each_in_rows<Count>("convolution_backward", rows, channels, [=] __device__(std::size_t row, unsigned c) {
    const unsigned left = context - 1 - static_cast<unsigned>(row) % context;
    Full sums[Count] = {};
    for (unsigned on = 0; on < taps && on <= left; ++on) {
      Full weights[Count], dy[Count];
      read(weights, from.p.weights + (taps - 1 - on) * channels + c);
      read(dy, dout + (row + on) * channels + c);
#pragma unroll
      for (unsigned n = 0; n < Count; ++n) sums[n] += weights[n] * dy[n];
    }
    store(din + row * from.stride + c, rounded<Real>(sums));
  });
}
template <typename Real>
void convolution_backward(Real* din, ConvolutionOf<FullOf<Real>> d, Real* dout, const Real* in, std::size_t stride, ConvolutionOf<const FullOf<Real>> p,
                          FullOf<Real>*, std::size_t batch, std::size_t context, std::size_t channels, std::size_t taps) {
  const auto from = convolved(in, stride, p, context, channels, taps);
  by_packs<Real>(from.in_packs(din, dout), [&](auto size) { convolution_backward_by<size()>(din, d, dout, from, batch * context); });
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
