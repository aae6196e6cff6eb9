// The short causal convolution, channel by channel, with its SiLU.
#pragma once

#include "kernels/cuda/scalar.cuh"
#include "kernels/kernels.h"

namespace overnight::kernels::cuda {

// The sum before SiLU, of channel `c` of token `row`; the first tokens of a sequence see zeros before it.
template <typename Real>
__device__ FullOf<Real> convolved(const Real* in, std::size_t stride, ConvolutionOf<const FullOf<Real>> p, std::size_t row, std::size_t t, std::size_t c, std::size_t channels,
                          std::size_t taps) {
  FullOf<Real> sum = p.bias[c];
  for (std::size_t back = 0; back < taps && back <= t; ++back) sum += p.weights[(taps - 1 - back) * channels + c] * in[(row - back) * stride + c];
  return sum;
}

template <typename Real>
void convolution_forward(Real* out, const Real* in, std::size_t stride, ConvolutionOf<const FullOf<Real>> p, std::size_t batch, std::size_t context,
                         std::size_t channels, std::size_t taps) {
  each("convolution_forward", batch * context * channels, [=] __device__(std::size_t i) {
    const std::size_t row = i / channels, c = i % channels;
    out[i] = silu(convolved(in, stride, p, row, row % context, c, channels, taps)).value;
  });
}

template <typename Real>
void convolution_backward(Real* din, ConvolutionOf<FullOf<Real>> d, Real* dout, const Real* in, std::size_t stride, ConvolutionOf<const FullOf<Real>> p,
                          FullOf<Real>*, std::size_t batch, std::size_t context, std::size_t channels, std::size_t taps) {
  using Full = FullOf<Real>;
  const std::size_t rows = batch * context;
  // In place first: the gradient of the sum before SiLU, which all that follows reads again and again.
  each("convolution_backward, sums", rows * channels, [=] __device__(std::size_t i) {
    const std::size_t row = i / channels, c = i % channels;
    dout[i] = dout[i] * silu(convolved(in, stride, p, row, row % context, c, channels, taps)).slope;
  });
  add_column_sums("convolution_backward, bias", d.bias, rows, channels,
                  [=] __device__(std::size_t row, std::size_t c) { return static_cast<Full>(dout[row * channels + c]); });
  add_column_sums("convolution_backward, weights", d.weights, rows, taps * channels, [=] __device__(std::size_t row, std::size_t i) {
    const std::size_t back = taps - 1 - i / channels, c = i % channels;
    return back <= row % context ? dout[row * channels + c] * static_cast<Full>(in[(row - back) * stride + c]) : Full(0);
  });
  each("convolution_backward", rows * channels, [=] __device__(std::size_t i) {
    const std::size_t row = i / channels, c = i % channels, left = context - 1 - row % context;
    Full sum = 0;
    for (std::size_t on = 0; on < taps && on <= left; ++on) sum += p.weights[(taps - 1 - on) * channels + c] * dout[(row + on) * channels + c];
    din[row * stride + c] = sum;
  });
}

}  // namespace overnight::kernels::cuda
