// Attention on the matrix unit, run by the emulator or a GPU, against the plain version in floats on the same numbers
// (which has a test against the reference, ops_test.cc). bfloat16 keeps 8 bits of a number, so gradients are compared
// as vectors.
#include "kernels/cuda/flash_attention.cuh"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/kernels/numeric.h"
#include "tests/kernels/tables.h"

namespace overnight::kernels::cuda {
namespace {

using Floats = Numbers<float>;
using Halves = Numbers<bfloat16>;

class FlashAttention : public OnMixedTable {};

// Rounded to bfloat16, times `size`.
Halves drawn(std::size_t count, std::uint64_t seed, double size) {
  Halves values;
  for (const double value : draw(count, seed)) values.push_back(static_cast<float>(value * size));
  return values;
}
Floats widened(const Halves& values) { return {values.begin(), values.end()}; }

// An output between two walls that nothing may touch, all of it poison at first.
template <typename Value>
class Walled {
 public:
  explicit Walled(std::size_t count) : all_(count + 2 * wall) {
    std::memset(static_cast<void*>(all_.data()), 0xff, all_.size() * sizeof(Value));
  }
  Value* data() { return all_.data() + wall; }
  Numbers<Value> values() const { return {all_.begin() + wall, all_.end() - wall}; }
  bool stands() const {
    const auto untouched = [](const Value& value) {
      unsigned char bytes[sizeof(Value)];
      std::memcpy(bytes, &value, sizeof value);
      return std::all_of(bytes, bytes + sizeof(Value), [](unsigned char byte) { return byte == 0xff; });
    };
    return std::all_of(all_.begin(), all_.begin() + wall, untouched) &&
           std::all_of(all_.end() - wall, all_.end(), untouched);
  }

 private:
  static constexpr std::ptrdiff_t wall = 4096;  // a multiple of what an access moves
  Numbers<Value> all_;
};

#ifndef OVERNIGHT_TEST_ON_GPU
template <typename Value>
using Scratch = Walled<Value>;
#endif

struct Problem {
  AttentionShape shape;
  std::size_t rows;
  Halves qkv, pull;
  Floats out, log_sums, dqkv;  // of the plain version

  explicit Problem(AttentionShape s, double size = 1.5)
      : shape(s),
        rows(s.batch * s.context),
        qkv(drawn(rows * s.row(), s.context, size)),
        pull(drawn(rows * s.width(), 5, 1)),
        out(rows * s.width()),
        log_sums(rows * s.heads),
        dqkv(rows * s.row()) {
    solve();
  }
  void solve() {
    const Floats wide = widened(qkv);
    Floats scratch(rows * shape.heads);
    emulated::floats.attention_forward(out.data(), log_sums.data(), wide.data(), scratch.data(), shape);
    emulated::floats.attention_backward(dqkv.data(), widened(pull).data(), out.data(), log_sums.data(), wide.data(),
                                        scratch.data(), shape);
  }
};

struct Attended {
  Walled<bfloat16> out;
  Walled<float> log_sums;

  explicit Attended(const Problem& p) : out(p.rows * p.shape.width()), log_sums(p.rows * p.shape.heads) {
    mixed_table().attention_forward(out.data(), log_sums.data(), p.qkv.data(), nullptr, p.shape);
  }
  Halves back(const Problem& p, bool deterministic) {
    Walled<bfloat16> dqkv(p.qkv.size());
    Scratch<float> scratch(flash_scratch(p.shape));
    be_deterministic(deterministic);
    mixed_table().attention_backward(dqkv.data(), p.pull.data(), out.data(), log_sums.data(), p.qkv.data(),
                                     scratch.data(), p.shape);
    EXPECT_TRUE(dqkv.stands());
    EXPECT_TRUE(scratch.stands());
    return dqkv.values();
  }
};

// Columns [from, to) of rows of `width` numbers.
Floats columns(const Floats& values, std::size_t width, std::size_t from, std::size_t to) {
  Floats part;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % width >= from && i % width < to) part.push_back(values[i]);
  }
  return part;
}

