// The gate behind the state-space op: out = sum over ranks of mix * (y + skip * v) * silu(spread * z).
#pragma once

#include "kernels/cuda/scalar.cuh"
#include "kernels/kernels.h"

namespace overnight::kernels::cuda {

// One number of one rank of one token: what is gated, its gate, and the factors.
template <typename Full>
struct GateNumber {
  Full inner, z, spread, mix;
  ValueAndSlope<Full> gate;
};

template <typename Real>
__device__ GateNumber<FullOf<Real>> gate_number(const GateOf<const Real>& in, const GateParametersOf<const FullOf<Real>>& p, const StateSpaceShape& s, std::size_t row,
                                        std::size_t r, std::size_t i) {
  using Full = FullOf<Real>;
  const std::size_t width = s.heads * s.head_size, flat = row * s.rank + r;
  const Full skip = p.skip == nullptr ? Full(0) : p.skip[i / s.head_size];
  const Full spread = p.spread == nullptr ? Full(1) : p.spread[r * width + i], mix = p.mix == nullptr ? Full(1) : p.mix[r * width + i];
  const Full z = in.z[row * in.z_stride + i];
  return {in.y[flat * width + i] + skip * in.v[flat * in.v_stride + i], z, spread, mix, silu(z * spread)};
}

template <typename Real>
void gate_forward(Real* out, GateOf<const Real> in, GateParametersOf<const FullOf<Real>> p, std::size_t rows, StateSpaceShape s) {
  const std::size_t width = s.heads * s.head_size;
  each("gate_forward", rows * width, [=] __device__(std::size_t i) {
    FullOf<Real> sum = 0;
    for (std::size_t r = 0; r < s.rank; ++r) {
      const auto n = gate_number(in, p, s, i / width, r, i % width);
      sum += n.mix * n.inner * n.gate.value;
    }
    out[i] = sum;
  });
}

template <typename Real>
void gate_backward(GateOf<Real> d, GateParametersOf<FullOf<Real>> dp, const Real* dout, GateOf<const Real> in, GateParametersOf<const FullOf<Real>> p, std::size_t rows,
                   StateSpaceShape s) {
  const std::size_t width = s.heads * s.head_size;
  if (p.spread != nullptr) {
    add_column_sums("gate_backward, spread", dp.spread, rows, s.rank * width, [=] __device__(std::size_t row, std::size_t i) {
      const auto n = gate_number(in, p, s, row, i / width, i % width);
      return dout[row * width + i % width] * n.mix * n.inner * n.gate.slope * n.z;
    });
    add_column_sums("gate_backward, mix", dp.mix, rows, s.rank * width, [=] __device__(std::size_t row, std::size_t i) {
      const auto n = gate_number(in, p, s, row, i / width, i % width);
      return dout[row * width + i % width] * n.inner * n.gate.value;
    });
  }
  if (p.skip != nullptr) {
    // By column first, then by head: as few columns as there are heads would keep few threads busy.
    using Full = FullOf<Real>;
    Full* by_column = sums_behind<Full>(width);
    zero(by_column, width * sizeof(Full));
    add_column_sums("gate_backward, skip by column", by_column, rows * s.rank, width, [=] __device__(std::size_t flat, std::size_t i) {
      const std::size_t row = flat / s.rank;
      const auto n = gate_number(in, p, s, row, flat % s.rank, i);
      return dout[row * width + i] * n.mix * n.gate.value * in.v[flat * in.v_stride + i];
    });
    each("gate_backward, skip", s.heads, [=] __device__(std::size_t h) {
      Full sum = 0;
      for (std::size_t i = h * s.head_size; i < (h + 1) * s.head_size; ++i) sum += by_column[i];
      dp.skip[h] += sum;
    });
  }
  each("gate_backward", rows * width, [=] __device__(std::size_t i) {
    const std::size_t row = i / width, column = i % width;
    FullOf<Real> dz = 0;
    for (std::size_t r = 0; r < s.rank; ++r) {
      const auto n = gate_number(in, p, s, row, r, column);
      dz += dout[i] * n.mix * n.inner * n.gate.slope * n.spread;
      d.y[(row * s.rank + r) * width + column] = dout[i] * n.mix * n.gate.value;
    }
    d.z[row * d.z_stride + column] = dz;
  });
}

template <typename Real>
void skip_backward(Real* dv, std::size_t v_stride, const Real* dy, const FullOf<Real>* skip, std::size_t flat_rows, StateSpaceShape s) {
  const std::size_t width = s.heads * s.head_size;
  each("skip_backward", flat_rows * width,
       [=] __device__(std::size_t i) {
         Real& to = dv[i / width * v_stride + i % width];
         to = to + skip[i % width / s.head_size] * dy[i];
       });
}

}  // namespace overnight::kernels::cuda
