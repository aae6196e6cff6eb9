// Functions of one number that several ops share, with their slopes.
#pragma once

#include "kernels/cuda/device.h"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

template <typename Real>
struct ValueAndSlope {
  Real value, slope;
};

template <typename Real>
__device__ Real sigmoid(Real x) {
  return Real(1) / (Real(1) + exp(-x));
}

template <typename Real>
__device__ Real softplus(Real x) {
  return (x > 0 ? x : Real(0)) + log1p(exp(-fabs(x)));
}

template <typename Real>
__device__ ValueAndSlope<Real> silu(Real x) {
  const Real s = sigmoid(x);
  return {x * s, s * (1 + x * (1 - s))};
}

// By tanh (arXiv 1606.08415): x * sigmoid(2 c (x + a x^3)).
template <typename Real>
__device__ ValueAndSlope<Real> gelu(Real x) {
  constexpr Real a = static_cast<Real>(0.044715), twice_c = static_cast<Real>(1.5957691216057308);
  const Real s = sigmoid(twice_c * (x + a * x * x * x));
  return {x * s, s + x * s * (1 - s) * twice_c * (1 + 3 * a * x * x)};
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
