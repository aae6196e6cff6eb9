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

// qkv with its queries and keys normalised and turned, as attention reads it.
Doubles turned(const Problem& p, const Doubles& qk) {
  Doubles all = p.qkv;
  for (std::size_t row = 0; row < p.rows; ++row) {
    for (std::size_t i = 0; i < 2 * p.width; ++i) all[row * 3 * p.width + i] = qk[row * 2 * p.width + i];
  }
  return all;
}

TEST_P(Ops, QueriesAndKeysAreNormalisedAndTurnedInPlace) {
  for (const Problem& p : {Problem(2, 5, 2, 4), Problem(1, 9, 3, 10)}) {
    Floats qkv = narrow(p.qkv), rstd = poisoned(p.rows * 2 * p.shape.heads);
    // In two pieces: positions go by the row of the batch, not of the piece.
    const std::size_t cut = 3;
    cpu().qk_forward(qkv.data(), rstd.data(), p.turns.data(), p.shape, 0, cut);
    cpu().qk_forward(qkv.data() + cut * 3 * p.width, rstd.data() + cut * 2 * p.shape.heads, p.turns.data(), p.shape,
                     cut, p.rows - cut);
    EXPECT_LT(distance(qkv, turned(p, p.qk)), near);
    const Doubles pull = draw(p.qk.size(), 3);
    const Doubles expected =
        numeric_gradient([&](const Doubles& v) { return dot(reference::qk(v, p.shape), pull); }, p.qkv);
    Floats dqkv(qkv.size(), 77.0f);
    for (std::size_t row = 0; row < p.rows; ++row) {
      for (std::size_t i = 0; i < 2 * p.width; ++i)
        dqkv[row * 3 * p.width + i] = static_cast<float>(pull[row * 2 * p.width + i]);
    }
    cpu().qk_backward(dqkv.data(), qkv.data(), rstd.data(), p.turns.data(), p.shape, 0, p.rows);
    for (std::size_t row = 0; row < p.rows; ++row) {
      for (std::size_t i = 0; i < 3 * p.width; ++i) {
        const std::size_t at = row * 3 * p.width + i;
        if (i < 2 * p.width) {
          EXPECT_NEAR(dqkv[at], expected[at], 2e-4);
        } else {
          EXPECT_EQ(dqkv[at], 77.0f) << "the values' gradient is not this op's";
        }
      }
    }
  }
}

// One forward pass; `scratch` is poisoned first.
struct Attended {
  Floats out, log_sums, scratch;
  Attended(const Backend& cpu, const Problem& p, const Floats& qkv)
      : out(poisoned(p.rows * p.width)),
        log_sums(poisoned(p.rows * p.shape.heads)),
        scratch(poisoned(attention_scratch(p.shape))) {
    cpu.attention_forward(out.data(), log_sums.data(), qkv.data(), scratch.data(), p.shape);
  }
};

// 70 positions: more than one block of queries.
TEST_P(Ops, AttentionIsItsReferenceOverSeveralBlocks) {
  for (const Problem& p : {Problem(1, 70, 1, 4), Problem(2, 6, 2, 6), Problem(1, 1, 1, 2), Problem(1, 130, 2, 8)}) {
    const Attended attended(cpu(), p, narrow(turned(p, p.qk)));
    EXPECT_LT(distance(attended.out, reference::attention(p.qk, p.qkv, p.shape)), near);
  }
}

TEST_P(Ops, AttentionsGradientsAreThoseOfItsReference) {
  for (const Problem& p : {Problem(1, 67, 1, 2), Problem(2, 5, 2, 4), Problem(1, 64, 1, 2), Problem(1, 130, 1, 2)}) {
    const Floats qkv = narrow(turned(p, p.qk));
    Attended attended(cpu(), p, qkv);
    const Doubles pull = draw(attended.out.size(), 4);
    Floats dqkv = poisoned(qkv.size());
    attended.scratch = poisoned(attended.scratch.size());
    cpu().attention_backward(dqkv.data(), narrow(pull).data(), attended.log_sums.data(), qkv.data(),
                             attended.scratch.data(), p.shape);
    const auto loss = [&](const Doubles& a, const Doubles& b) {
      return dot(reference::attention(a, b, p.shape), pull);
    };
    const Doubles dqk = numeric_gradient([&](const Doubles&v) { return loss(v, p.qkv); }, p.qk),
                  dvalues = numeric_gradient([&](const Doubles&v) { return loss(p.qk, v); }, p.qkv);
    for (std::size_t row = 0; row < p.rows; ++row) {
      for (std::size_t i = 0; i < 3 * p.width; ++i) {
        const std::size_t at = row * 3 * p.width + i;
        EXPECT_NEAR(dqkv[at], i < 2 * p.width ? dqk[row * 2 * p.width + i] : dvalues[at], 2e-4);
      }
    }
  }
}

TEST_P(Ops, ALaterTokenIsNeverSeen) {
  const Problem p(1, 66, 1, 4);
  Floats qkv = narrow(turned(p, p.qk));
  const Attended before(cpu(), p, qkv);
  for (std::size_t i = 0; i < 3 * p.width; ++i) qkv[65 * 3 * p.width + i] = 5;
  const Attended after(cpu(), p, qkv);
  for (std::size_t i = 0; i < 65 * p.width; ++i) ASSERT_EQ(before.out[i], after.out[i]);
}

TEST_P(Ops, ReluSquaredAndItsGradientFromItsOutput) {
  const Doubles in = draw(37, 2), pull = draw(37, 3);
  Floats out = narrow(in), din = narrow(pull);
  cpu().relu2_forward(out.data(), out.data(), out.size());
  EXPECT_LT(distance(out, reference::relu2(in)), near);
  const Doubles expected = numeric_gradient([&](const Doubles& v) { return dot(reference::relu2(v), pull); }, in);
  cpu().relu2_backward(din.data(), din.data(), out.data(), out.size());
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

// What training adds up over thousands of steps must not depend on which machine took them.
TEST(Tables, AgreeWithEachOther) {
  const Problem p(2, 70, 2, 8);
  const Floats qkv = narrow(turned(p, p.qk)), pull = narrow(draw(p.rows * p.width, 4));
  const auto gradients = [&](const Backend& cpu) {
    Attended attended(cpu, p, qkv);
    Floats dqkv = poisoned(qkv.size());
    cpu.attention_backward(dqkv.data(), pull.data(), attended.log_sums.data(), qkv.data(), attended.scratch.data(),
                           p.shape);
    return dqkv;
  };
  const Floats base = gradients(*cpu_backend_named("base"));
  const Doubles expected(base.begin(), base.end());
  for (const char* name : {"avx2", "avx512"}) {
    if (const Backend* table = cpu_backend_named(name)) {
      EXPECT_LT(distance(gradients(*table), expected), 1e-5) << name;
    }
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

}  // namespace
}  // namespace overnight::kernels
