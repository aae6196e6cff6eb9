#include "orchestrator/core/space.h"

#include <gtest/gtest.h>

namespace overnight::core {
namespace {

Space small_space() {
  Space space;
  space.dimensions.push_back({"mixer", Choice{{std::string("attention"), std::string("mamba2")}}, {}});
  space.dimensions.push_back({"lr", FloatRange{1e-4, 1e-1, Scale::log}, {}});
  space.dimensions.push_back({"state", IntRange{16, 128, Scale::linear, 16}, {{"mixer", {std::string("mamba2")}}}});
  return space;
}

TEST(Space, DropsWhatIsNotActiveAndTurnsWholeNumbersIntoIntegers) {
  const auto attention = canonical(small_space(), {{"mixer", std::string("attention")}, {"lr", 0.01}, {"state", 32.0}});
  ASSERT_TRUE(attention);
  EXPECT_FALSE(attention->contains("state"));
  const auto mamba = canonical(small_space(), {{"mixer", std::string("mamba2")}, {"lr", 0.01}, {"state", 32.0}});
  ASSERT_TRUE(mamba);
  EXPECT_EQ(mamba->at("state"), ParamValue(std::int64_t{32}));
}

TEST(Space, RefusesWhatIsMissingOutOfRangeUnknownOrOffTheGrid) {
  const auto explain = [](const Params& params) { return canonical(small_space(), params).error().explain; };
  EXPECT_EQ(explain({{"mixer", std::string("attention")}}), "lr: missing");
  EXPECT_EQ(explain({{"mixer", std::string("attention")}, {"lr", 3.0}}), "lr: 3 is above 0.1");
  EXPECT_EQ(explain({{"mixer", std::string("conv")}, {"lr", 0.01}}), "mixer: conv is not one of attention, mamba2");
  EXPECT_EQ(explain({{"mixer", std::string("attention")}, {"lr", 0.01}, {"rl", 0.01}}),
            "rl: not a parameter of this study");
  EXPECT_EQ(explain({{"mixer", std::string("mamba2")}, {"lr", 0.01}, {"state", std::int64_t{17}}}),
            "state: 17 is not on the grid of step 16 from 16");
}

TEST(Space, EqualPointsHaveEqualHashesHoweverTheyWereWritten) {
  const auto a = canonical(small_space(), {{"mixer", std::string("mamba2")}, {"lr", 0.01}, {"state", 32.0}});
  const auto b =
      canonical(small_space(), {{"state", std::int64_t{32}}, {"lr", 1e-2}, {"mixer", std::string("mamba2")}});
  EXPECT_EQ(canonical_hash(*a), canonical_hash(*b));
  EXPECT_EQ(canonical_text(*a), R"({"lr":0.01,"mixer":"mamba2","state":32})");
}

}  // namespace
}  // namespace overnight::core
