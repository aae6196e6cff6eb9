// The gate behind the state-space op: out = sum over ranks of mix * (y + skip * v) * silu(spread * z).
#pragma once

#include "kernels/cuda/scalar.cuh"
#include "kernels/kernels.h"

namespace overnight::kernels::cuda::inline OVERNIGHT_RUN {

// Numbers of one rank of one token: what is gated, its gate, and the factors.
template <unsigned Count, typename Full>
struct GateNumbers {
  Full inner[Count], z[Count], spread[Count], mix[Count];
  ValueAndSlope<Full> gate[Count];
};

// A gate's inputs with its sizes.
template <typename Real>
struct Gated {
  using Full = FullOf<Real>;
  GateOf<const Real> in;
  GateParametersOf<const Full> p;
  unsigned rank, width, head_size;

  Gated(GateOf<const Real> inputs, GateParametersOf<const Full> parameters, StateSpaceShape s)
      : in(inputs),
        p(parameters),
        rank(static_cast<unsigned>(s.rank)),
        width(static_cast<unsigned>(s.heads * s.head_size)),
        head_size(static_cast<unsigned>(s.head_size)) {}

  // Columns [i, i + Count) of rank r of token `row`.
  template <unsigned Count>
  __device__ void read_numbers(GateNumbers<Count, Full>& to, std::size_t row, unsigned r, unsigned i) const {
    const std::size_t flat = row * rank + r;
    Full v[Count];
    read(to.inner, in.y + flat * width + i);
    read(v, in.v + flat * in.v_stride + i);
    read(to.z, in.z + row * in.z_stride + i);
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) {
      to.spread[n] = p.spread == nullptr ? Full(1) : p.spread[r * width + i + n];
      to.mix[n] = p.mix == nullptr ? Full(1) : p.mix[r * width + i + n];
      if (p.skip != nullptr) to.inner[n] += p.skip[(i + n) / head_size] * v[n];
      to.gate[n] = silu(to.z[n] * to.spread[n]);
    }
  }
  __device__ GateNumbers<1, Full> number(std::size_t row, unsigned r, unsigned i) const {
    GateNumbers<1, Full> made;
    read_numbers(made, row, r, i);
    return made;
  }
  bool in_packs() const {
    constexpr unsigned size = Pack<Real>::size;
    return width % size == 0 && in.v_stride % size == 0 && in.z_stride % size == 0 && on_pack_boundaries(in.y, in.v, in.z);
  }
};

template <unsigned Count, typename Real>
void gate_forward_by(Real* out, Gated<Real> from, std::size_t rows) {
  each_in_rows<Count>("gate_forward", rows, from.width, [=] __device__(std::size_t row, unsigned i) {
    FullOf<Real> sums[Count] = {};
    for (unsigned r = 0; r < from.rank; ++r) {
      GateNumbers<Count, FullOf<Real>> at;
      from.read_numbers(at, row, r, i);
#pragma unroll
      for (unsigned n = 0; n < Count; ++n) sums[n] += at.mix[n] * at.inner[n] * at.gate[n].value;
    }
    store(out + row * from.width + i, rounded<Real>(sums));
  });
}
template <typename Real>
void gate_forward(Real* out, GateOf<const Real> in, GateParametersOf<const FullOf<Real>> p, std::size_t rows, StateSpaceShape s) {
  const Gated<Real> from(in, p, s);
  by_packs<Real>(from.in_packs() && on_pack_boundaries(out), [&](auto size) { gate_forward_by<size()>(out, from, rows); });
}

