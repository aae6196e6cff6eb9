// Every op, of every instruction set that this machine has: forward against the plain reference in double precision,
// backward against differences of that reference.
#include <gtest/gtest.h>

#include <string>

#include "kernels/kernels.h"
#include "kernels/reference/reference.h"
#include "tests/kernels/numeric.h"

namespace overnight::kernels {
namespace {

constexpr double near = 1e-4;

class Ops : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    table_ = cpu_backend_named(GetParam());
    if (table_ == nullptr) GTEST_SKIP() << "this machine cannot run " << GetParam();
  }
  const Backend& cpu() const { return *table_; }

 private:
  const Backend* table_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Tables, Ops, testing::Values("base", "avx2", "avx512"),
                         [](const auto& one) { return std::string(one.param); });

TEST_P(Ops, EmbeddingCopiesRowsAndItsGradientIsTheirSum) {
  const std::size_t width = 7;
  const std::vector<std::int32_t> ids{2, 0, 2};
  const Floats table = narrow(draw(3 * width, 1));
  Floats out = poisoned(ids.size() * width);
  cpu().embedding_forward(out.data(), ids.data(), table.data(), ids.size(), width);
  for (std::size_t i = 0; i < width; ++i) {
    EXPECT_EQ(out[i], table[2 * width + i]);
    EXPECT_EQ(out[width + i], table[i]);
  }
  Floats dtable(3 * width, 0.0f);
  cpu().embedding_backward(dtable.data(), ids.data(), out.data(), ids.size(), width);
  for (std::size_t i = 0; i < width; ++i) {
    EXPECT_EQ(dtable[width + i], 0.0f);
    EXPECT_FLOAT_EQ(dtable[2 * width + i], out[i] + out[2 * width + i]);
  }
}

TEST_P(Ops, RmsNormIsItsReferenceAndItsGradientAdds) {
  for (const std::size_t width : {2u, 5u, 16u, 67u}) {
    const std::size_t rows = 3;
    const Doubles in = draw(rows * width, width), pull = draw(rows * width, 9);
    const Floats x = narrow(in), dout = narrow(pull);
    Floats out = poisoned(in.size()), rstd = poisoned(rows), din = poisoned(in.size());
    cpu().rmsnorm_forward(out.data(), rstd.data(), x.data(), rows, width);
    EXPECT_LT(distance(out, reference::rmsnorm(in, rows, width)), near);
    Doubles expected =
        numeric_gradient([&](const Doubles& v) { return dot(reference::rmsnorm(v, rows, width), pull); }, in);
    cpu().rmsnorm_backward(din.data(), dout.data(), x.data(), rstd.data(), rows, width, false);
    EXPECT_LT(distance(din, expected), near) << width;
    din.assign(in.size(), 1.0f);
    cpu().rmsnorm_backward(din.data(), dout.data(), x.data(), rstd.data(), rows, width, true);
    for (double& value : expected) value += 1;
    EXPECT_LT(distance(din, expected), near) << width;
  }
}

// Values of one attention problem: qkv, and what the normalised, rotated queries and keys are.
struct Problem {
  AttentionShape shape;
  std::size_t rows, width;
  Doubles qkv, qk;
  Floats turns;

  Problem(std::size_t batch, std::size_t context, std::size_t heads, std::size_t head_size)
      : shape{batch, context, heads, head_size},
        rows(batch * context),
        width(heads * head_size),
        qkv(draw(rows * 3 * width, context)),
        qk(reference::qk(qkv, shape)),
        turns(context * head_size) {
    rotary_table(turns.data(), context, head_size);
  }
};

