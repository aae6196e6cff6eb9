// The ops of the state-space mixers: each against its plain reference, and Mamba-2 and Mamba-3 from projection to
// output against their recurrences as the papers write them; backward against differences of these.
#include <gtest/gtest.h>

#include <utility>

#include "kernels/reference/state_space.h"
#include "tests/kernels/numeric.h"
#include "tests/kernels/tables.h"

namespace overnight::kernels {
namespace {

template <typename Table>
class Mamba : public OnEveryTable<Table> {
 protected:
  using Real = typename Table::Real;

  // A parameter's gradient is added to: it begins with something.
  static Numbers<Real> begun(std::size_t count) { return Numbers<Real>(count, Real(0.5)); }
  static Numbers<Real> added(Numbers<Real> gradient) {
    for (Real& x : gradient) x -= Real(0.5);
    return gradient;
  }
};
TYPED_TEST_SUITE(Mamba, Tables, Names);

// Rows of `width` numbers, `stride` apart with poison between them; and back.
template <typename Reals>
Reals apart(const Reals& rows, std::size_t width, std::size_t stride) {
  Reals made = poisoned<typename Reals::value_type>(rows.size() / width * stride);
  for (std::size_t i = 0; i < rows.size(); ++i) made[i / width * stride + i % width] = rows[i];
  return made;
}
template <typename Reals>
Reals together(const Reals& rows, std::size_t width, std::size_t stride) {
  Reals made(rows.size() / stride * width);
  for (std::size_t i = 0; i < made.size(); ++i) made[i] = rows[i / width * stride + i % width];
  return made;
}

// d(loss)/d(in.*part) by differences.
template <typename Inputs, typename Loss>
Doubles expected_gradient(const Inputs& in, Doubles Inputs::*part, const Loss& loss) {
  return numeric_gradient(
      [&](const Doubles& values) {
        Inputs changed = in;
        changed.*part = values;
        return loss(changed);
      },
      in.*part);
}

// Channels of a row of a projection, one by one and in a GPU's packs.
TYPED_TEST(Mamba, ConvolutionSeesOnlyTheTokensBefore) {
  using Reals = Numbers<typename TestFixture::Real>;
  for (const auto& [channels, stride] : {std::pair<std::size_t, std::size_t>{5, 5}, {12, 12}, {12, 20}, {12, 13}}) {
    const std::size_t batch = 2, context = 6, taps = 4, rows = batch * context;
    struct Inputs {
      Doubles in, weights, bias;
    } in{draw(rows * channels, 1), draw(taps * channels, 2), draw(channels, 3)};
    const auto reference = [&, channels = channels](const Inputs& i) {
      return reference::convolution(i.in, i.weights, i.bias, batch, context, channels, taps);
    };
    const Reals x = apart(this->narrow(in.in), channels, stride), w = this->narrow(in.weights),
                bias = this->narrow(in.bias);
    Reals out = this->poisoned(rows * channels);
    this->cpu().convolution_forward(out.data(), x.data(), stride, {w.data(), bias.data()}, batch, context, channels,
                                    taps);
    EXPECT_LT(distance(out, reference(in)), this->near);

    const Doubles pull = draw(out.size(), 4);
    Reals din = this->poisoned(x.size()), dw = this->begun(w.size()), dbias = this->begun(bias.size()),
          scratch = this->poisoned(channels), dout = this->narrow(pull);
    this->cpu().convolution_backward(din.data(), {dw.data(), dbias.data()}, dout.data(), x.data(), stride,
                                     {w.data(), bias.data()}, scratch.data(), batch, context, channels, taps);
    const auto loss = [&](const Inputs& i) { return dot(reference(i), pull); };
    EXPECT_LT(distance(together(din, channels, stride), expected_gradient(in, &Inputs::in, loss)), this->near);
    EXPECT_LT(distance(this->added(dw), expected_gradient(in, &Inputs::weights, loss)), this->near);
    EXPECT_LT(distance(this->added(dbias), expected_gradient(in, &Inputs::bias, loss)), this->near);
  }
}

// Heads whose borders lie within a GPU's packs, and rows further apart than they are long, on a border of packs or not.
TYPED_TEST(Mamba, GateMixesRanks) {
  using Reals = Numbers<typename TestFixture::Real>;
  struct Case {
    std::size_t rank, head_size, between;
  };
  for (const auto& [rank, head_size, between] : {Case{1, 3, 0}, {3, 3, 0}, {1, 6, 4}, {2, 6, 4}, {2, 6, 1}}) {
    const StateSpaceShape s{.batch = 1, .context = 4, .heads = 2, .state = 1, .head_size = head_size, .rank = rank};
    const std::size_t rows = 4, width = 2 * head_size, stride = width + between;
    struct Inputs {
      Doubles y, v, z, skip, spread, mix;
    } in{draw(rows * rank * width, 1), draw(rows * rank * width, 2), draw(rows * width, 3), draw(2, 4),
         draw(rank * width, 5),        draw(rank * width, 6)};
    const auto reference = [&](const Inputs& i) { return reference::gate(i.y, i.v, i.z, i.skip, i.spread, i.mix, s); };
    const Reals y = this->narrow(in.y), v = apart(this->narrow(in.v), width, stride),
                z = apart(this->narrow(in.z), width, stride), skip = this->narrow(in.skip),
                spread = this->narrow(in.spread), mix = this->narrow(in.mix);
    Reals out = this->poisoned(rows * width);
    this->cpu().gate_forward(out.data(), {y.data(), v.data(), z.data(), stride, stride},
                             {skip.data(), spread.data(), mix.data()}, rows, s);
    EXPECT_LT(distance(out, reference(in)), this->near);

    const Doubles pull = draw(out.size(), 7);
    const Reals dout = this->narrow(pull);
    Reals dy = this->poisoned(y.size()), dv(v.size()), dz = this->poisoned(z.size()), dskip = this->begun(2),
          dspread = this->begun(spread.size()), dmix = this->begun(mix.size());
    this->cpu().gate_backward({dy.data(), nullptr, dz.data(), 0, stride}, {dskip.data(), dspread.data(), dmix.data()},
                              dout.data(), {y.data(), v.data(), z.data(), stride, stride},
                              {skip.data(), spread.data(), mix.data()}, rows, s);
    this->cpu().skip_backward(dv.data(), stride, dy.data(), skip.data(), rows * rank, s);
    const auto loss = [&](const Inputs& i) { return dot(reference(i), pull); };
    EXPECT_LT(distance(dy, expected_gradient(in, &Inputs::y, loss)), this->near);
    EXPECT_LT(distance(together(dv, width, stride), expected_gradient(in, &Inputs::v, loss)), this->near);
    EXPECT_LT(distance(together(dz, width, stride), expected_gradient(in, &Inputs::z, loss)), this->near);
    EXPECT_LT(distance(this->added(dskip), expected_gradient(in, &Inputs::skip, loss)), this->near);
    EXPECT_LT(distance(this->added(dspread), expected_gradient(in, &Inputs::spread, loss)), this->near);
    EXPECT_LT(distance(this->added(dmix), expected_gradient(in, &Inputs::mix, loss)), this->near);
  }
}

TYPED_TEST(Mamba, SpreadAndGainAreProductsByColumn) {
  using Reals = Numbers<typename TestFixture::Real>;
  for (const auto& [width, stride] : {std::pair<std::size_t, std::size_t>{5, 5}, {12, 12}, {12, 20}, {12, 13}}) {
    const std::size_t rows = 3, rank = 2;
    const Reals x = this->narrow(draw(rows * width, 1)), by = this->narrow(draw(rank * width, 2)),
                dv = this->narrow(draw(rows * rank * width, 3)), far = apart(x, width, stride);
    Reals v = this->poisoned(dv.size()), dx = this->poisoned(far.size()), dby = this->begun(by.size());
    this->cpu().spread_forward(v.data(), far.data(), stride, by.data(), rows, rank, width);
    this->cpu().spread_backward(dx.data(), dby.data(), dv.data(), far.data(), stride, by.data(), rows, rank, width);
    Doubles expected_v(v.size()), expected_dx(x.size()), expected_dby(by.size());
    for (std::size_t i = 0; i < v.size(); ++i) {
      const std::size_t at_x = i / (rank * width) * width + i % width, at_by = i % (rank * width);
      expected_v[i] = static_cast<double>(x[at_x]) * static_cast<double>(by[at_by]);
      expected_dx[at_x] += static_cast<double>(dv[i]) * static_cast<double>(by[at_by]);
      expected_dby[at_by] += static_cast<double>(dv[i]) * static_cast<double>(x[at_x]);
    }
    EXPECT_LT(distance(v, expected_v), this->near);
    EXPECT_LT(distance(together(dx, width, stride), expected_dx), this->near);
    EXPECT_LT(distance(this->added(dby), expected_dby), this->near);

    Reals out = this->poisoned(x.size()), din = this->poisoned(x.size()), dgain = this->begun(width);
    this->cpu().gain_forward(out.data(), x.data(), by.data(), rows, width);
    this->cpu().gain_backward(din.data(), dgain.data(), dv.data(), x.data(), by.data(), rows, width);
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_EQ(out[i], x[i] * by[i % width]);
      EXPECT_EQ(din[i], dv[i] * by[i % width]);
    }
    Doubles expected_dgain(width);
    for (std::size_t i = 0; i < x.size(); ++i)
      expected_dgain[i % width] += static_cast<double>(dv[i]) * static_cast<double>(x[i]);
    EXPECT_LT(distance(this->added(dgain), expected_dgain), this->near);
  }
}

TYPED_TEST(Mamba, TwoIsItsRecurrence) {
  using Reals = Numbers<typename TestFixture::Real>;
  using Inputs = reference::Mamba2Inputs<double>;
  const StateSpaceShape s{.batch = 2, .context = 8, .heads = 4, .groups = 2, .state = 3, .head_size = 2, .chunk = 4};
  const std::size_t rows = 16, qk = s.groups * s.state, width = s.heads * s.head_size;
  const Inputs in{draw(rows * qk, 1),      draw(rows * qk, 2), draw(rows * width, 3),
                  draw(rows * s.heads, 4), draw(s.heads, 5),   draw(s.heads, 6)};
  const Reals q = this->narrow(in.q), k = this->narrow(in.k), v = this->narrow(in.v), raw = this->narrow(in.raw),
              bias = this->narrow(in.bias), log_rate = this->narrow(in.log_rate);
  Reals step = this->poisoned(raw.size()), decay = step, y = this->poisoned(v.size()),
        states = this->poisoned(s.states()),
        scratch = this->poisoned(std::max(state_space_scratch(s), device_state_space_scratch(s)));
  const auto& cpu = this->cpu();
  cpu.mamba2_forward(step.data(), decay.data(), raw.data(), s.heads, bias.data(), log_rate.data(), rows, s.heads);
  const StateSpaceOf<const typename TestFixture::Real> scan{q.data(),    k.data(), v.data(), decay.data(),
                                                            step.data(), nullptr,  qk,       width};
  cpu.state_space_forward(y.data(), width, states.data(), scan, scratch.data(), s);
  EXPECT_LT(distance(y, reference::mamba2(in, s)), this->near);

  const Doubles pull = draw(y.size(), 7);
  Reals dq = this->poisoned(q.size()), dk = dq, dv = this->poisoned(v.size()), ddecay = step, dweight = step,
        draw_of = this->poisoned(raw.size()), dbias = this->begun(s.heads), dlog_rate = this->begun(s.heads);
  cpu.state_space_backward({dq.data(), dk.data(), dv.data(), ddecay.data(), dweight.data(), nullptr, qk, width},
                           this->narrow(pull).data(), width, states.data(), scan, scratch.data(), s);
  cpu.mamba2_backward(draw_of.data(), s.heads, dbias.data(), dlog_rate.data(), ddecay.data(), dweight.data(),
                      step.data(), log_rate.data(), rows, s.heads);
  const auto loss = [&](const Inputs& i) { return dot(reference::mamba2(i, s), pull); };
  EXPECT_LT(distance(draw_of, expected_gradient(in, &Inputs::raw, loss)), this->near);
  EXPECT_LT(distance(this->added(dbias), expected_gradient(in, &Inputs::bias, loss)), this->near);
  EXPECT_LT(distance(this->added(dlog_rate), expected_gradient(in, &Inputs::log_rate, loss)), this->near);
}

// One Mamba-3 problem with all its arrays; keys, queries, ... lie in one projection, as in a model.
template <typename Table>
struct Three {
  using Real = typename Table::Real;
  using Reals = Numbers<Real>;
  using Inputs = reference::Mamba3Inputs<double>;

