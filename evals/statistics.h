// What a handful of scores says, and how sure that is. Values; pure; knows no experiment, no direction, no study.
//
// The model, and its limits:
//   1. A score is the experiment's mean plus noise that is independent between seeds and roughly normal. Intervals are
//      Student's, two-sided. What repeats without fresh seeds shows only the noise of running again.
//   2. Two or three scores tell little of their own spread (95 % with one degree of freedom is 12.7 deviations), one
//      tells nothing. So a result borrows the noise pooled over all experiments that were repeated (baseline replicates
//      and confirmations, each around its own mean) where that rests on more than its own scores do. That assumes that
//      experiments are about equally noisy: one whose own scores say otherwise (spread_believed) keeps its own spread,
//      but of an unstable one with a single score nothing shows it. Borrowed intervals are marked `pooled`.
//      Experiments that were repeated on the same seeds share an unknown part of their noise. They are counted as if
//      they shared all of it: together they have the degrees of freedom of one. Borrowed intervals may be too wide for
//      that, never too narrow.
//   3. A score that was chosen because it is the best of many is too good on average. No formula here mends that: rank
//      and judge what was chosen by scores that were measured afterwards, on fresh seeds.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace overnight::evals {

inline constexpr double usual_confidence = 0.95;

// Scores folded together: mean, and the sum of squared deviations from it.
struct Sample {
  std::int64_t n = 0;
  double mean = 0;
  double deviations = 0;
  bool operator==(const Sample&) const = default;

  void add(double score);  // Welford's update: no cancellation, whatever the size of the mean
};

Sample sample_of(std::span<const double> scores);

// With n - 1 below; none for fewer than two scores.
std::optional<double> standard_deviation(const Sample& sample);

struct Interval {
  double low = 0, high = 0;
  bool operator==(const Interval&) const = default;

  bool contains(double x) const { return low <= x && x <= high; }
  double half_width() const { return (high - low) / 2; }
};

// The standard deviation of one score around its experiment's mean, from all repeated experiments together.
struct Noise {
  double deviation = 0;
  std::int64_t degrees = 0;  // of freedom: the sum, over common seeds, of n - 1
  bool operator==(const Noise&) const = default;
};

// Experiments that were repeated on the same seeds.
using OnCommonSeeds = std::vector<Sample>;

// None if nothing was repeated. Each group has the variance pooled over its experiments, and weighs by its degrees.
std::optional<Noise> pooled_noise(std::span<const OnCommonSeeds> repeated);

struct Estimate {
  double mean = 0;
  std::int64_t n = 0;
  std::optional<Interval> interval;  // of the mean; none: nothing is known of the noise
  bool pooled = false;               // the interval borrows its spread from other experiments
  bool operator==(const Estimate&) const = default;
};

// From this many scores on a result speaks for itself.
inline constexpr std::int64_t own_spread_scores = 6;

// Below it, its own spread is kept only where the pooled noise would explain so wide a one more rarely than this (the
// upper tail of the ratio of the variances: Fisher's F).
inline constexpr double spread_believed = 0.05;

// INVARIANT n >= 1 and 0 < confidence < 1, here and below.
Estimate estimate(const Sample& sample, const std::optional<Noise>& noise, double confidence = usual_confidence);

// a - b: each with the spread that its estimate has. Two spreads of their own may differ, and are combined as Welch and
// Satterthwaite do; where both borrow, the pooled noise is one. `pooled`: either borrows.
struct Difference {
  double value = 0;
  std::optional<Interval> interval;
  bool pooled = false;
  bool operator==(const Difference&) const = default;
};
Difference difference(const Sample& a, const Sample& b, const std::optional<Noise>& noise,
                      double confidence = usual_confidence);

// The confidence of each of `comparisons` intervals so that all hold together with `confidence` (Bonferroni).
double corrected_confidence(double confidence, std::int64_t comparisons);

// No difference that counts: smaller than the least effect that matters, or one that noise alone would explain. With
// unknown noise only the least effect decides.
bool is_tie(const Difference& difference, double minimum_effect);

// Student's t with any positive number of degrees of freedom.
double student_t_probability(double t, double degrees);  // P(T <= t)
double student_t_quantile(double probability, double degrees);

// Fisher's F, the ratio of two estimates of one variance: P(F >= ratio).
double fisher_tail(double ratio, double degrees_above, double degrees_below);

}  // namespace overnight::evals
