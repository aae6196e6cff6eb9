#include "evals/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "budgets/invariant.h"

namespace overnight::evals {
namespace {

// Beyond this many degrees of freedom t and the normal differ by less than 1e-6: no need to sum longer fractions.
constexpr double degrees_max = 1e6;

// The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method in its modified form.
// Converges fast for x below (a + 1) / (a + b + 2).
double beta_fraction(double x, double a, double b) {
  constexpr double tiny = 1e-300;
  constexpr int terms_max = 10'000;  // about the square root of the larger argument is needed
  double numerator = 1, denominator = 1 - (a + b) * x / (a + 1);
  if (std::abs(denominator) < tiny) denominator = tiny;
  denominator = 1 / denominator;
  double value = denominator;
  const auto step = [&](double coefficient) {
    denominator = 1 + coefficient * denominator;
    if (std::abs(denominator) < tiny) denominator = tiny;
    denominator = 1 / denominator;
    numerator = 1 + coefficient / numerator;
    if (std::abs(numerator) < tiny) numerator = tiny;
    value *= numerator * denominator;
    return numerator * denominator;
  };
  for (int m = 1; m <= terms_max; ++m) {
    const double k = m;
    step(k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k)));
    const double change = step(-(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1)));
    if (std::abs(change - 1) < 1e-15) return value;
  }
  return value;
}

// The regularized incomplete beta function I_x(a, b), given x and 1 - x apart so that neither loses digits.
double incomplete_beta(double x, double rest, double a, double b) {
  if (x <= 0) return 0;
  if (rest <= 0) return 1;
  const double front =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log(rest));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(x, a, b) / a;
  return 1 - front * beta_fraction(rest, b, a) / b;
}

// What is known of how far a mean is from the truth.
struct Spread {
  double variance = 0;  // of the mean
  double degrees = 0;   // of freedom of that variance
  bool borrowed = false;
};

bool keeps_own_spread(const Sample& sample, const std::optional<Noise>& noise) {
  if (sample.n < 2) return false;
  const std::int64_t own = sample.n - 1;
  if (sample.n >= own_spread_scores || !noise || noise->degrees <= own) return true;
  if (sample.deviations == 0) return false;
  const double deviation = standard_deviation(sample).value();
  const double ratio = deviation / noise->deviation;
  return fisher_tail(ratio * ratio, static_cast<double>(own), static_cast<double>(noise->degrees)) < spread_believed;
}

std::optional<Spread> spread_of_mean(const Sample& sample, const std::optional<Noise>& noise) {
  const double count = static_cast<double>(sample.n);
  if (keeps_own_spread(sample, noise)) return Spread{sample.deviations / (count - 1) / count, count - 1, false};
  if (!noise) return std::nullopt;
  return Spread{noise->deviation * noise->deviation / count, static_cast<double>(noise->degrees), true};
}

// Welch and Satterthwaite: the degrees of freedom that fit two unequal variances; by shares, for their squares may be
// too small or too large for a number. A borrowed spread that holds the other's own scores too is not independent of
// it; that is small and left out.
double degrees_of_sum(const Spread& a, const Spread& b) {
  if (a.borrowed && b.borrowed) return a.degrees;
  if (a.variance + b.variance == 0) return a.degrees + b.degrees;
  const double share = a.variance / (a.variance + b.variance);
  return 1 / (share * share / a.degrees + (1 - share) * (1 - share) / b.degrees);
}

double student_t_density(double t, double degrees) {
  return std::exp(std::lgamma((degrees + 1) / 2) - std::lgamma(degrees / 2) -
                  (degrees + 1) / 2 * std::log1p(t * t / degrees)) /
         std::sqrt(degrees * std::numbers::pi);
}

void check(double confidence) { INVARIANT(confidence > 0 && confidence < 1, "a confidence is between 0 and 1"); }

Interval around(double middle, double error, double degrees, double confidence) {
  const double reach = error == 0 ? 0 : student_t_quantile((1 + confidence) / 2, degrees) * error;
  return {middle - reach, middle + reach};
}

}  // namespace

void Sample::add(double score) {
  ++n;
  const double from_old = score - mean;
  mean += from_old / static_cast<double>(n);
  deviations += from_old * (score - mean);
}

Sample sample_of(std::span<const double> scores) {
  Sample sample;
  for (const double score : scores) sample.add(score);
  return sample;
}

std::optional<double> standard_deviation(const Sample& sample) {
  if (sample.n < 2) return std::nullopt;
  return std::sqrt(sample.deviations / static_cast<double>(sample.n - 1));
}