  Mamba3Shape shape;
  StateSpaceShape s = shape.scan;
  std::size_t rows = s.batch * s.context, keys = s.rank * shape.shared_groups * s.state,
              stride = 2 * keys + 3 * s.heads + shape.angles, width = s.heads * s.head_size;
  Inputs in{draw(rows * keys, 1),
            draw(rows* keys, 2),
            draw(rows* s.rank* width, 3),
            draw(rows* s.heads, 4),
            draw(rows* s.heads, 5),
            draw(rows* s.heads, 6),
            draw(rows* shape.angles, 7),
            draw(s.heads, 8),
            draw(s.state, 9),
            draw(s.state, 10),
            draw(s.heads* s.rank* s.state, 11),
            draw(s.heads* s.rank* s.state, 12)};
  Reals projection = poisoned<Real>(rows * stride), v = narrow<Real>(in.v), step_bias = narrow<Real>(in.step_bias),
        key_gain = narrow<Real>(in.key_gain), query_gain = narrow<Real>(in.query_gain),
        key_bias = narrow<Real>(in.key_bias), query_bias = narrow<Real>(in.query_bias);
  Reals q = poisoned<Real>(rows * s.rank * s.heads * s.state), k = q, decay = poisoned<Real>(rows * s.heads),
        weight = decay, own = decay, step = decay, angles = poisoned<Real>(rows * s.heads * shape.angles),
        rstd = poisoned<Real>(rows * 2 * s.rank * shape.shared_groups), y = poisoned<Real>(in.v.size()),
        states = poisoned<Real>(s.states()),
        scratch = poisoned<Real>(std::max(state_space_scratch(s), device_state_space_scratch(s)));

