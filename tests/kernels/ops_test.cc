// Every op, of every instruction set that this machine has and in double precision: forward against the plain
// reference, backward against differences of that reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "kernels/kernels.h"
#include "kernels/reference/reference.h"
#include "tests/kernels/numeric.h"
#include "tests/kernels/tables.h"

namespace overnight::kernels {
namespace {

template <typename Table>
class Ops : public OnEveryTable<Table> {};
TYPED_TEST_SUITE(Ops, Tables, Names);

// Rows by their ids, those of one id in their order, as batches come to a GPU.
Numbers<std::int32_t> ordered(const Numbers<std::int32_t>& ids) {
  Numbers<std::int32_t> rows(ids.size());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int32_t>(i);
  std::stable_sort(rows.begin(), rows.end(), [&](std::int32_t a, std::int32_t b) {
    return ids[static_cast<std::size_t>(a)] < ids[static_cast<std::size_t>(b)];
  });
  return rows;
}

TYPED_TEST(Ops, EmbeddingCopiesRowsAndItsGradientIsTheirSum) {
  using Reals = Numbers<typename TestFixture::Real>;
  const std::size_t width = 7;
  const Numbers<std::int32_t> ids{2, 0, 2};
  const Reals table = this->narrow(draw(3 * width, 1));
  Reals out = this->poisoned(ids.size() * width);
  this->cpu().embedding_forward(out.data(), ids.data(), table.data(), ids.size(), width);
  for (std::size_t i = 0; i < width; ++i) {
    EXPECT_EQ(out[i], table[2 * width + i]);
    EXPECT_EQ(out[width + i], table[i]);
  }
  Reals dtable(3 * width, 0.0f);
  Reals scratch = this->poisoned(embedding_scratch(ids.size(), width));
  this->cpu().embedding_backward(dtable.data(), ids.data(), ordered(ids).data(), out.data(), scratch.data(), ids.size(),
                                 width);
  for (std::size_t i = 0; i < width; ++i) {
    EXPECT_EQ(dtable[width + i], 0.0f);
    EXPECT_EQ(dtable[2 * width + i], out[i] + out[2 * width + i]);
  }
}

// Tokens of less than a piece of rows, of several pieces, on borders and not, one alone at the end.
TYPED_TEST(Ops, EmbeddingsGradientsOfManyRowsAreSums) {
  using Reals = Numbers<typename TestFixture::Real>;
  const std::size_t width = 8;
  for (const std::vector<std::size_t>& counts :
       {std::vector<std::size_t>{64, 64, 1}, {63, 2, 63}, {1, 200, 3}, {300}, {10, 54, 64, 130, 5, 1}}) {
    Numbers<std::int32_t> ids;
    for (std::size_t id = 0; id < counts.size(); ++id) ids.insert(ids.end(), counts[id], static_cast<std::int32_t>(id));
    std::reverse(ids.begin(), ids.end());
    const Doubles pull = draw(ids.size() * width, 4);
    Doubles expected(counts.size() * width, 1.0);
    for (std::size_t i = 0; i < pull.size(); ++i)
      expected[static_cast<std::size_t>(ids[i / width]) * width + i % width] += pull[i];
    Reals dtable(counts.size() * width, 1.0f), scratch = this->poisoned(embedding_scratch(ids.size(), width));
    this->cpu().embedding_backward(dtable.data(), ids.data(), ordered(ids).data(), this->narrow(pull).data(),
                                   scratch.data(), ids.size(), width);
    EXPECT_LT(distance(dtable, expected), this->near) << ids.size();
  }
}

TYPED_TEST(Ops, RmsNormIsItsReferenceAndItsGradientAdds) {
  using Reals = Numbers<typename TestFixture::Real>;
  for (const std::size_t width : {2u, 5u, 16u, 67u}) {
    const std::size_t rows = 3;
    const Doubles in = draw(rows * width, width), pull = draw(rows * width, 9);
    const Reals x = this->narrow(in), dout = this->narrow(pull);
    Reals out = this->poisoned(in.size()), rstd = this->poisoned(rows), din = this->poisoned(in.size());
    this->cpu().rmsnorm_forward(out.data(), rstd.data(), x.data(), rows, width);
    EXPECT_LT(distance(out, reference::rmsnorm(in, rows, width)), this->near);
    Doubles expected =
        numeric_gradient([&](const Doubles& v) { return dot(reference::rmsnorm(v, rows, width), pull); }, in);
    this->cpu().rmsnorm_backward(din.data(), dout.data(), x.data(), false, rstd.data(), rows, width, nullptr);
    EXPECT_LT(distance(din, expected), this->near) << width;
    din = this->poisoned(in.size());
    this->cpu().rmsnorm_backward(din.data(), dout.data(), out.data(), true, rstd.data(), rows, width, nullptr);
    EXPECT_LT(distance(din, expected), this->near) << width << ", from what it wrote";
    for (double& value : expected) value += 1;
    const Reals ones(in.size(), 1.0f);
    this->cpu().rmsnorm_backward(din.data(), dout.data(), out.data(), true, rstd.data(), rows, width, ones.data());
    EXPECT_LT(distance(din, expected), this->near) << width << ", added to something else";
    din = ones;
    this->cpu().rmsnorm_backward(din.data(), dout.data(), x.data(), false, rstd.data(), rows, width, din.data());
    EXPECT_LT(distance(din, expected), this->near) << width << ", added in place";
  }
}

// Values of one attention problem: qkv, and what the normalised, rotated queries and keys are.
template <typename Table>
struct Problem {
  using Reals = Numbers<typename Table::Real>;