// Of the same direction, of the same length, and nowhere far away.
void expect_same(const Floats& actual, const Floats& expected, const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size());
  double both = 0, ours = 0, theirs = 0, furthest = 0, largest = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double a = actual[i], b = expected[i];
    ASSERT_TRUE(std::isfinite(a)) << what << " at " << i;
    both += a * b, ours += a * a, theirs += b * b;
    furthest = std::max(furthest, std::abs(a - b)), largest = std::max(largest, std::abs(b));
  }
  if (theirs < 1e-8) {  // gradients of scores of a token that sees itself alone
    EXPECT_LT(ours, 1e-2) << what;
    return;
  }
  EXPECT_GT(both / std::sqrt(ours * theirs), 0.9999) << what;
  EXPECT_NEAR(std::sqrt(ours / theirs), 1, 0.01) << what;
  EXPECT_LT(furthest, 0.01 * largest) << what;
}

void expect_gradients(const Halves& dqkv, const Problem& p, const std::string& name) {
  const AttentionShape& s = p.shape;
  const std::size_t ends[] = {0, s.width(), s.width() + s.key_heads() * s.head_size, s.row()};
  for (std::size_t part = 0; part < 3; ++part) {
    expect_same(columns(widened(dqkv), s.row(), ends[part], ends[part + 1]),
                columns(p.dqkv, s.row(), ends[part], ends[part + 1]),
                name + (part == 0   ? ", dq"
                        : part == 1 ? ", dk"
                                    : ", dv"));
  }
}

std::string named(const AttentionShape& s) {
  return "batch " + std::to_string(s.batch) + ", context " + std::to_string(s.context) + ", heads " +
         std::to_string(s.heads) + " : " + std::to_string(s.key_heads()) + " of " + std::to_string(s.head_size) +
         ", window " + std::to_string(s.window);
}

void expect_the_plain_one(const AttentionShape& shape) {
  ASSERT_TRUE(flash_suits(shape));
  const Problem p(shape);
  Attended attended(p);
  EXPECT_TRUE(attended.out.stands());
  EXPECT_TRUE(attended.log_sums.stands());
  expect_same(widened(attended.out.values()), p.out, named(shape) + ", out");
  const Floats log_sums = attended.log_sums.values();
  for (std::size_t i = 0; i < log_sums.size(); ++i) ASSERT_NEAR(log_sums[i], p.log_sums[i], 1e-4) << named(shape);
  expect_gradients(attended.back(p, false), p, named(shape));
  expect_gradients(attended.back(p, true), p, named(shape) + ", deterministic");
}

void expect_the_plain_ones(const std::vector<AttentionShape>& shapes) {
  for (const AttentionShape& shape : shapes) expect_the_plain_one(shape);
}

// Contexts within, at and beyond the ends of tiles.
TEST_F(FlashAttention, IsThePlainOneWithHeadsOf64) {
  expect_the_plain_ones({{.batch = 1, .context = 1, .heads = 1, .head_size = 64},
                         {.batch = 2, .context = 17, .heads = 4, .head_size = 64, .kv_heads = 2},
                         {.batch = 1, .context = 64, .heads = 2, .head_size = 64},
                         {.batch = 1, .context = 130, .heads = 1, .head_size = 64}});
}

// Of one token, within a tile, and across several; some end beside the edge of a tile.
TEST_F(FlashAttention, IsThePlainOneWithWindows) {
  expect_the_plain_ones({{.batch = 1, .context = 20, .heads = 1, .head_size = 64, .window = 1},
                         {.batch = 1, .context = 64, .heads = 4, .head_size = 64, .kv_heads = 1, .window = 40},
                         {.batch = 1, .context = 150, .heads = 2, .head_size = 64, .kv_heads = 1, .window = 34},
                         {.batch = 1, .context = 200, .heads = 1, .head_size = 64, .window = 95}});
}

TEST_F(FlashAttention, IsThePlainOneWithHeadsOf128) {
  expect_the_plain_ones({{.batch = 1, .context = 17, .heads = 2, .head_size = 128, .kv_heads = 1, .window = 100},
                         {.batch = 1, .context = 130, .heads = 1, .head_size = 128},
                         {.batch = 1, .context = 150, .heads = 1, .head_size = 128, .window = 64}});
}