  // Where each part begins in a token's projection.
  struct Part {
    Doubles Inputs::*values;
    std::size_t at, size;
  };
  std::vector<Part> parts() const {
    return {{&Inputs::key, 0, keys},
            {&Inputs::query, keys, keys},
            {&Inputs::step, 2 * keys, s.heads},
            {&Inputs::rate, 2 * keys + s.heads, s.heads},
            {&Inputs::share, 2 * keys + 2 * s.heads, s.heads},
            {&Inputs::angle, 2 * keys + 3 * s.heads, shape.angles}};
  }

  explicit Three(Mamba3Shape of) : shape(of) {
    for (const Part& part : parts()) {
      for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t i = 0; i < part.size; ++i)
          projection[row * stride + part.at + i] = static_cast<Real>((in.*part.values)[row * part.size + i]);
      }
    }
    Table::table()->mamba3_forward(
        {q.data(), k.data(), decay.data(), weight.data(), own.data(), step.data(), angles.data(), rstd.data()},
        projected(std::as_const(projection).data()), parameters(), shape);
    Table::table()->state_space_forward(y.data(), width, states.data(), scanned(), scratch.data(), s);
  }
  template <typename T>
  Mamba3ProjectionOf<T> projected(T* from) const {
    const auto at = parts();
    return {from + at[0].at, from + at[1].at, from + at[2].at, from + at[3].at,
            from + at[4].at, from + at[5].at, stride};
  }
  Mamba3ParametersOf<const Real> parameters() const {
    return {step_bias.data(), key_gain.data(), query_gain.data(), key_bias.data(), query_bias.data()};
  }
  StateSpaceOf<const Real> scanned() const {
    return {q.data(), k.data(), v.data(), decay.data(), weight.data(), own.data(), s.heads * s.state, width};
  }
};

