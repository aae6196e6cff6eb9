#include "evals/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

namespace overnight::evals {
namespace {

Sample of(std::vector<double> scores) { return sample_of(scores); }

TEST(StudentT, HasTheQuantilesOfPrintedTables) {
  // Two-sided 95 % and 99 %, as in Abramowitz and Stegun, table 26.10.
  const struct {
    double degrees, at_95, at_99;
  } printed[] = {{1, 12.706, 63.657}, {2, 4.303, 9.925},  {3, 3.182, 5.841},  {4, 2.776, 4.604},
                 {5, 2.571, 4.032},   {8, 2.306, 3.355},  {10, 2.228, 3.169}, {20, 2.086, 2.845},
                 {30, 2.042, 2.750},  {60, 2.000, 2.660}, {120, 1.980, 2.617}};
  for (const auto& row : printed) {
    EXPECT_NEAR(student_t_quantile(0.975, row.degrees), row.at_95, 0.0006) << row.degrees;
    EXPECT_NEAR(student_t_quantile(0.995, row.degrees), row.at_99, 0.0006) << row.degrees;
  }
  EXPECT_NEAR(student_t_quantile(0.975, 1e9), 1.959964, 1e-5);  // the normal's
}

TEST(StudentT, AgreesWithTheClosedFormsOfOneTwoAndFourDegrees) {
  for (const double p : {0.001, 0.02, 0.3, 0.5, 0.8, 0.975, 0.9999}) {
    EXPECT_NEAR(student_t_quantile(p, 1), std::tan(std::numbers::pi * (p - 0.5)), 1e-9 * (1 + 1 / (p * (1 - p))));
    const double a = 4 * p * (1 - p);
    EXPECT_NEAR(student_t_quantile(p, 2), 2 * (p - 0.5) * std::sqrt(2 / a), 1e-9 * (1 + 1 / a));
    const double q = std::cos(std::acos(std::sqrt(a)) / 3) / std::sqrt(a);
    EXPECT_NEAR(student_t_quantile(p, 4), std::copysign(2 * std::sqrt(q - 1), p - 0.5), 1e-6 * (1 + 1 / a));
  }
}

TEST(StudentT, QuantileUndoesProbability) {
  for (const double degrees : {0.7, 1.0, 2.5, 7.0, 33.3, 500.0, 40'000.0, 1e6}) {
    for (const double t : {-40.0, -3.0, -0.2, 0.0, 0.01, 1.0, 2.0, 5.0}) {
      const double p = student_t_probability(t, degrees);
      if (p < 1e-250 || p > 1 - 1e-10) continue;  // in the upper tail doubles have no digits left
      EXPECT_NEAR(student_t_quantile(p, degrees), t, 1e-5 * (1 + std::abs(t))) << degrees << " " << t;
      EXPECT_NEAR(student_t_probability(-t, degrees), 1 - p, 1e-14);
    }
  }
}

TEST(FisherF, HasTheTailsOfPrintedTables) {
  // Exceeded by 5 % and 1 %, as in Abramowitz and Stegun, table 26.9.
  const struct {
    double above, below, at_5, at_1;
  } printed[] = {
      {1, 1, 161.4, 4052}, {2, 8, 4.46, 8.65}, {3, 10, 3.71, 6.55}, {5, 5, 5.05, 10.97}, {10, 30, 2.165, 2.98}};
  for (const auto& row : printed) {
    EXPECT_NEAR(fisher_tail(row.at_5, row.above, row.below), 0.05, 0.0003) << row.above << " " << row.below;
    EXPECT_NEAR(fisher_tail(row.at_1, row.above, row.below), 0.01, 0.0001) << row.above << " " << row.below;
  }
  EXPECT_EQ(fisher_tail(0, 3, 4), 1);
  EXPECT_EQ(fisher_tail(std::numeric_limits<double>::infinity(), 3, 4), 0);
}

TEST(SampleOfScores, HasMeanAndSpreadWithOneLessBelow) {
  const Sample sample = of({2, 4, 4, 4, 5, 5, 7, 9});
  EXPECT_DOUBLE_EQ(sample.mean, 5);
  EXPECT_DOUBLE_EQ(standard_deviation(sample).value(), std::sqrt(32.0 / 7));
  EXPECT_EQ(standard_deviation(of({3})), std::nullopt);
  EXPECT_EQ(standard_deviation(Sample{}), std::nullopt);
}

TEST(SampleOfScores, KeepsASmallSpreadOnALargeMean) {
  EXPECT_NEAR(standard_deviation(of({1e9 + 1, 1e9 + 2, 1e9 + 3})).value(), 1, 1e-9);
}

TEST(Difference, OfTinyAndOfHugeScoresHasAnInterval) {
  for (const double unit : {1e-300, 1e-160, 1e-100, 1.0, 1e100}) {
    const auto judged = difference(of({1 * unit, 2 * unit, 4 * unit}), of({7 * unit, 7.5 * unit}), std::nullopt, 0.95);
    ASSERT_TRUE(judged.interval) << unit;
    EXPECT_TRUE(judged.interval->low <= judged.value && judged.value <= judged.interval->high) << unit;
    EXPECT_TRUE(std::isfinite(judged.interval->low) && std::isfinite(judged.interval->high)) << unit;
  }
  EXPECT_TRUE(difference(of({1e100, -1e100}), of({1e-100, 2e-100}), std::nullopt, 0.95).interval);
}

std::vector<OnCommonSeeds> each_on_its_own(const std::vector<Sample>& samples) {
  std::vector<OnCommonSeeds> groups;
  for (const Sample& sample : samples) groups.push_back({sample});
  return groups;
}

TEST(PooledNoise, WeighsEachExperimentByItsDegreesOfFreedom) {
  const std::vector<OnCommonSeeds> repeated{{of({1, 2, 3})}, {of({10, 10})}, {of({7})}};
  const auto noise = pooled_noise(repeated);
  ASSERT_TRUE(noise);
  EXPECT_EQ(noise->degrees, 3);  // 2 + 1 + 0: one score alone says nothing of noise
  EXPECT_DOUBLE_EQ(noise->deviation, std::sqrt(2.0 / 3));
}

TEST(PooledNoise, CountsExperimentsOnCommonSeedsAsOne) {
  const std::vector<OnCommonSeeds> repeated{{of({1, 2, 3})}, {of({10, 14}), of({5, 6, 7}), of({7})}};
  const auto noise = pooled_noise(repeated);
  ASSERT_TRUE(noise);
  EXPECT_EQ(noise->degrees, 4);                                               // 2 + 2
  EXPECT_DOUBLE_EQ(noise->deviation, std::sqrt((1 * 2 + 10.0 / 3 * 2) / 4));  // variances of 1, and of (8 + 2) / 3
}

TEST(PooledNoise, IsUnknownWhenNothingWasRepeated) {
  EXPECT_EQ(pooled_noise(std::vector<OnCommonSeeds>{{of({1})}, {of({2}), of({3})}, {}}), std::nullopt);
  EXPECT_EQ(pooled_noise({}), std::nullopt);
}

TEST(Estimate, OfRepeatedScoresUsesTheirOwnSpreadWhereNothingElseIsKnown) {
  for (const auto& noise : {std::optional<Noise>{}, std::optional<Noise>{{1, 2}}}) {
    const Estimate made = estimate(of({1, 2, 3}), noise);
    EXPECT_FALSE(made.pooled);
    ASSERT_TRUE(made.interval);
    EXPECT_NEAR(made.interval->half_width(), 4.302653 / std::sqrt(3), 1e-5);  // t(2) * 1 / sqrt(3)
  }
}

TEST(Estimate, OfFewScoresBorrowsWhatRestsOnMore) {
  const Estimate made = estimate(of({1, 2, 3}), Noise{1, 8});
  EXPECT_TRUE(made.pooled);
  EXPECT_NEAR(made.interval.value().half_width(), 2.306004 / std::sqrt(3), 1e-5);
  EXPECT_TRUE(estimate(of({2, 2, 2}), Noise{1, 8}).pooled) << "equal by chance, not without noise";
  EXPECT_FALSE(estimate(of({1, 2, 3, 1, 2, 3}), Noise{1, 80}).pooled) << "six speak for themselves";
}

TEST(Estimate, OfAnUnstableResultKeepsItsOwnWideSpread) {
  EXPECT_TRUE(estimate(of({10, 20, 30}), Noise{6, 8}).pooled);
  EXPECT_FALSE(estimate(of({10, 20, 30}), Noise{4, 8}).pooled);  // F = 6.25; 4.46 is exceeded by one in twenty
  EXPECT_FALSE(estimate(of({10, 20, 30}), Noise{0, 8}).pooled);
}

TEST(Estimate, OfARepeatedResultIsNeverLessSureThanThatOfOneScore) {
  const std::vector<Sample> repeated{of({1, 2, 3}), of({4, 5, 6}), of({7, 7.1})};
  const auto noise = pooled_noise(each_on_its_own(repeated));
  const double single = estimate(of({5}), noise).interval->half_width();
  for (const Sample& sample : repeated) EXPECT_LT(estimate(sample, noise).interval->half_width(), single);
}

TEST(Estimate, OfOneScoreBorrowsThePooledNoiseAndSaysSo) {
  const Estimate made = estimate(of({5}), Noise{0.5, 8});
  EXPECT_TRUE(made.pooled);
  ASSERT_TRUE(made.interval);
  EXPECT_NEAR(made.interval->low, 5 - 2.306004 * 0.5, 1e-5);
  EXPECT_NEAR(made.interval->high, 5 + 2.306004 * 0.5, 1e-5);
}

TEST(Estimate, OfOneScoreWithUnknownNoiseHasNoInterval) {
  EXPECT_EQ(estimate(of({5}), std::nullopt), (Estimate{5, 1, std::nullopt, false}));
}

TEST(Difference, OfTwoRepeatedResultsIsWelchs) {
  // A worked example: means 20.6 and 22.1, variances 0.4 and 5, n 6 and 4.
  const Sample a{6, 20.6, 0.4 * 5}, b{4, 22.1, 5.0 * 3};
  const Difference made = difference(a, b, std::nullopt);
  const double va = 0.4 / 6, vb = 5.0 / 4;
  const double degrees = (va + vb) * (va + vb) / (va * va / 5 + vb * vb / 3);
  ASSERT_TRUE(made.interval);
  EXPECT_DOUBLE_EQ(made.value, 20.6 - 22.1);
  EXPECT_NEAR(made.interval->half_width(), student_t_quantile(0.975, degrees) * std::sqrt(va + vb), 1e-12);
  EXPECT_FALSE(made.pooled);
}

TEST(Difference, OfTwoThatBorrowIsOfThePooledNoise) {
  const Difference made = difference(of({5}), of({1, 2, 3}), Noise{0.9, 8});
  EXPECT_TRUE(made.pooled);
  EXPECT_NEAR(made.interval.value().half_width(), 2.306004 * 0.9 * std::sqrt(1 + 1.0 / 3), 1e-5);
  EXPECT_EQ(difference(of({5}), of({1}), std::nullopt).interval, std::nullopt);
}

TEST(Difference, OfOneThatBorrowsAndOneThatDoesNotWeighsTheirDegrees) {
  const Sample known = of({1, 2, 3, 1, 2, 3});
  const Difference made = difference(of({5}), known, Noise{0.5, 8});
  const double va = 0.25, vb = 0.8 / 6, degrees = (va + vb) * (va + vb) / (va * va / 8 + vb * vb / 5);
  EXPECT_TRUE(made.pooled);
  EXPECT_NEAR(made.interval.value().half_width(), student_t_quantile(0.975, degrees) * std::sqrt(va + vb), 1e-9);
}

TEST(Difference, OfResultsWithoutAnySpreadIsExact) {
  EXPECT_EQ(difference(of({3, 3}), of({2, 2}), std::nullopt), (Difference{1, Interval{1, 1}, false}));
}

TEST(Tie, IsADifferenceBelowTheMinimumEffectOrWithinTheNoise) {
  EXPECT_TRUE(is_tie({0.001, Interval{0.0009, 0.0011}, false}, 0.002)) << "sure, but too small to count";
  EXPECT_TRUE(is_tie({0.3, Interval{-0.1, 0.7}, false}, 0.002)) << "large, but noise explains it";
  EXPECT_FALSE(is_tie({-0.3, Interval{-0.4, -0.2}, false}, 0.002));
  EXPECT_TRUE(is_tie({0, Interval{0, 0}, false}, 0)) << "equal scores are a tie";
  EXPECT_FALSE(is_tie({0.3, std::nullopt, false}, 0.002)) << "of unknown noise nothing can be said";
}

TEST(CorrectedConfidence, SharesTheRiskAmongTheComparisons) {
  EXPECT_DOUBLE_EQ(corrected_confidence(0.95, 1), 0.95);
  EXPECT_DOUBLE_EQ(corrected_confidence(0.95, 5), 0.99);
  EXPECT_DOUBLE_EQ(corrected_confidence(0.95, 0), 0.95);
}

// The promise itself: of many intervals, so many hold the true value.
TEST(Intervals, CoverTheTruthAsOftenAsTheySay) {
  std::mt19937_64 random(20261124);
  std::normal_distribution<double> noise(0, 0.3);
  constexpr int rounds = 4000;
  int own = 0, repeated_few = 0, single_score = 0, few = 0, welch = 0;
  for (int round = 0; round < rounds; ++round) {
    std::vector<Sample> repeated(4);
    for (std::size_t i = 0; i < repeated.size(); ++i)
      for (int k = 0; k < 3; ++k) repeated[i].add(static_cast<double>(i) + noise(random));
    Sample single, many, more;
    single.add(7 + noise(random));
    for (int k = 0; k < own_spread_scores; ++k) many.add(2 + noise(random)), more.add(4 + noise(random));
    const auto known = pooled_noise(each_on_its_own(repeated));
    own += estimate(many, known).interval->contains(2);
    repeated_few += estimate(repeated[2], known).interval->contains(2);
    single_score += estimate(single, known).interval->contains(7);
    few += difference(repeated[3], repeated[1], known).interval->contains(2);
    welch += difference(more, many, known).interval->contains(2);
  }
  // Four standard errors of a share of 0.95 among 4000 are 0.014; choosing a spread by what it is costs a little.
  EXPECT_NEAR(own / static_cast<double>(rounds), 0.95, 0.014);
  EXPECT_NEAR(repeated_few / static_cast<double>(rounds), 0.95, 0.016);
  EXPECT_NEAR(single_score / static_cast<double>(rounds), 0.95, 0.014);
  EXPECT_NEAR(few / static_cast<double>(rounds), 0.95, 0.016);
  EXPECT_NEAR(welch / static_cast<double>(rounds), 0.95, 0.016);
}

// Four experiments on the same three seeds, and one score more: whatever share of the noise the seeds explain, the
// interval that is borrowed for the single one holds. (Counted as independent, nine tenths of shared variance made it
// cover 0.91.)
TEST(Intervals, CoverTheTruthHoweverMuchOfTheNoiseTheSeedsExplain) {
  for (const double shared : {0.0, 0.5, 0.9, 1.0}) {
    std::mt19937_64 random(20261128);
    std::normal_distribution<double> unit;
    constexpr int rounds = 4000;
    int single = 0, confirmed = 0;
    for (int round = 0; round < rounds; ++round) {
      OnCommonSeeds repeated(4);
      for (int k = 0; k < 3; ++k) {
        const double seed = std::sqrt(shared) * unit(random);
        for (Sample& sample : repeated) sample.add(seed + std::sqrt(1 - shared) * unit(random));
      }
      OnCommonSeeds baseline{of({unit(random), unit(random), unit(random)})};
      const auto known = pooled_noise(std::vector<OnCommonSeeds>{repeated, baseline});
      single += estimate(of({unit(random)}), known).interval->contains(0);
      confirmed += estimate(repeated[0], known).interval->contains(0);
    }
    EXPECT_GE(single / static_cast<double>(rounds), 0.95 - 0.014) << shared;
    EXPECT_GE(confirmed / static_cast<double>(rounds), 0.95 - 0.016) << shared;
  }
}

// One experiment ten times as noisy as the others must not pass for a sure one.
TEST(Intervals, OfAnUnstableExperimentCoverTheTruthTooIfLessOften) {
  std::mt19937_64 random(7);
  std::normal_distribution<double> noise(0, 0.3);
  constexpr int rounds = 4000;
  int covered = 0;
  for (int round = 0; round < rounds; ++round) {
    std::vector<Sample> repeated(6);
    for (std::size_t i = 0; i < repeated.size(); ++i)
      for (int k = 0; k < 3; ++k) repeated[i].add((i == 0 ? 10 : 1) * noise(random));
    covered += estimate(repeated[0], pooled_noise(each_on_its_own(repeated))).interval->contains(0);
  }
  EXPECT_GT(covered / static_cast<double>(rounds), 0.85);
}

TEST(StatisticsDeathTest, RefusesWhatHasNoMeaning) {
  EXPECT_DEATH((void)estimate(Sample{}, std::nullopt), "needs a score");
  EXPECT_DEATH((void)estimate(of({1}), std::nullopt, 1.0), "between 0 and 1");
  EXPECT_DEATH((void)student_t_quantile(1.0, 3), "within");
}

}  // namespace
}  // namespace overnight::evals