// Gradients of what is given by column, or by head.
template <typename Real>
void gate_backward_parameters(GateParametersOf<FullOf<Real>> dp, const Real* dout, Gated<Real> from, std::size_t rows, std::size_t heads) {
  using Full = FullOf<Real>;
  const unsigned width = from.width, rank = from.rank, head_size = from.head_size;
  if (from.p.spread != nullptr) {
    add_column_sums("gate_backward, spread", dp.spread, rows, rank * width, [=] __device__(std::size_t row, std::size_t i) {
      const unsigned r = static_cast<unsigned>(i) / width, column = static_cast<unsigned>(i) % width;
      const auto n = from.number(row, r, column);
      return dout[row * width + column] * n.mix[0] * n.inner[0] * n.gate[0].slope * n.z[0];
    });
    add_column_sums("gate_backward, mix", dp.mix, rows, rank * width, [=] __device__(std::size_t row, std::size_t i) {
      const unsigned r = static_cast<unsigned>(i) / width, column = static_cast<unsigned>(i) % width;
      const auto n = from.number(row, r, column);
      return dout[row * width + column] * n.inner[0] * n.gate[0].value;
    });
  }
  if (from.p.skip == nullptr) return;
  // By column first, then by head: as few columns as there are heads would keep few threads busy.
  Full* by_column = sums_behind<Full>(width);
  zero(by_column, width * sizeof(Full));
  add_column_sums("gate_backward, skip by column", by_column, rows * rank, width, [=] __device__(std::size_t flat, std::size_t i) {
    const unsigned row = static_cast<unsigned>(flat) / rank, r = static_cast<unsigned>(flat) % rank;
    const auto n = from.number(row, r, static_cast<unsigned>(i));
    return dout[static_cast<std::size_t>(row) * width + i] * n.mix[0] * n.gate[0].value * from.in.v[flat * from.in.v_stride + i];
  });
  each("gate_backward, skip", heads, [=] __device__(std::size_t h) {
    Full sum = 0;
    for (std::size_t i = h * head_size; i < (h + 1) * head_size; ++i) sum += by_column[i];
    dp.skip[h] += sum;
  });
}

template <unsigned Count, typename Real>
void gate_backward_by(GateOf<Real> d, const Real* dout, Gated<Real> from, std::size_t rows) {
  each_in_rows<Count>("gate_backward", rows, from.width, [=] __device__(std::size_t row, unsigned i) {
    FullOf<Real> dz[Count] = {}, pull[Count], dy[Count];
    read(pull, dout + row * from.width + i);
    for (unsigned r = 0; r < from.rank; ++r) {
      GateNumbers<Count, FullOf<Real>> at;
      from.read_numbers(at, row, r, i);
#pragma unroll
      for (unsigned n = 0; n < Count; ++n) {
        dz[n] += pull[n] * at.mix[n] * at.inner[n] * at.gate[n].slope * at.spread[n];
        dy[n] = pull[n] * at.mix[n] * at.gate[n].value;
      }
      store(d.y + (row * from.rank + r) * from.width + i, rounded<Real>(dy));
    }
    store(d.z + row * d.z_stride + i, rounded<Real>(dz));
  });
}
template <typename Real>
void gate_backward(GateOf<Real> d, GateParametersOf<FullOf<Real>> dp, const Real* dout, GateOf<const Real> in, GateParametersOf<const FullOf<Real>> p, std::size_t rows,
                   StateSpaceShape s) {
  const Gated<Real> from(in, p, s);
  gate_backward_parameters(dp, dout, from, rows, s.heads);
  const bool packs = from.in_packs() && d.z_stride % Pack<Real>::size == 0 && on_pack_boundaries(d.y, d.z, dout);
  by_packs<Real>(packs, [&](auto size) { gate_backward_by<size()>(d, dout, from, rows); });
}

template <unsigned Count, typename Real>
void skip_backward_by(Real* dv, std::size_t v_stride, const Real* dy, const FullOf<Real>* skip, std::size_t flat_rows, StateSpaceShape s) {
  const auto width = static_cast<unsigned>(s.heads * s.head_size), head_size = static_cast<unsigned>(s.head_size);
  each_in_rows<Count>("skip_backward", flat_rows, width, [=] __device__(std::size_t row, unsigned i) {
    auto to = load<Count>(dv + row * v_stride + i);
    const auto d = load<Count>(dy + row * width + i);
#pragma unroll
    for (unsigned n = 0; n < Count; ++n) to.at[n] = to.at[n] + skip[(i + n) / head_size] * d.at[n];
    store(dv + row * v_stride + i, to);
  });
}
template <typename Real>
void skip_backward(Real* dv, std::size_t v_stride, const Real* dy, const FullOf<Real>* skip, std::size_t flat_rows, StateSpaceShape s) {
  const std::size_t size = Pack<Real>::size;
  by_packs<Real>(s.heads * s.head_size % size == 0 && v_stride % size == 0 && on_pack_boundaries(dv, dy),
                 [&](auto count) { skip_backward_by<count()>(dv, v_stride, dy, skip, flat_rows, s); });
}

}  // namespace overnight::kernels::cuda::inline OVERNIGHT_RUN