  AttentionShape shape;
  std::size_t rows, turned;  // numbers of queries and keys in a row
  Doubles qkv, qk;
  Reals turns;

  explicit Problem(AttentionShape s)
      : shape(s),
        rows(s.batch * s.context),
        turned((s.heads + s.key_heads()) * s.head_size),
        qkv(draw(rows * s.row(), s.context)),
        qk(reference::qk(qkv, shape)),
        turns(s.context * s.head_size) {
    rotary_table(turns.data(), s.context, s.head_size, 10000);
  }
};

// Shapes of one block of queries and of several, of shared keys, and of windows within and beyond a block.
const AttentionShape attention_shapes[] = {
    {.batch = 1, .context = 70, .heads = 1, .head_size = 4},
    {.batch = 2, .context = 6, .heads = 2, .head_size = 6},
    {.batch = 1, .context = 1, .heads = 1, .head_size = 2},
    {.batch = 1, .context = 9, .heads = 1, .head_size = 70},
    {.batch = 1, .context = 130, .heads = 2, .head_size = 2},
    {.batch = 2, .context = 5, .heads = 4, .head_size = 2, .kv_heads = 2},
    {.batch = 1, .context = 67, .heads = 3, .head_size = 2, .kv_heads = 1},
    {.batch = 1, .context = 70, .heads = 1, .head_size = 2, .window = 3},
    {.batch = 1, .context = 150, .heads = 1, .head_size = 2, .window = 70},
    {.batch = 1, .context = 9, .heads = 2, .head_size = 2, .kv_heads = 1, .window = 1},
    {.batch = 1, .context = 5, .heads = 1, .head_size = 2, .window = 100},
};

// qkv with its queries and keys normalised and turned, as attention reads it.
template <typename Table>
Doubles turned(const Problem<Table>& p, const Doubles& qk) {
  Doubles all = p.qkv;
  for (std::size_t row = 0; row < p.rows; ++row) {
    for (std::size_t i = 0; i < p.turned; ++i) all[row * p.shape.row() + i] = qk[row * p.turned + i];
  }
  return all;
}

TYPED_TEST(Ops, QueriesAndKeysAreNormalisedAndTurnedInPlace) {
  using Reals = Numbers<typename TestFixture::Real>;
  for (const AttentionShape& shape :
       {AttentionShape{.batch = 2, .context = 5, .heads = 2, .head_size = 4},
        AttentionShape{.batch = 1, .context = 9, .heads = 3, .head_size = 10},
        AttentionShape{.batch = 1, .context = 11, .heads = 3, .head_size = 16},
        AttentionShape{.batch = 1, .context = 5, .heads = 1, .head_size = 64},
        AttentionShape{.batch = 1, .context = 5, .heads = 4, .head_size = 2, .kv_heads = 2}}) {
    const Problem<TypeParam> p(shape);
    const std::size_t row_size = shape.row(), heads = shape.heads + shape.key_heads();
    Reals qkv = this->narrow(p.qkv), rstd = this->poisoned(p.rows * heads);
    // In two pieces: positions go by the row of the batch, not of the piece.
    const std::size_t cut = 3;
    this->cpu().qk_forward(qkv.data(), rstd.data(), p.turns.data(), p.shape, 0, cut);
    this->cpu().qk_forward(qkv.data() + cut * row_size, rstd.data() + cut * heads, p.turns.data(), p.shape, cut,
                           p.rows - cut);
    EXPECT_LT(distance(qkv, turned(p, p.qk)), this->near);
    const Doubles pull = draw(p.qk.size(), 3);
    const Doubles expected =
        numeric_gradient([&](const Doubles& v) { return dot(reference::qk(v, p.shape), pull); }, p.qkv);
    Reals dqkv(qkv.size(), 77.0f);
    for (std::size_t row = 0; row < p.rows; ++row) {
      for (std::size_t i = 0; i < p.turned; ++i)
        dqkv[row * row_size + i] = static_cast<typename TestFixture::Real>(pull[row * p.turned + i]);
    }
    this->cpu().qk_backward(dqkv.data(), qkv.data(), rstd.data(), p.turns.data(), p.shape, 0, p.rows);
    for (std::size_t at = 0; at < dqkv.size(); ++at) {
      if (at % row_size < p.turned) {
        EXPECT_NEAR(dqkv[at], expected[at], 2 * this->near);
      } else {
        EXPECT_EQ(dqkv[at], 77.0f) << "the values' gradient is not this op's";
      }
    }
  }
}

// One forward pass; `scratch` is poisoned first.
template <typename Table>
struct Attended {
  using Real = typename Table::Real;
  using Reals = Numbers<Real>;
  Reals out, log_sums, scratch;
  Attended(const Problem<Table>& p, const Reals& qkv)
      : out(poisoned<Real>(p.rows * p.shape.width())),
        log_sums(poisoned<Real>(p.rows * p.shape.heads)),
        scratch(poisoned<Real>(std::max(attention_scratch(p.shape), device_attention_scratch(p.shape)))) {
    Table::table()->attention_forward(out.data(), log_sums.data(), qkv.data(), scratch.data(), p.shape);
  }
};

TYPED_TEST(Ops, AttentionIsItsReference) {
  for (const AttentionShape& shape : attention_shapes) {
    const Problem<TypeParam> p(shape);
    const Attended<TypeParam> attended(p, this->narrow(turned(p, p.qk)));
    EXPECT_LT(distance(attended.out, reference::attention(p.qk, p.qkv, p.shape)), this->near) << shape.context;
  }
}

TYPED_TEST(Ops, AttentionsGradientsAreThoseOfItsReference) {
  using Reals = Numbers<typename TestFixture::Real>;
  for (const AttentionShape& shape : attention_shapes) {
    const Problem<TypeParam> p(shape);
    const Reals qkv = this->narrow(turned(p, p.qk));
    Attended<TypeParam> attended(p, qkv);
    const Doubles pull = draw(attended.out.size(), 4);
    Reals dqkv = this->poisoned(qkv.size());
    attended.scratch = this->poisoned(attended.scratch.size());
    this->cpu().attention_backward(dqkv.data(), this->narrow(pull).data(), attended.out.data(),
                                   attended.log_sums.data(), qkv.data(), attended.scratch.data(), p.shape);
    const auto loss = [&](const Doubles& a, const Doubles& b) {
      return dot(reference::attention(a, b, p.shape), pull);
    };
    const Doubles dqk = numeric_gradient([&](const Doubles&v) { return loss(v, p.qkv); }, p.qk),
                  dvalues = numeric_gradient([&](const Doubles&v) { return loss(p.qk, v); }, p.qkv);
    for (std::size_t row = 0; row < p.rows; ++row) {
      for (std::size_t i = 0; i < shape.row(); ++i) {
        const std::size_t at = row * shape.row() + i;
        ASSERT_NEAR(dqkv[at], i < p.turned ? dqk[row * p.turned + i] : dvalues[at], 2 * this->near) << shape.context;
      }
    }
  }
}

TYPED_TEST(Ops, ALaterTokenIsNeverSeen) {
  using Reals = Numbers<typename TestFixture::Real>;
  const Problem<TypeParam> p({.batch = 1, .context = 66, .heads = 1, .head_size = 4});
  Reals qkv = this->narrow(turned(p, p.qk));
  const Attended<TypeParam> before(p, qkv);
  for (std::size_t i = 0; i < p.shape.row(); ++i) qkv[65 * p.shape.row() + i] = 5;
  const Attended<TypeParam> after(p, qkv);
  for (std::size_t i = 0; i < 65 * p.shape.width(); ++i) ASSERT_EQ(before.out[i], after.out[i]);
}

TYPED_TEST(Ops, ATokenBeforeTheWindowIsNotSeen) {
  using Reals = Numbers<typename TestFixture::Real>;
  const Problem<TypeParam> p({.batch = 1, .context = 80, .heads = 1, .head_size = 4, .window = 70});
  Reals qkv = this->narrow(turned(p, p.qk));
  const Attended<TypeParam> before(p, qkv);
  for (std::size_t i = 0; i < p.shape.row(); ++i) qkv[i] = 5;  // token 0, which token 69 still sees
  const Attended<TypeParam> after(p, qkv);
  EXPECT_NE(before.out[69 * 4], after.out[69 * 4]);
  for (std::size_t i = 70 * 4; i < before.out.size(); ++i) ASSERT_EQ(before.out[i], after.out[i]);
}

TYPED_TEST(Ops, ReluSquaredAndItsGradientFromItsOutput) {
  using Reals = Numbers<typename TestFixture::Real>;
  const Doubles in = draw(37, 2), pull = draw(37, 3);
  Reals out = this->narrow(in), din = this->narrow(pull);
  this->cpu().relu2_forward(out.data(), out.data(), out.size());
  EXPECT_LT(distance(out, reference::relu2(in)), this->near);
  const Doubles expected = numeric_gradient([&](const Doubles& v) { return dot(reference::relu2(v), pull); }, in);
  this->cpu().relu2_backward(din.data(), din.data(), out.data(), out.size());
  EXPECT_LT(distance(din, expected), this->near);
}

TYPED_TEST(Ops, GeluSwigluAndSoftcapAreTheirReferencesAsAreTheirGradients) {
  using Reals = Numbers<typename TestFixture::Real>;
  Doubles in = draw(60, 2);
  const Doubles pull = draw(60, 3), half = draw(30, 4);
  for (double& x : in) x = static_cast<float>(4 * x);
  const Reals x = this->narrow(in);
  Reals out = this->poisoned(60), din = this->poisoned(60);
  this->cpu().gelu_forward(out.data(), x.data(), 60);
  EXPECT_LT(distance(out, reference::gelu(in)), this->near);
  this->cpu().gelu_backward(din.data(), this->narrow(pull).data(), x.data(), 60);
  const auto of_gelu = [&](const Doubles& v) { return dot(reference::gelu(v), pull); };
  EXPECT_LT(distance(din, numeric_gradient(of_gelu, in)), this->near);

  out = this->poisoned(30), din = this->poisoned(60);
  this->cpu().swiglu_forward(out.data(), x.data(), 5, 6);
  EXPECT_LT(distance(out, reference::swiglu(in, 5, 6)), this->near);
  this->cpu().swiglu_backward(din.data(), this->narrow(half).data(), x.data(), 5, 6);
  const auto of_swiglu = [&](const Doubles& v) { return dot(reference::swiglu(v, 5, 6), half); };
  EXPECT_LT(distance(din, numeric_gradient(of_swiglu, in)), this->near);

  out = x;
  this->cpu().softcap_forward(out.data(), 60, 3);
  EXPECT_LT(distance(out, reference::softcap(in, 3.0)), this->near);
}

TYPED_TEST(Ops, BlendIsASumOfTwoStreams) {
  using Reals = Numbers<typename TestFixture::Real>;
  const Doubles a = draw(40, 1), b = draw(40, 2), shares = draw(2, 3), pull = draw(40, 4);
  const Reals x = this->narrow(a), y = this->narrow(b), by = this->narrow(shares), d = this->narrow(pull);
  Reals out = this->poisoned(40), da = this->poisoned(40), db(40, 1), dshares(2, 1);
  this->cpu().blend_forward(out.data(), x.data(), y.data(), by.data(), 40);
  this->cpu().blend_backward(da.data(), db.data(), dshares.data(), d.data(), x.data(), y.data(), by.data(), 40, false,
                             true);
  Doubles expected(40), expected_a(40), expected_b(40);
  for (std::size_t i = 0; i < 40; ++i) {
    expected[i] = shares[0] * a[i] + shares[1] * b[i];
    expected_a[i] = shares[0] * pull[i];
    expected_b[i] = 1 + shares[1] * pull[i];
  }
  EXPECT_LT(distance(out, expected), this->near);
  EXPECT_LT(distance(da, expected_a), this->near);
  EXPECT_LT(distance(db, expected_b), this->near);
  EXPECT_LT(distance(dshares, {1 + dot(a, pull), 1 + dot(b, pull)}), this->near);

  // A stream with itself, as in a first layer: its gradient has both shares.
  Reals both = this->poisoned(40);
  dshares = {0, 0};
  this->cpu().blend_backward(both.data(), both.data(), dshares.data(), d.data(), x.data(), x.data(), by.data(), 40,
                             false, true);
  Doubles expected_both(40);
  for (std::size_t i = 0; i < 40; ++i) expected_both[i] = (shares[0] + shares[1]) * pull[i];
  EXPECT_LT(distance(both, expected_both), this->near);
}

// Rows shorter than what the gate reads, and longer; heads number by number, and in a GPU's packs.
TYPED_TEST(Ops, ValueEmbeddingsAreGatedByTheirRow) {
  using Reals = Numbers<typename TestFixture::Real>;
  for (const auto& [width, head_size] : {std::pair<std::size_t, std::size_t>{6, 2}, {40, 2}, {40, 4}}) {
    const AttentionShape s{.batch = 1, .context = 4, .heads = 4, .head_size = head_size, .kv_heads = 2};
    const Numbers<std::int32_t> ids{2, 0, 2, 1};
    const std::size_t seen = 2 * head_size;
    struct Inputs {
      Doubles in, table, gate;
    } in{draw(4 * width, 1), draw(3 * seen, 2), draw(2 * std::min(width, value_gate_inputs), 3)};
    const Reals x = this->narrow(in.in), table = this->narrow(in.table), gate = this->narrow(in.gate);
    const Doubles before = draw(4 * s.row(), 4), pull = draw(4 * s.row(), 5);
    Reals qkv = this->narrow(before);
    this->cpu().value_embedding_forward(qkv.data(), x.data(), width, ids.data(), {table.data(), gate.data()}, s, 4);
    const auto added = [&, width = width](const Inputs& i) {
      Doubles all(4 * s.row());
      const Doubles values = reference::value_embedding(i.in, ids, i.table, i.gate, s, width);
      for (std::size_t v = 0; v < values.size(); ++v) all[v / seen * s.row() + s.row() - seen + v % seen] = values[v];
      return all;
    };
    Doubles expected = added(in);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += before[i];
    EXPECT_LT(distance(qkv, expected), this->near);

    Reals dx(x.size()), dtable(table.size()), dgate(gate.size());
    Reals scratch = this->poisoned(value_embedding_scratch(4, s));
    this->cpu().value_embedding_backward(dx.data(), {dtable.data(), dgate.data()}, this->narrow(pull).data(), x.data(),
                                         width, ids.data(), ordered(ids).data(), {table.data(), gate.data()},
                                         scratch.data(), s, 4);
    const auto gradient = [&](Doubles Inputs::*part) {
      return numeric_gradient(
          [&](const Doubles& values) {
            Inputs changed = in;
            changed.*part = values;
            return dot(added(changed), pull);
          },
          in.*part);
    };
    EXPECT_LT(distance(dx, gradient(&Inputs::in)), this->near);
    EXPECT_LT(distance(dtable, gradient(&Inputs::table)), this->near);
    EXPECT_LT(distance(dgate, gradient(&Inputs::gate)), this->near);
  }
}

TYPED_TEST(Ops, CrossEntropyIsExactForExtremeLogitsAndSkipsWhatIsNotCounted) {
  using Reals = Numbers<typename TestFixture::Real>;
  for (const double spread : {1.0, 30.0, 1000.0}) {
    const std::size_t width = 19;
    Doubles logits = draw(3 * width, 8);
    for (double& value : logits) value = static_cast<float>(value * spread);
    const Numbers<std::int32_t> targets{4, -1, 18};
    Reals x = this->narrow(logits), losses = this->poisoned(3);
    const double expected = reference::cross_entropy(logits, targets, width);
    this->cpu().cross_entropy(losses.data(), x.data(), width, targets.data(), 3, width, 0, 0.5f);
    EXPECT_EQ(losses[1], 0.0f);
    EXPECT_NEAR(losses[0] + losses[2], expected, 1e-5 * (1 + expected));
    if (spread > 1) continue;
    Doubles gradient =
        numeric_gradient([&](const Doubles& v) { return 0.5 * reference::cross_entropy(v, targets, width); }, logits);
    EXPECT_LT(distance(x, gradient), this->near);
  }
}

// Rows of less than a pack, of packs, and of more than a block of a GPU keeps in registers.
TYPED_TEST(Ops, CrossEntropyOfCappedLogits) {
  using Reals = Numbers<typename TestFixture::Real>;
  for (const std::size_t width : {19u, 64u, 4400u}) {
    Doubles logits = draw(2 * width, 8);
    for (double& value : logits) value = static_cast<float>(value * 5);
    const Numbers<std::int32_t> targets{1, static_cast<std::int32_t>(width - 1)};
    const auto loss = [&](const Doubles& v) {
      return reference::cross_entropy(reference::softcap(v, 3.0), targets, width);
    };
    Reals x = this->narrow(logits), losses = this->poisoned(2), alone = this->poisoned(2), y = x;
    this->cpu().cross_entropy(losses.data(), x.data(), width, targets.data(), 2, width, 3, 0.5f);
    EXPECT_NEAR(losses[0] + losses[1], loss(logits), 1e-5 * (1 + loss(logits)));
    this->cpu().cross_entropy(alone.data(), y.data(), width, targets.data(), 2, width, 3, 0);
    EXPECT_EQ(alone, losses);
    Doubles gradient = logits, some = logits;  // differences of a few: a row of thousands takes too long
    for (const std::size_t i : {std::size_t{0}, std::size_t{1}, width - 1, width, 2 * width - 1}) {
      const double step = 1e-5, at = some[i];
      some[i] = at + step;
      const double above = loss(some);
      some[i] = at - step;
      gradient[i] = 0.5 * (above - loss(some)) / (2 * step);
      some[i] = at;
      EXPECT_NEAR(x[i], gradient[i], this->near) << width << " " << i;
    }
  }
}

// Rows that lie further apart than they are long, by packs and not; what lies between them is not looked at.
TYPED_TEST(Ops, CrossEntropyOfRowsApart) {
  using Reals = Numbers<typename TestFixture::Real>;
  for (const auto& [width, stride] : {std::pair<std::size_t, std::size_t>{19, 24}, {19, 21}, {4393, 4400}}) {
    for (const auto cap : {0.0f, 3.0f}) {
      const Reals logits = this->narrow(draw(2 * width, 8));
      const Numbers<std::int32_t> targets{-1, static_cast<std::int32_t>(width - 1)};
      Reals together = logits, losses = this->poisoned(2), apart = this->poisoned(2 * stride), same = this->poisoned(2);
      for (std::size_t i = 0; i < 2 * width; ++i) apart[i / width * stride + i % width] = logits[i];
      this->cpu().cross_entropy(losses.data(), together.data(), width, targets.data(), 2, width, cap, 0.5f);
      this->cpu().cross_entropy(same.data(), apart.data(), stride, targets.data(), 2, width, cap, 0.5f);
      EXPECT_NEAR(same[1], losses[1], 1e-5 * losses[1]);
      EXPECT_EQ(same[0], 0);
      for (std::size_t i = 0; i < 2 * width; ++i)
        ASSERT_NEAR(apart[i / width * stride + i % width], together[i], 1e-6) << width << " " << stride << " " << i;
    }
  }
}

TYPED_TEST(Ops, AdamWIsThatOfThePaper) {
  if (this->cpu().adamw == nullptr) GTEST_SKIP() << "a GPU's optimizer works on all tensors at once";
  using Reals = Numbers<typename TestFixture::Real>;
  const std::size_t count = 21;
  const Doubles start = draw(count, 1), gradient = draw(count, 2);
  Reals weights = this->narrow(start), first(count, 0.1f), second(count, 0.2f);
  const double rate = 0.01, b1 = 0.9, b2 = 0.95, decay = 0.1, eps = 1e-8, c1 = 1 / (1 - b1), c2 = 1 / (1 - b2);
  this->cpu().adamw(weights.data(), first.data(), second.data(), this->narrow(gradient).data(), count, 0.01f, 0.9f,
                    0.95f, static_cast<float>(c1), static_cast<float>(c2), 1e-8f, 0.1f, 0.5f);
  Doubles expected(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double g = 0.5 * gradient[i], m = b1 * 0.1 + (1 - b1) * g, v = b2 * 0.2 + (1 - b2) * g * g;
    expected[i] = start[i] - rate * (m * c1 / (std::sqrt(v * c2) + eps) + decay * start[i]);
  }
  EXPECT_LT(distance(weights, expected), this->near);
}

TYPED_TEST(Ops, SumsAreThoseOfTheReference) {
  using Reals = Numbers<typename TestFixture::Real>;
  const Doubles values = draw(1001, 6), more = draw(1001, 7);
  Reals to = this->narrow(values);
  if (this->cpu().sum_of_squares != nullptr) {
    EXPECT_NEAR(this->cpu().sum_of_squares(to.data(), to.size()), dot(values, values), 1e-4);
  }
  this->cpu().add(to.data(), this->narrow(more).data(), to.size());
  Doubles expected = values;
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += more[i];
  EXPECT_LT(distance(to, expected), this->near);
}

#ifndef OVERNIGHT_TEST_ON_GPU
// What training adds up over thousands of steps must not depend on which machine took them.
TEST(EveryTable, AgreesWithEachOther) {
  const auto gradients = []<typename Table>(Table) {
    const Problem<Table> p({.batch = 2, .context = 70, .heads = 2, .head_size = 8});
    const auto qkv = narrow<float>(turned(p, p.qk)), pull = narrow<float>(draw(p.rows * p.shape.width(), 4));
    Attended<Table> attended(p, qkv);
    auto dqkv = poisoned<float>(qkv.size());
    Table::table()->attention_backward(dqkv.data(), pull.data(), attended.out.data(), attended.log_sums.data(),
                                       qkv.data(), attended.scratch.data(), p.shape);
    return dqkv;
  };
  const auto base = gradients(Base());
  const Doubles expected(base.begin(), base.end());
  if (Avx2::table() != nullptr) {
    EXPECT_LT(distance(gradients(Avx2()), expected), 1e-5);
  }
  if (Avx512::table() != nullptr) {
    EXPECT_LT(distance(gradients(Avx512()), expected), 1e-5);
  }
}

TEST(Denormals, BecomeZeroOnRequest) {
  volatile float tiny = 1e-38f;
  flush_denormals();
#if defined(__x86_64__)
  EXPECT_EQ(tiny * 0.5f, 0.0f);
#endif
}

TEST(Backend, IsTheBestThatThisMachineRuns) {
  EXPECT_EQ(cpu_backend_named("no such table"), nullptr);
  EXPECT_NE(cpu_backend_named("base"), nullptr);
  EXPECT_EQ(cpu_backend_named(cpu_backend().name), &cpu_backend());
}
#endif

}  // namespace
}  // namespace overnight::kernels