TEST_P(Ops, QueriesAndKeysAreNormalisedAndTurned) {
  for (const Problem& p : {Problem(2, 5, 2, 4), Problem(1, 9, 3, 10)}) {
    const Floats qkv = narrow(p.qkv);
    Floats qk = poisoned(p.qk.size()), rstd = poisoned(p.rows * 2 * p.shape.heads), dqkv = poisoned(qkv.size());
    cpu().qk_forward(qk.data(), rstd.data(), qkv.data(), p.turns.data(), p.shape);
    EXPECT_LT(distance(qk, p.qk), near);
    const Doubles pull = draw(qk.size(), 3);
    const Doubles expected =
        numeric_gradient([&](const Doubles& v) { return dot(reference::qk(v, p.shape), pull); }, p.qkv);
    cpu().qk_backward(dqkv.data(), narrow(pull).data(), qkv.data(), rstd.data(), p.turns.data(), p.shape);
    for (std::size_t row = 0; row < p.rows; ++row) {
      for (std::size_t i = 0; i < 3 * p.width; ++i) {
        const std::size_t at = row * 3 * p.width + i;
        if (i < 2 * p.width) {
          EXPECT_NEAR(dqkv[at], expected[at], 2e-4);
        } else {
          EXPECT_TRUE(std::isnan(dqkv[at])) << "the values' gradient is not this op's";
        }
      }
    }
  }
}

// 70 positions: more than one block of queries.
TEST_P(Ops, AttentionIsItsReferenceOverSeveralBlocks) {
  for (const Problem& p : {Problem(1, 70, 1, 4), Problem(2, 6, 2, 6), Problem(1, 1, 1, 2)}) {
    const std::size_t weights_count = p.shape.batch * p.shape.heads * p.shape.context * p.shape.context;
    Floats out = poisoned(p.rows * p.width), weights = poisoned(weights_count);
    cpu().attention_forward(out.data(), weights.data(), narrow(p.qk).data(), narrow(p.qkv).data(), p.shape);
    EXPECT_LT(distance(out, reference::attention(p.qk, p.qkv, p.shape)), near);
  }
}

TEST_P(Ops, AttentionsGradientsAreThoseOfItsReference) {
  for (const Problem& p : {Problem(1, 67, 1, 2), Problem(2, 5, 2, 4)}) {
    const Floats qk = narrow(p.qk), qkv = narrow(p.qkv);
    const std::size_t T = p.shape.context;
    Floats out = poisoned(p.rows * p.width), weights = poisoned(p.shape.batch * p.shape.heads * T * T);
    cpu().attention_forward(out.data(), weights.data(), qk.data(), qkv.data(), p.shape);
    const Doubles pull = draw(out.size(), 4);
    Floats dqk = poisoned(qk.size()), dqkv = poisoned(qkv.size()), scratch = poisoned(T * T);
    cpu().attention_backward(dqk.data(), dqkv.data(), narrow(pull).data(), weights.data(), qk.data(), qkv.data(),
                             scratch.data(), p.shape);
    const auto loss = [&](const Doubles& a, const Doubles& b) {
      return dot(reference::attention(a, b, p.shape), pull);
    };
    EXPECT_LT(distance(dqk, numeric_gradient([&](const Doubles& v) { return loss(v, p.qkv); }, p.qk)), near);
    const Doubles dvalues = numeric_gradient([&](const Doubles& v) { return loss(p.qk, v); }, p.qkv);
    for (std::size_t row = 0; row < p.rows; ++row) {
      for (std::size_t i = 2 * p.width; i < 3 * p.width; ++i)
        EXPECT_NEAR(dqkv[row * 3 * p.width + i], dvalues[row * 3 * p.width + i], 2e-4);
    }
  }
}

TEST_P(Ops, ALaterTokenIsNeverSeen) {
  Problem p(1, 66, 1, 4);
  const std::size_t weights_count = p.shape.context * p.shape.context;
  Floats before = poisoned(p.rows * p.width), after = before, weights = poisoned(weights_count);
  Floats qk = narrow(p.qk), qkv = narrow(p.qkv);
  cpu().attention_forward(before.data(), weights.data(), qk.data(), qkv.data(), p.shape);
  for (std::size_t i = 0; i < 2 * p.width; ++i) qk[65 * 2 * p.width + i] = 5;
  for (std::size_t i = 0; i < 3 * p.width; ++i) qkv[65 * 3 * p.width + i] = 5;
  cpu().attention_forward(after.data(), weights.data(), qk.data(), qkv.data(), p.shape);
  for (std::size_t i = 0; i < 65 * p.width; ++i) ASSERT_EQ(before[i], after[i]);
}