std::optional<Noise> pooled_noise(std::span<const OnCommonSeeds> repeated) {
  double weighted = 0;
  std::int64_t degrees = 0;
  for (const OnCommonSeeds& group : repeated) {
    double deviations = 0;
    std::int64_t own = 0, most = 0;
    for (const Sample& sample : group) {
      if (sample.n < 2) continue;
      deviations += sample.deviations;
      own += sample.n - 1;
      most = std::max(most, sample.n - 1);
    }
    if (own == 0) continue;
    weighted += deviations / static_cast<double>(own) * static_cast<double>(most);
    degrees += most;
  }
  if (degrees == 0) return std::nullopt;
  return Noise{std::sqrt(weighted / static_cast<double>(degrees)), degrees};
}

Estimate estimate(const Sample& sample, const std::optional<Noise>& noise, double confidence) {
  INVARIANT(sample.n >= 1, "an estimate needs a score");
  check(confidence);
  Estimate made{sample.mean, sample.n, std::nullopt, false};
  if (const auto spread = spread_of_mean(sample, noise)) {
    made.interval = around(sample.mean, std::sqrt(spread->variance), spread->degrees, confidence);
    made.pooled = spread->borrowed;
  }
  return made;
}

Difference difference(const Sample& a, const Sample& b, const std::optional<Noise>& noise, double confidence) {
  INVARIANT(a.n >= 1 && b.n >= 1, "a difference needs two scores");
  check(confidence);
  Difference made{a.mean - b.mean, std::nullopt, false};
  const auto of_a = spread_of_mean(a, noise), of_b = spread_of_mean(b, noise);
  if (!of_a || !of_b) return made;
  made.pooled = of_a->borrowed || of_b->borrowed;
  made.interval =
      around(made.value, std::sqrt(of_a->variance + of_b->variance), degrees_of_sum(*of_a, *of_b), confidence);
  return made;
}

double corrected_confidence(double confidence, std::int64_t comparisons) {
  check(confidence);
  return 1 - (1 - confidence) / static_cast<double>(std::max<std::int64_t>(1, comparisons));
}

bool is_tie(const Difference& difference, double minimum_effect) {
  if (difference.value == 0 || std::abs(difference.value) < minimum_effect) return true;
  return difference.interval && difference.interval->contains(0);
}

double student_t_probability(double t, double degrees) {
  INVARIANT(degrees > 0, "Student's t has degrees of freedom");
  const double n = std::min(degrees, degrees_max);
  if (std::isinf(t)) return t > 0 ? 1 : 0;
  // P(|T| > |t|) = I_x(n/2, 1/2) with x = n / (n + t^2) (Abramowitz and Stegun 26.5.27).
  const double squared = t * t;
  const double tail = incomplete_beta(n / (n + squared), squared / (n + squared), n / 2, 0.5) / 2;
  return t > 0 ? 1 - tail : tail;
}

// Newton's steps from a bracket that always holds the root; a step that leaves it is replaced by halving.
double student_t_quantile(double probability, double degrees) {
  INVARIANT(probability > 0 && probability < 1 && degrees > 0, "a quantile is of a probability within (0, 1)");
  if (probability == 0.5) return 0;
  // The lower tail keeps all its digits, whichever side is asked for.
  const double tail = std::min(probability, 1 - probability);
  const double n = std::min(degrees, degrees_max);
  double low = -1, high = 0;
  while (student_t_probability(low, n) > tail) high = low, low *= 2;
  double t = (low + high) / 2;
  for (int step = 0; step < 200; ++step) {
    const double missed = student_t_probability(t, n) - tail;
    (missed > 0 ? high : low) = t;
    double next = t - missed / student_t_density(t, n);
    if (!(next > low && next < high)) next = (low + high) / 2;
    if (std::abs(next - t) <= 1e-14 * std::abs(t)) return probability < 0.5 ? next : -next;
    t = next;
  }
  return probability < 0.5 ? t : -t;
}

double fisher_tail(double ratio, double degrees_above, double degrees_below) {
  INVARIANT(degrees_above > 0 && degrees_below > 0, "Fisher's F has degrees of freedom");
  if (ratio <= 0) return 1;
  if (std::isinf(ratio)) return 0;
  // I_x(b/2, a/2) with x = b / (b + a F) (Abramowitz and Stegun 26.6.2).
  const double above = degrees_above * ratio, sum = degrees_below + above;
  return incomplete_beta(degrees_below / sum, above / sum, degrees_below / 2, degrees_above / 2);
}

}  // namespace overnight::evals
