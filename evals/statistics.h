// What a handful of scores says, and how sure that is. Values; pure; knows no experiment, no direction, no study.
//
// The model, and its limits:
//   1. A score is the experiment's mean plus noise that is independent between seeds and roughly normal. Intervals are
//      Student's, two-sided. What repeats without fresh seeds shows only the noise of running again.
//   2. n >= 2 scores carry their own spread. One score has none: it borrows the noise pooled over all experiments that
//      were repeated (baseline replicates and confirmations, each around its own mean). That assumes that experiments
//      are about equally noisy; an unstable one is noisier than its interval says. Such results are marked `pooled`.
//   3. A score that was chosen because it is the best of many is too good on average. No formula here mends that: rank
//      and judge what was chosen by scores that were measured afterwards, on fresh seeds.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

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
  std::int64_t degrees = 0;  // of freedom: the sum of n - 1
  bool operator==(const Noise&) const = default;
};

// None if nothing was repeated.
std::optional<Noise> pooled_noise(std::span<const Sample> repeated);

struct Estimate {
  double mean = 0;
  std::int64_t n = 0;
  std::optional<Interval> interval;  // of the mean; none: nothing is known of the noise
  bool pooled = false;               // the interval borrows its spread from other experiments
  bool operator==(const Estimate&) const = default;
};

// INVARIANT n >= 1 and 0 < confidence < 1, here and below.
Estimate estimate(const Sample& sample, const std::optional<Noise>& noise, double confidence = usual_confidence);

// a - b: Welch's interval where both have a spread of their own (their noise may differ), else from the pooled noise.
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

}  // namespace overnight::evals
