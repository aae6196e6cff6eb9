// The chunked state-space op against the plain recurrence, forward, and backward against differences of it: several
// chunks, groups of heads, ranks, chunks that are no multiple of a block.
#include "kernels/reference/state_space.h"

#include <gtest/gtest.h>

#include "tests/kernels/numeric.h"
#include "tests/kernels/tables.h"

namespace overnight::kernels {
namespace {

using Inputs = reference::StateSpaceInputs<double>;

const StateSpaceShape scan_shapes[] = {
    {.batch = 1, .context = 1, .heads = 1, .groups = 1, .state = 1, .head_size = 1, .rank = 1, .chunk = 1},
    {.batch = 1, .context = 12, .heads = 1, .groups = 1, .state = 8, .head_size = 3, .rank = 1, .chunk = 4},
    {.batch = 2, .context = 6, .heads = 4, .groups = 2, .state = 3, .head_size = 2, .rank = 1, .chunk = 3},
    {.batch = 1, .context = 8, .heads = 2, .groups = 2, .state = 4, .head_size = 2, .rank = 4, .chunk = 2},
    {.batch = 1, .context = 22, .heads = 1, .groups = 1, .state = 2, .head_size = 2, .rank = 3, .chunk = 11},
    {.batch = 1, .context = 80, .heads = 2, .groups = 1, .state = 2, .head_size = 2, .rank = 1, .chunk = 40},
};

// Decays as long memories have them and as forgetful ones do; weights of either sign.
Inputs draw_inputs(StateSpaceShape s) {
  const std::size_t rows = s.batch * s.context;
  Inputs in{draw(rows * s.rank * s.groups * s.state, 1),
            draw(rows * s.rank * s.groups * s.state, 2),
            draw(rows * s.rank * s.heads * s.head_size, 3),
            draw(rows * s.heads, 4),
            draw(rows * s.heads, 5),
            {}};
  if (s.context % 4 == 0) in.own = draw(rows * s.heads, 7);
  for (double& decay : in.decay) decay = static_cast<float>(-2 * decay * decay);
  return in;
}

template <typename Table>
struct Run {
  using Real = typename Table::Real;
  using Reals = Numbers<Real>;
  StateSpaceShape s;
  Reals q, k, v, decay, weight, own, y, states, scratch;

  Run(const Inputs& in, StateSpaceShape shape)
      : s(shape),
        q(narrow<Real>(in.q)),
        k(narrow<Real>(in.k)),
        v(narrow<Real>(in.v)),
        decay(narrow<Real>(in.decay)),
        weight(narrow<Real>(in.weight)),
        own(narrow<Real>(in.own)),
        y(poisoned<Real>(in.v.size())),
        states(poisoned<Real>(shape.states())),
        scratch(poisoned<Real>(std::max(state_space_scratch(shape), device_state_space_scratch(shape)))) {
    Table::table()->state_space_forward(y.data(), s.heads * s.head_size, states.data(), inputs(), scratch.data(), s);
  }
  StateSpaceOf<const Real> inputs() const {
    return {q.data(),           k.data(),
            v.data(),           decay.data(),
            weight.data(),      own.empty() ? nullptr : own.data(),
            s.groups * s.state, s.heads * s.head_size};
  }
};

template <typename Table>
class StateSpace : public OnEveryTable<Table> {};
TYPED_TEST_SUITE(StateSpace, Tables, Names);

TYPED_TEST(StateSpace, InChunksIsThePlainRecurrence) {
  for (const StateSpaceShape& s : scan_shapes) {
    const Inputs in = draw_inputs(s);
    EXPECT_LT(distance(Run<TypeParam>(in, s).y, reference::state_space(in, s)), this->near / 10)
        << s.context << " " << s.rank;
  }
}

TYPED_TEST(StateSpace, GradientsAreThoseOfThePlainRecurrence) {
  using Reals = Numbers<typename TestFixture::Real>;
  for (const StateSpaceShape& s : scan_shapes) {
    const Inputs in = draw_inputs(s);
    Run<TypeParam> run(in, s);
    const Doubles pull = draw(in.v.size(), 6);
    const Reals dy = this->narrow(pull);
    Reals dq = this->poisoned(in.q.size()), dk = dq, dv = this->poisoned(in.v.size()),
          ddecay = this->poisoned(in.decay.size()), dweight = ddecay, down = this->poisoned(in.own.size());
    run.scratch = this->poisoned(run.scratch.size());
    this->cpu().state_space_backward(
        {dq.data(), dk.data(), dv.data(), ddecay.data(), dweight.data(), in.own.empty() ? nullptr : down.data(),
         s.groups * s.state, s.heads * s.head_size},
        dy.data(), s.heads * s.head_size, run.states.data(), run.inputs(), run.scratch.data(), s);
    const auto expected = [&](Doubles Inputs::*part) {
      return numeric_gradient(
          [&](const Doubles& values) {
            Inputs changed = in;
            changed.*part = values;
            return dot(reference::state_space(changed, s), pull);
          },
          in.*part);
    };
    EXPECT_LT(distance(dq, expected(&Inputs::q)), this->near) << s.context << " " << s.rank;
    EXPECT_LT(distance(dk, expected(&Inputs::k)), this->near) << s.context << " " << s.rank;
    EXPECT_LT(distance(dv, expected(&Inputs::v)), this->near) << s.context << " " << s.rank;
    EXPECT_LT(distance(ddecay, expected(&Inputs::decay)), this->near) << s.context << " " << s.rank;
    EXPECT_LT(distance(dweight, expected(&Inputs::weight)), this->near) << s.context << " " << s.rank;
    EXPECT_LT(distance(down, expected(&Inputs::own)), this->near) << s.context << " " << s.rank;
  }
}

TYPED_TEST(StateSpace, DecaysThatForgetAllAndNothingStayExact) {
  StateSpaceShape s = scan_shapes[1];
  for (const double decay : {0.0, -1e-6, -40.0, -1000.0}) {
    Inputs in = draw_inputs(s);
    in.decay.assign(in.decay.size(), decay);
    EXPECT_LT(distance(Run<TypeParam>(in, s).y, reference::state_space(in, s)), this->near) << decay;
  }
}

TYPED_TEST(StateSpace, ALaterTokenIsNeverSeen) {
  const StateSpaceShape& s = scan_shapes[3];
  Inputs in = draw_inputs(s);
  const Run<TypeParam> before(in, s);
  const std::size_t last = s.context - 1;
  for (std::size_t i = last * s.rank * s.groups * s.state; i < in.k.size(); ++i) in.k[i] = 7;
  for (std::size_t i = last * s.rank * s.heads * s.head_size; i < in.v.size(); ++i) in.v[i] = 7;
  const Run<TypeParam> after(in, s);
  for (std::size_t i = 0; i < last * s.rank * s.heads * s.head_size; ++i) ASSERT_EQ(before.y[i], after.y[i]);
}

}  // namespace
}  // namespace overnight::kernels