// The last key of a block of 128 and the last query that sees it, which is the first of a tile, are all the world to
// each other.
TEST_F(FlashAttention, GradientsReachAsFarAsTheWindow) {
  Problem p({.batch = 1, .context = 200, .heads = 1, .head_size = 64, .window = 66});
  for (std::size_t i = 0; i < 64; ++i) p.qkv[192 * 192 + i] = p.qkv[127 * 192 + 64 + i] = 1.5f;
  p.solve();
  Attended attended(p);
  expect_gradients(attended.back(p, false), p, "");
  expect_gradients(attended.back(p, true), p, "deterministic");
}

// Scores that rise along the keys, by 2^230 in all: sums are rescaled in every tile.
TEST_F(FlashAttention, RescalesSumsWhenScoresRise) {
  Problem p({.batch = 1, .context = 200, .heads = 1, .head_size = 64});
  for (std::size_t row = 0; row < p.rows; ++row) {
    for (std::size_t i = 0; i < 64; ++i) {
      p.qkv[row * 192 + i] = 1.0f;
      p.qkv[row * 192 + 64 + i] = static_cast<float>(row) * 0.1f;
    }
  }
  p.solve();
  Attended attended(p);
  expect_same(widened(attended.out.values()), p.out, "out");
  const Floats log_sums = attended.log_sums.values();
  for (std::size_t i = 0; i < log_sums.size(); ++i) ASSERT_NEAR(log_sums[i], p.log_sums[i], 1e-3);
}

TEST_F(FlashAttention, NeverReadsWhatATokenDoesNotSee) {
  Problem p({.batch = 1, .context = 150, .heads = 1, .head_size = 64, .window = 70});
  Attended before(p);
  for (std::size_t row = 0; row < p.rows; ++row) {
    if (row > 0 && row < 149) continue;  // token 69 still sees token 0
    for (std::size_t i = 0; i < 192; ++i) p.qkv[row * 192 + i] = 3.0f;
  }
  Attended after(p);
  const Floats one = widened(before.out.values()), other = widened(after.out.values());
  EXPECT_NE(one[69 * 64], other[69 * 64]);
  EXPECT_NE(one[149 * 64], other[149 * 64]);
  EXPECT_TRUE(std::equal(one.begin() + 70 * 64, one.begin() + 149 * 64, other.begin() + 70 * 64));
}

TEST_F(FlashAttention, DeterministicGradientsAreTheSameBits) {
  const Problem p({.batch = 1, .context = 40, .heads = 2, .head_size = 64, .kv_heads = 1});
  Attended attended(p);
  const Halves one = attended.back(p, true), other = attended.back(p, true);
  EXPECT_EQ(std::memcmp(one.data(), other.data(), one.size() * sizeof(bfloat16)), 0);
}

TEST_F(FlashAttention, SuitsHeadsOfTheMatrixUnit) {
  EXPECT_TRUE(flash_suits({.batch = 1, .context = 3, .heads = 6, .head_size = 128, .kv_heads = 2}));
  EXPECT_FALSE(flash_suits({.batch = 1, .context = 3, .heads = 1, .head_size = 32}));
  EXPECT_FALSE(flash_suits({.batch = 1, .context = 3, .heads = 3, .head_size = 64, .kv_heads = 2}));
}

// Blocks of threads cover each block of rows of each head once, whatever the order.
TEST_F(FlashAttention, TasksCoverEverythingOnce) {
  for (const unsigned together : {1u, 2u, 3u, 100u}) {
    const unsigned heads = 3, all_heads = 6, blocks = 4;
    std::vector<int> times(all_heads * blocks);
    for (unsigned at = 0; at < all_heads * blocks; ++at) {
      const flash::Task task = flash::task_of(at, heads, all_heads, blocks, together);
      ++times.at((task.batch * heads + task.head) * blocks + static_cast<std::size_t>(task.block));
    }
    EXPECT_EQ(times, std::vector<int>(all_heads * blocks, 1)) << together;
  }
}

}  // namespace
}  // namespace overnight::kernels::cuda