TEST_P(Ops, ReluSquaredAndItsGradient) {
  const Doubles in = draw(37, 2), pull = draw(37, 3);
  const Floats x = narrow(in), dout = narrow(pull);
  Floats out = poisoned(in.size()), din = poisoned(in.size());
  cpu().relu2_forward(out.data(), x.data(), x.size());
  EXPECT_LT(distance(out, reference::relu2(in)), near);
  Doubles expected = numeric_gradient([&](const Doubles& v) { return dot(reference::relu2(v), pull); }, in);
  cpu().relu2_backward(din.data(), dout.data(), x.data(), x.size(), false);
  EXPECT_LT(distance(din, expected), near);
  din.assign(in.size(), 2.0f);
  cpu().relu2_backward(din.data(), dout.data(), x.data(), x.size(), true);
  for (double& value : expected) value += 2;
  EXPECT_LT(distance(din, expected), near);
}

TEST_P(Ops, CrossEntropyIsExactForExtremeLogitsAndSkipsWhatIsNotCounted) {
  for (const double spread : {1.0, 30.0, 1000.0}) {
    const std::size_t width = 19;
    Doubles logits = draw(3 * width, 8);
    for (double& value : logits) value = static_cast<float>(value * spread);
    const std::vector<std::int32_t> targets{4, -1, 18};
    Floats x = narrow(logits);
    const double expected = reference::cross_entropy(logits, targets, width);
    EXPECT_NEAR(cpu().cross_entropy(x.data(), targets.data(), 3, width, 0.5f), expected, 1e-5 * (1 + expected));
    if (spread > 1) continue;
    Doubles gradient =
        numeric_gradient([&](const Doubles& v) { return 0.5 * reference::cross_entropy(v, targets, width); }, logits);
    EXPECT_LT(distance(x, gradient), near);
  }
}

TEST_P(Ops, AdamWIsThatOfThePaper) {
  const std::size_t count = 21;
  const Doubles start = draw(count, 1), gradient = draw(count, 2);
  Floats weights = narrow(start), first(count, 0.1f), second(count, 0.2f);
  const double rate = 0.01, b1 = 0.9, b2 = 0.95, decay = 0.1, eps = 1e-8, c1 = 1 / (1 - b1), c2 = 1 / (1 - b2);
  cpu().adamw(weights.data(), first.data(), second.data(), narrow(gradient).data(), count, 0.01f, 0.9f, 0.95f,
              static_cast<float>(c1), static_cast<float>(c2), 1e-8f, 0.1f, 0.5f);
  Doubles expected(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double g = 0.5 * gradient[i], m = b1 * 0.1 + (1 - b1) * g, v = b2 * 0.2 + (1 - b2) * g * g;
    expected[i] = start[i] - rate * (m * c1 / (std::sqrt(v * c2) + eps) + decay * start[i]);
  }
  EXPECT_LT(distance(weights, expected), near);
}

TEST_P(Ops, SumsAreThoseOfTheReference) {
  const Doubles values = draw(1001, 6), more = draw(1001, 7);
  Floats to = narrow(values);
  EXPECT_NEAR(cpu().sum_of_squares(to.data(), to.size()), dot(values, values), 1e-4);
  cpu().add(to.data(), narrow(more).data(), to.size());
  Doubles expected = values;
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += more[i];
  EXPECT_LT(distance(to, expected), near);
}

TEST(Backend, IsTheBestThatThisMachineRuns) {
  EXPECT_EQ(cpu_backend_named("no such table"), nullptr);
  EXPECT_NE(cpu_backend_named("base"), nullptr);
  EXPECT_EQ(cpu_backend_named(cpu_backend().name), &cpu_backend());
}

}  // namespace
}  // namespace overnight::kernels
