// The state-space op in bfloat16 on the matrix unit, as the emulator or a GPU runs it, against the plain one in doubles
// on the same numbers.
#include "kernels/cuda/chunked_scan.cuh"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tests/kernels/numeric.h"
#include "tests/kernels/tables.h"

namespace overnight::kernels::cuda {
namespace {

using Halves = Numbers<bfloat16>;
using Floats = Numbers<float>;

class ChunkedScan : public OnMixedTable {};

Halves rounded(const Doubles& values) {
  Halves made;
  for (const double value : values) made.emplace_back(static_cast<float>(value));
  return made;
}
template <typename Number>
Doubles widened(const Numbers<Number>& values) {
  Doubles made;
  for (const Number value : values) made.push_back(static_cast<double>(static_cast<float>(value)));
  return made;
}

// Aligned as tensors are; what is not written stays not a number.
struct Tensor {
  Halves numbers;
  std::size_t offset;
  explicit Tensor(std::size_t count) : numbers(count + 16), offset(0) {
    std::memset(numbers.data(), 0xff, numbers.size() * sizeof(bfloat16));
    while (reinterpret_cast<std::uintptr_t>(numbers.data() + offset) % 16 != 0) ++offset;
  }
  bfloat16* data() { return numbers.data() + offset; }
};

// Inputs of one problem. Rows of q and k, and of v, lie `apart` numbers further apart than they are long.
struct Problem {
  StateSpaceShape s;
  std::size_t flat_rows, qk_stride, v_stride;
  Tensor q, k, v, dy;
  Floats decay, weight, own;
  bool has_own;

