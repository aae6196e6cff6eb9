// The table of launchers for GPUs, for one kind of number.
#pragma once

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/chunked_scan.cuh"
#include "kernels/cuda/convolution.cuh"
#include "kernels/cuda/embedding.cuh"
#include "kernels/cuda/flash_attention.cuh"
#include "kernels/cuda/gate.cuh"
#include "kernels/cuda/loss.cuh"
#include "kernels/cuda/mamba.cuh"
#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/optimizer.cuh"
#include "kernels/cuda/pointwise.cuh"
#include "kernels/cuda/product.cuh"
#include "kernels/cuda/state_space.cuh"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

// Attention on the matrix unit where it takes the numbers and the heads, in plain arithmetic elsewhere.
template <typename Real>
void best_attention_forward(Real* out, FullOf<Real>* log_sums, const Real* qkv, FullOf<Real>* scratch, AttentionShape s) {
  if constexpr (std::is_same_v<Real, bfloat16>) {
    if (flash_suits(s)) return flash_forward(out, log_sums, qkv, s);
  }
  attention_forward(out, log_sums, qkv, scratch, s);
}
template <typename Real>
void best_attention_backward(Real* dqkv, const Real* dout, const Real* out, const FullOf<Real>* log_sums, const Real* qkv, FullOf<Real>* scratch,
                             AttentionShape s) {
  if constexpr (std::is_same_v<Real, bfloat16>) {
    if (flash_suits(s)) return flash_backward(dqkv, dout, out, log_sums, qkv, scratch, s, launching.deterministic);
  }
  attention_backward(dqkv, dout, out, log_sums, qkv, scratch, s);
}

// The state-space op likewise. It goes backward as it went forward: the states are the same.
template <typename Real>
void best_state_space_forward(Real* y, std::size_t y_stride, FullOf<Real>* states, StateSpaceOf<const Real, const FullOf<Real>> in, FullOf<Real>* scratch,
                              StateSpaceShape s) {
  if constexpr (std::is_same_v<Real, bfloat16>) {
    if (chunked_scan_suits(s, in, y, y_stride)) return chunked_scan_forward(y, y_stride, states, in, scratch, s);
  }
  state_space_forward(y, y_stride, states, in, scratch, s);
}
template <typename Real>
void best_state_space_backward(StateSpaceOf<Real, FullOf<Real>> d, const Real* dy, std::size_t dy_stride, const FullOf<Real>* states,
                               StateSpaceOf<const Real, const FullOf<Real>> in, FullOf<Real>* scratch, StateSpaceShape s) {
  if constexpr (std::is_same_v<Real, bfloat16>) {
    if (chunked_scan_suits(s, in, dy, dy_stride) && d.qk_stride % 8 == 0 && d.v_stride % 8 == 0 && on_pack_boundaries(d.q, d.k, d.v))
      return chunked_scan_backward(d, dy, dy_stride, states, in, scratch, s);
  }
  state_space_backward(d, dy, dy_stride, states, in, scratch, s);
}

// `Products`: where products of matrices are made, PlainProducts or those of a library.
template <typename Real, typename Products>
constexpr BackendOf<Real, FullOf<Real>> table_named(const char* name) {
  return {.name = name,
          .copy = copy,
          .zero = zero,
          .product = product<Products, Real>,
          .full_product = full_product<Products, Real>,
          .linear_row = linear_row<Real>,
          .embedding_forward = embedding_forward<Real>,
          .embedding_backward = embedding_backward<Real>,
          .rmsnorm_forward = rmsnorm_forward<Real>,
          .rmsnorm_backward = rmsnorm_backward<Real>,
          .qk_forward = qk_forward<Real>,
          .qk_backward = qk_backward<Real>,
          .attention_forward = best_attention_forward<Real>,
          .attention_backward = best_attention_backward<Real>,
          .state_space_forward = best_state_space_forward<Real>,
          .state_space_backward = best_state_space_backward<Real>,
          .convolution_forward = convolution_forward<Real>,
          .convolution_backward = convolution_backward<Real>,
          .gate_forward = gate_forward<Real>,
          .gate_backward = gate_backward<Real>,
          .skip_backward = skip_backward<Real>,
          .spread_forward = spread_forward<Real>,
          .spread_backward = spread_backward<Real>,
          .gain_forward = gain_forward<Real>,
          .gain_backward = gain_backward<Real>,
          .mamba2_forward = mamba2_forward<Real>,
          .mamba2_backward = mamba2_backward<Real>,
          .mamba3_forward = mamba3_forward<Real>,
          .mamba3_backward = mamba3_backward<Real>,
          .relu2_forward = relu2_forward<Real>,
          .relu2_backward = relu2_backward<Real>,
          .gelu_forward = gelu_forward<Real>,
          .gelu_backward = gelu_backward<Real>,
          .swiglu_forward = swiglu_forward<Real>,
          .swiglu_backward = swiglu_backward<Real>,
          .softcap_forward = softcap_forward<Real>,
          .blend_forward = blend_forward<Real>,
          .blend_backward = blend_backward<Real>,
          .value_embedding_forward = value_embedding_forward<Real>,
          .value_embedding_backward = value_embedding_backward<Real>,
          .cross_entropy = cross_entropy<Real>,
          .add = add<Real>,
          .sum_of_squares = nullptr,
          .adamw = nullptr};
}

template <typename Products>
constexpr DeviceOps device_ops() {
  return {.attention_suits = flash_suits,
          .state_space_suits = chunked_scan_suits,
          .add_total = add_total, 
          .norm = norm,
          .narrow = narrow,
          .adamw = adamw,
          .muon = muon<Products>};
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
