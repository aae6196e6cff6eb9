// The generalised state-space op and the mixers of Mamba-2 and Mamba-3 in the plainest C++ and in any precision: one
// token after the other, without chunks. Rows are as in kernels.h, without gaps.
#pragma once

#include <cmath>
#include <cstddef>

#include "kernels/kernels.h"
#include "kernels/reference/reference.h"

namespace overnight::kernels::reference {

template <typename R>
struct StateSpaceInputs {
  Values<R> q, k, v, decay, weight, own;  // own empty: as weight
};

// With n_t = sum_r v_{t,r} k_{t,r}^T and the state h [head_size, state]:
//   y_{t,r} = (exp(decay_t) h_{t-1} + own_t n_t) q_{t,r},   h_t = exp(decay_t) h_{t-1} + weight_t n_t
// (arXiv 2405.21060, eq. 6, where own is weight; with ranks arXiv 2603.15569, section 3.3; own: see mamba3).
template <typename R>
Values<R> state_space(const StateSpaceInputs<R>& in, StateSpaceShape s) {
  Values<R> y(in.v.size());
  for (std::size_t b = 0; b < s.batch; ++b) {
    for (std::size_t h = 0; h < s.heads; ++h) {
      const std::size_t group = h / (s.heads / s.groups);
      Values<R> state(s.head_size * s.state);
      for (std::size_t t = b * s.context; t < (b + 1) * s.context; ++t) {
        for (R& x : state) x *= std::exp(in.decay[t * s.heads + h]);
        const auto qk = [&](std::size_t r) { return (t * s.rank + r) * s.groups * s.state + group * s.state; };
        const auto v = [&](std::size_t r) { return (t * s.rank + r) * s.heads * s.head_size + h * s.head_size; };
        const std::size_t at = t * s.heads + h;
        const R own = in.own.empty() ? in.weight[at] : in.own[at];
        for (std::size_t p = 0; p < s.head_size; ++p) {
          for (std::size_t n = 0; n < s.state; ++n) {
            R added = 0;
            for (std::size_t r = 0; r < s.rank; ++r) added += in.v[v(r) + p] * in.k[qk(r) + n];
            R& x = state[p * s.state + n];
            for (std::size_t r = 0; r < s.rank; ++r) y[v(r) + p] += (x + own * added) * in.q[qk(r) + n];
            x += in.weight[at] * added;
          }
        }
      }
    }
  }
  return y;
}

}  // namespace overnight::kernels::reference