  Problem(StateSpaceShape shape, bool own_given, double strongest, std::size_t apart = 8)
      : s(shape),
        flat_rows(s.batch * s.context * s.rank),
        qk_stride(s.groups * s.state + apart),
        v_stride(s.heads * s.head_size + apart),
        q(flat_rows * qk_stride),
        k(flat_rows * qk_stride),
        v(flat_rows * v_stride),
        dy(flat_rows * v_stride),
        has_own(own_given) {
    std::uint64_t seed = 1;
    for (Tensor* one : {&q, &k, &v, &dy}) {
      const Halves drawn = rounded(draw(one->numbers.size() - 16, ++seed));
      std::copy(drawn.begin(), drawn.end(), one->data());
    }
    const std::size_t steps = s.batch * s.context * s.heads;
    for (const double value : draw(steps, 8)) decay.push_back(static_cast<float>(-std::abs(value) * strongest));
    for (const double value : draw(steps, 9)) weight.push_back(static_cast<float>(0.5 + 0.4 * value));
    for (const double value : draw(steps, 10)) own.push_back(static_cast<float>(0.5 + 0.4 * value));
  }
  StateSpaceOf<const bfloat16, const float> in() {
    return {q.data(),  k.data(), v.data(), decay.data(), weight.data(), has_own ? own.data() : nullptr,
            qk_stride, v_stride};
  }
};

// The same in doubles, by the plain op.
struct Expected {
  Doubles y, states, dq, dk, dv, ddecay, dweight, down;
  explicit Expected(Problem& p) {
    const auto doubles = [](Tensor& t) {
      Doubles made = widened(t.numbers);
      made.erase(made.begin(), made.begin() + static_cast<std::ptrdiff_t>(t.offset));
      return made;
    };
    const Doubles q = doubles(p.q), k = doubles(p.k), v = doubles(p.v), dy = doubles(p.dy), decay = widened(p.decay),
                  weight = widened(p.weight), own = widened(p.own);
    const std::size_t steps = p.decay.size();
    const StateSpaceOf<const double> in{q.data(),     k.data(),      v.data(),
                                        decay.data(), weight.data(), p.has_own ? own.data() : nullptr,
                                        p.qk_stride,  p.v_stride};
    y.resize(p.flat_rows * p.v_stride), states.resize(p.s.states());
    dq.resize(p.flat_rows * p.qk_stride), dk = dq, dv.resize(p.flat_rows * p.v_stride);
    ddecay.resize(steps), dweight.resize(steps), down.resize(steps);
    Doubles scratch(std::max(state_space_scratch(p.s), p.s.states()));
    emulated::doubles.state_space_forward(y.data(), p.v_stride, states.data(), in, scratch.data(), p.s);
    emulated::doubles.state_space_backward({dq.data(), dk.data(), dv.data(), ddecay.data(), dweight.data(),
                                            p.has_own ? down.data() : nullptr, p.qk_stride, p.v_stride},
                                           dy.data(), p.v_stride, states.data(), in, scratch.data(), p.s);
  }
};

// What the op made, in rows without gaps between them.
template <typename Number>
Doubles inside(const Number* at, std::size_t rows, std::size_t stride, std::size_t width) {
  Doubles made;
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t i = 0; i < width; ++i)
      made.push_back(static_cast<double>(static_cast<float>(at[row * stride + i])));
  return made;
}
Doubles inside(const Doubles& from, std::size_t rows, std::size_t stride, std::size_t width) {
  Doubles made;
  for (std::size_t row = 0; row < rows; ++row)
    made.insert(made.end(), from.begin() + static_cast<std::ptrdiff_t>(row * stride),
                from.begin() + static_cast<std::ptrdiff_t>(row * stride + width));
  return made;
}

void expect_alike(const Doubles& ours, const Doubles& theirs, const char* what) {
  ASSERT_EQ(ours.size(), theirs.size());
  const double cosine = dot(ours, theirs) / std::sqrt(dot(ours, ours) * dot(theirs, theirs)),
               ratio = std::sqrt(dot(ours, ours) / dot(theirs, theirs));
  EXPECT_GT(cosine, 0.9995) << what;
  EXPECT_NEAR(ratio, 1, 0.01) << what;
}

struct Made {
  Tensor y, dq, dk, dv;
  Floats states, ddecay, dweight, down;
  explicit Made(Problem& p)
      : y(p.flat_rows * p.v_stride),
        dq(p.flat_rows * p.qk_stride),
        dk(p.flat_rows * p.qk_stride),
        dv(p.flat_rows * p.v_stride),
        states(p.s.states(), NAN),
        ddecay(p.decay.size(), NAN),
        dweight(ddecay),
        down(ddecay) {
    Floats scratch(p.s.states() + p.s.batch * p.s.context * p.s.heads, NAN);
    EXPECT_TRUE(chunked_scan_suits(p.s, p.in(), y.data(), p.v_stride));
    mixed_table().state_space_forward(y.data(), p.v_stride, states.data(), p.in(), scratch.data(), p.s);
    scratch.assign(scratch.size(), NAN);
    mixed_table().state_space_backward({dq.data(), dk.data(), dv.data(), ddecay.data(), dweight.data(),
                                        p.has_own ? down.data() : nullptr, p.qk_stride, p.v_stride},
                                       p.dy.data(), p.v_stride, states.data(), p.in(), scratch.data(), p.s);
  }
};

void check(StateSpaceShape shape, bool own, double strongest) {
  SCOPED_TRACE("rank " + std::to_string(shape.rank) + ", chunk " + std::to_string(shape.chunk) + ", state " +
               std::to_string(shape.state) + ", head " + std::to_string(shape.head_size) + ", groups " +
               std::to_string(shape.groups) + ", decay " + std::to_string(strongest));
  Problem p(shape, own, strongest);
  const Expected expected(p);
  Made made(p);
  const std::size_t v_width = shape.heads * shape.head_size, qk_width = shape.groups * shape.state;
  const auto rows = [&](const Doubles& from, std::size_t stride, std::size_t width) {
    return inside(from, p.flat_rows, stride, width);
  };
  expect_alike(inside(made.y.data(), p.flat_rows, p.v_stride, v_width), rows(expected.y, p.v_stride, v_width), "y");
  if (shape.context > shape.chunk) expect_alike(widened(made.states), expected.states, "states");
  expect_alike(inside(made.dq.data(), p.flat_rows, p.qk_stride, qk_width), rows(expected.dq, p.qk_stride, qk_width),
               "dq");
  expect_alike(inside(made.dk.data(), p.flat_rows, p.qk_stride, qk_width), rows(expected.dk, p.qk_stride, qk_width),
               "dk");
  expect_alike(inside(made.dv.data(), p.flat_rows, p.v_stride, v_width), rows(expected.dv, p.v_stride, v_width), "dv");
  expect_alike(widened(made.ddecay), expected.ddecay, "decay");
  expect_alike(widened(made.dweight), expected.dweight, "weight");
  if (own) expect_alike(widened(made.down), expected.down, "own");
  // Nothing is written between the rows.
  for (std::size_t row = 0; row + 1 < p.flat_rows; ++row) {
    ASSERT_TRUE(std::isnan(float(made.y.data()[row * p.v_stride + v_width])));
    ASSERT_TRUE(std::isnan(float(made.dv.data()[row * p.v_stride + v_width])));
    ASSERT_TRUE(std::isnan(float(made.dq.data()[row * p.qk_stride + qk_width])));
  }
}

TEST_F(ChunkedScan, IsThePlainOneAndSoAreItsGradients) {
  check({.batch = 1, .context = 64, .heads = 1, .groups = 1, .state = 16, .head_size = 16, .rank = 1, .chunk = 32},
        false, 0.2);
  check({.batch = 2, .context = 48, .heads = 4, .groups = 2, .state = 16, .head_size = 32, .rank = 1, .chunk = 16},
        false, 0.5);
  check({.batch = 1, .context = 128, .heads = 2, .groups = 1, .state = 64, .head_size = 64, .rank = 1, .chunk = 64},
        false, 0.1);
}

TEST_F(ChunkedScan, WithRanksAndWeightsOfATokensOwn) {
  check({.batch = 1, .context = 48, .heads = 2, .groups = 2, .state = 16, .head_size = 16, .rank = 2, .chunk = 16},
        true, 0.3);
  check({.batch = 1, .context = 32, .heads = 1, .groups = 1, .state = 32, .head_size = 16, .rank = 4, .chunk = 16},
        true, 0.3);
  check({.batch = 1, .context = 16, .heads = 1, .groups = 1, .state = 16, .head_size = 16, .rank = 1, .chunk = 16},
        true, 0.3);
}

TEST_F(ChunkedScan, OfTheLargestSides) {
  check({.batch = 1, .context = 32, .heads = 1, .groups = 1, .state = 128, .head_size = 128, .rank = 1, .chunk = 16},
        false, 0.2);
}

TEST_F(ChunkedScan, BearsDecaysThatForgetAllAndNone) {
  const StateSpaceShape s{
      .batch = 1, .context = 48, .heads = 1, .groups = 1, .state = 16, .head_size = 16, .rank = 1, .chunk = 16};
  check(s, false, 0);
  check(s, true, 40);
}

TEST_F(ChunkedScan, GivesTheSameBitsAgain) {
  Problem p({.batch = 1, .context = 32, .heads = 2, .groups = 1, .state = 16, .head_size = 16, .rank = 1, .chunk = 16},
            false, 0.2);
  Made first(p), second(p);
  EXPECT_EQ(widened(first.states), widened(second.states));
  EXPECT_EQ(first.ddecay, second.ddecay);
  EXPECT_EQ(std::memcmp(first.dq.data(), second.dq.data(), p.flat_rows * p.qk_stride * sizeof(bfloat16)), 0);
  EXPECT_EQ(std::memcmp(first.dv.data(), second.dv.data(), p.flat_rows * p.v_stride * sizeof(bfloat16)), 0);
}

TEST_F(ChunkedScan, SuitsWhatTheMatrixUnitTakes) {
  Problem p({.batch = 1, .context = 32, .heads = 2, .groups = 1, .state = 16, .head_size = 16, .rank = 1, .chunk = 16},
            false, 0.2);
  const auto suits = [&](auto change) {
    StateSpaceShape s = p.s;
    auto in = p.in();
    change(s, in);
    return chunked_scan_suits(s, in, p.v.data(), p.v_stride);
  };
  EXPECT_TRUE(suits([](auto&, auto&) {}));
  EXPECT_FALSE(suits([](auto& s, auto&) { s.chunk = 8; })) << "half a strip";
  EXPECT_FALSE(suits([](auto& s, auto&) { s.rank = 8; })) << "more rows than fit";
  EXPECT_FALSE(suits([](auto& s, auto&) { s.state = 20; }));
  EXPECT_FALSE(suits([](auto& s, auto&) { s.head_size = 256; }));
  EXPECT_FALSE(suits([](auto&, auto& in) { ++in.q; })) << "off the boundary";
  EXPECT_FALSE(suits([](auto&, auto& in) { in.v_stride = 33; }));
}

}  // namespace
}  // namespace overnight::kernels::cuda