const Mamba3Shape mamba3_shapes[] = {
    {.scan = {.batch = 2, .context = 6, .heads = 2, .groups = 2, .state = 8, .head_size = 3, .chunk = 3},
     .shared_groups = 1,
     .angles = 2},
    {.scan = {.batch = 1, .context = 4, .heads = 2, .groups = 2, .state = 4, .head_size = 2, .rank = 3, .chunk = 2},
     .shared_groups = 2,
     .angles = 2},
    {.scan = {.batch = 1, .context = 5, .heads = 1, .groups = 1, .state = 3, .head_size = 1, .chunk = 5}, .angles = 0},
};

TYPED_TEST(Mamba, ThreeIsItsRecurrence) {
  for (const Mamba3Shape& shape : mamba3_shapes) {
    const Three<TypeParam> three(shape);
    EXPECT_LT(distance(three.y, reference::mamba3(three.in, shape)), this->near) << shape.scan.rank;
  }
}

TYPED_TEST(Mamba, ThreesGradientsAreThoseOfItsRecurrence) {
  using Reals = Numbers<typename TestFixture::Real>;
  using Inputs = reference::Mamba3Inputs<double>;
  for (const Mamba3Shape& shape : mamba3_shapes) {
    Three<TypeParam> t(shape);
    const Doubles pull = draw(t.y.size(), 13);
    Reals dq = this->poisoned(t.q.size()), dk = dq, dv = this->poisoned(t.v.size()),
          ddecay = this->poisoned(t.decay.size()), dweight = ddecay, down = ddecay,
          dprojection = this->poisoned(t.projection.size()), dstep_bias = this->begun(t.step_bias.size()),
          dkey_gain = this->begun(t.s.state), dquery_gain = dkey_gain, dkey_bias = this->begun(t.key_bias.size()),
          dquery_bias = dkey_bias, scratch = this->poisoned(shape.scratch());
    this->cpu().state_space_backward(
        {dq.data(), dk.data(), dv.data(), ddecay.data(), dweight.data(), down.data(), t.s.heads * t.s.state, t.width},
        this->narrow(pull).data(), t.width, t.states.data(), t.scanned(), t.scratch.data(), t.s);
    this->cpu().mamba3_backward(
        t.projected(dprojection.data()),
        {dstep_bias.data(), dkey_gain.data(), dquery_gain.data(), dkey_bias.data(), dquery_bias.data()},
        {dq.data(), dk.data(), ddecay.data(), dweight.data(), down.data(), nullptr, nullptr, nullptr},
        {t.q.data(), t.k.data(), t.decay.data(), t.weight.data(), t.own.data(), t.step.data(), t.angles.data(),
         t.rstd.data()},
        t.projected(std::as_const(t.projection).data()), t.parameters(), scratch.data(), shape);
    const auto loss = [&](const Inputs& i) { return dot(reference::mamba3(i, shape), pull); };
    EXPECT_LT(distance(dv, expected_gradient(t.in, &Inputs::v, loss)), this->near);
    for (const auto& part : t.parts()) {
      Reals of_part;
      for (std::size_t row = 0; row < t.rows; ++row) {
        for (std::size_t i = 0; i < part.size; ++i) of_part.push_back(dprojection[row * t.stride + part.at + i]);
      }
      EXPECT_LT(distance(of_part, expected_gradient(t.in, part.values, loss)), this->near) << part.at;
    }
    EXPECT_LT(distance(this->added(dstep_bias), expected_gradient(t.in, &Inputs::step_bias, loss)), this->near);
    EXPECT_LT(distance(this->added(dkey_gain), expected_gradient(t.in, &Inputs::key_gain, loss)), this->near);
    EXPECT_LT(distance(this->added(dquery_gain), expected_gradient(t.in, &Inputs::query_gain, loss)), this->near);
    EXPECT_LT(distance(this->added(dkey_bias), expected_gradient(t.in, &Inputs::key_bias, loss)), this->near);
    EXPECT_LT(distance(this->added(dquery_bias), expected_gradient(t.in, &Inputs::query_bias, loss)), this->near);
  }
}

}  // namespace
}  // namespace overnight::kernels
