#include "orchestrator/report/verdict.h"

#include <fmt/format.h>

#include <cmath>

#include "budgets/invariant.h"
#include "orchestrator/report/words.h"

namespace overnight::report {
namespace {

std::string name_of(const Result& result) {
  return "experiment " + std::to_string(core::number(result.record->experiment)) + " (" +
         harmless(result.record->proposer, 60) + ")";
}

std::string capitalised(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

std::string metric_of(const core::Run& run) { return harmless(run.study.objective.metric, 60); }

// " (2.7 %)", where a share means something.
std::string share_words(double gain, double baseline) {
  if (baseline == 0 || std::abs(gain / baseline) > 10) return "";
  return " (" + percent_words(std::abs(gain / baseline)) + ")";
}

std::string effect_words(double gain, const evals::Difference& judged) {
  return judged.interval ? number_words(gain, decimals_of(judged.interval->half_width())) : number_words(gain);
}

std::string interval_part(const evals::Difference& gain) {
  if (!gain.interval) return "";
  if (gain.interval->half_width() <= 0) return "";
  return "95 % interval " + interval_words(*gain.interval);
}

// "confirmed on 3 fresh seeds"; a task that takes no seed was just run again.
std::string confirmed_words(const core::Run& run, std::int64_t n) {
  if (!core::can_see_seed(run.study.task))
    return "confirmed by " + std::string(n == 1 ? "1 more run" : std::to_string(n) + " more runs");
  return "confirmed on " + std::string(n == 1 ? "1 fresh seed" : std::to_string(n) + " fresh seeds");
}

// "It is a tie with experiments 12 and 9."
std::string ties_words(const Findings& found) {
  std::vector<std::string> tied;
  for (std::size_t i = 1; i < found.confirmed && found.ranked[i].place.rank == 1; ++i)
    tied.push_back(std::to_string(core::number(found.ranked[i].record->experiment)));
  if (tied.empty()) return "";
  std::string list;
  for (std::size_t i = 0; i < tied.size() && i < 5; ++i)
    list += (i == 0 ? "" : i + 1 == tied.size() ? " and " : ", ") + tied[i];
  if (tied.size() > 5) list += " and " + std::to_string(tied.size() - 5) + " more";
  return std::string("It is a tie with experiment") + (tied.size() > 1 ? "s " : " ") + list +
         ": the differences between them are within the noise or below the minimum effect.";
}

Verdict against_baseline(const core::Run& run, const Findings& found) {
  const Result& best = found.ranked.front();
  const auto chosen_among = static_cast<std::int64_t>(found.confirmed);
  const evals::Difference gain =
      gain_over_baseline(run, best, found, evals::corrected_confidence(evals::usual_confidence, chosen_among));
  const double least = run.study.objective.minimum_effect;
  const std::string interval = interval_part(gain);
  Verdict verdict;
  verdict.gain = gain;
  const bool tie = evals::is_tie(gain, least);
  if (tie) {
    verdict.kind = VerdictKind::tie;
    const bool small = std::abs(gain.value) < least;
    verdict.headline = "No difference to the baseline could be shown: the best confirmed result, " + name_of(best) +
                       ", differs by " + effect_words(gain.value, gain) +
                       (interval.empty() ? "" : " (" + interval + ")") +
                       (small ? ", less than the minimum effect of " + number_words(least) + "."
                              : ", and noise alone would explain that.");
  } else if (!gain.interval) {
    verdict.kind = VerdictKind::unconfirmed;
    verdict.headline = capitalised(name_of(best)) + " measured " + (gain.value > 0 ? "better" : "worse") +
                       " than the baseline by " + number_words(std::abs(gain.value)) + " in " + metric_of(run) +
                       ", but nothing was repeated often enough to know the noise.";
  } else {
    verdict.kind = gain.value > 0 ? VerdictKind::better : VerdictKind::worse;
    const std::string numbers = metric_of(run) + " " + estimate_words(best.estimate) + " instead of " +
                                estimate_words(found.baseline->estimate);
    const std::string by =
        effect_words(std::abs(gain.value), gain) + share_words(gain.value, found.baseline->estimate.mean);
    verdict.headline = gain.value > 0
                           ? capitalised(name_of(best)) + " beats the baseline by " + by + ": " + numbers + ", " +
                                 confirmed_words(run, best.confirm.n) + (interval.empty() ? "" : "; " + interval) + "."
                           : "Nothing better than the baseline was found: the best confirmed result, " + name_of(best) +
                                 ", is worse by " + by + ": " + numbers + ".";
  }
  if (!interval.empty() && chosen_among > 1)
    verdict.caveats.push_back("The interval of the difference is corrected for choosing the best of " +
                              std::to_string(chosen_among) + " confirmed experiments (Bonferroni).");
  if (gain.pooled)
    verdict.caveats.push_back(
        "Few scores tell little of their own noise: the interval rests on that of all repeated experiments together, "
        "as if all were equally noisy.");
  return verdict;
}

Verdict unconfirmed(const core::Run& run, const Findings& found) {
  const Result& best = found.ranked.front();
  Verdict verdict;
  verdict.kind = VerdictKind::unconfirmed;
  verdict.headline =
      capitalised(name_of(best)) + " measured best, " + metric_of(run) + " " + number_words(best.estimate.mean);
  if (found.baseline) verdict.headline += " against " + estimate_words(found.baseline->estimate) + " of the baseline";
  verdict.headline += ", but it was not confirmed.";
  if (found.measurements > 1)
    verdict.caveats.push_back("It is the best of " + count_words(found.measurements) +
                              " single measurements, and such a score is too good on average: measure it again before "
                              "you believe it.");
  return verdict;
}

Verdict no_baseline(const core::Run& run, const Findings& found) {
  const Result& best = found.ranked.front();
  Verdict verdict;
  verdict.kind = VerdictKind::no_baseline;
  verdict.headline = capitalised(name_of(best)) + " is the best, " + metric_of(run) + " " +
                     estimate_words(best.estimate) + ", " + confirmed_words(run, best.confirm.n) +
                     "; there is no baseline to compare it with.";
  return verdict;
}

Verdict without_scores(const ReportData& data, const Findings& found) {
  const core::Run& run = data.run;
  Verdict verdict;
  if (!run.study.baseline.empty() && run.study.evaluation.baseline_replicates > 0 && !found.baseline) {
    verdict.kind = VerdictKind::no_start;
    const bool failed = run.end && run.end->kind == core::EndKind::failed;
    verdict.headline = failed ? "Nothing was searched: the baseline could not be measured."
                              : "Nothing was found: the baseline has no score yet.";
    const std::size_t line = run.baseline_detail.find('\n');
    if (const std::string why = run.baseline_detail.substr(0, line); !why.empty())
      verdict.caveats.push_back("Its last attempt: " + harmless(why, 400));
    if (line != std::string::npos) verdict.log_tail = run.baseline_detail.substr(line + 1);
    return verdict;
  }
  verdict.kind = VerdictKind::nothing;
  const std::int64_t tried = run.counts.admitted;
  verdict.headline = tried == 0 ? "Nothing was found: no experiment was started."
                                : "Nothing was found: of " + count_words(tried) + " experiments none has a score.";
  if (found.baseline)
    verdict.caveats.push_back("The baseline: " + metric_of(run) + " " + estimate_words(found.baseline->estimate) + ".");
  return verdict;
}

// A proposer that brought nothing is no part of what was searched, whatever the study says.
void add_silent_proposers(const Findings& found, Verdict& verdict) {
  for (const Credit& credit : found.credits) {
    const core::ProposerBook& book = credit.book;
    if (book.asks == 0 || book.admitted > 0) continue;
    std::string words = "The proposer " + harmless(credit.proposer, 60) + " brought no experiment in " +
                        count_words(book.asks) + (book.asks == 1 ? " ask" : " asks");
    if (!book.last_failure.empty()) words += "; the last failure: " + harmless(book.last_failure, 300);
    verdict.caveats.push_back(words + ".");
  }
}

// A slow GPU trains less in the same time, and is no property of what was tried.
std::string throttled_words(const Throttled& throttled) {
  std::string by;
  for (const std::string& reason : throttled.by) by += (by.empty() ? "" : ", ") + harmless(reason, 60);
  return fmt::format(
      "Scores marked ‡: a GPU was slowed for more than {} % of the time ({}), in {} of {} measurements; what they "
      "reached in a given time is less than the machine can.",
      workers::throttled_percent, by, count_words(throttled.yes), count_words(throttled.all));
}

// What holds for the whole run, whoever won.
void add_general_caveats(const ReportData& data, const Findings& found, Verdict& verdict) {
  const core::Run& run = data.run;
  add_silent_proposers(found, verdict);
  if (found.self_reported)
    verdict.caveats.push_back("Scores marked † are self-reported: the training process said them itself.");
  if (found.throttled.yes > 0) verdict.caveats.push_back(throttled_words(found.throttled));
  if (found.throttled.unknown > 0)
    verdict.caveats.push_back(
        fmt::format("Scores marked ‡?: whether their GPUs were slowed is not known, in {} of {} "
                    "measurements.",
                    count_words(found.throttled.unknown), count_words(found.throttled.all)));
  const bool unseeded = !core::can_see_seed(run.study.task);
  if (found.noise && unseeded)
    verdict.caveats.push_back("The task takes no seed: intervals show only the noise of running again.");
  if (found.noise && found.noise->deviation == 0)
    verdict.caveats.push_back(
        "All repeated measurements agree exactly: either the seed changes nothing, or the metric is rounded more "
        "coarsely "
        "than its noise.");
  if (!found.ranked.empty() && !found.noise)
    verdict.caveats.push_back("Nothing was repeated, so the noise is unknown and no score has an interval.");
}

}  // namespace

evals::Difference gain_over_baseline(const core::Run& run, const Result& result, const Findings& found,
                                     double confidence) {
  INVARIANT(found.baseline, "a gain is over a baseline");
  const evals::Sample &mine = result.judged(), &base = found.baseline->judged();
  return run.minimizes() ? evals::difference(base, mine, found.noise, confidence)
                         : evals::difference(mine, base, found.noise, confidence);
}

Verdict verdict_of(const ReportData& data, const Findings& found) {
  Verdict verdict;
  if (found.ranked.empty()) {
    verdict = without_scores(data, found);
  } else if (found.confirmed == 0) {
    verdict = unconfirmed(data.run, found);
  } else if (!found.baseline) {
    verdict = no_baseline(data.run, found);
  } else {
    verdict = against_baseline(data.run, found);
  }
  if (found.confirmed > 0) {
    if (const std::string ties = ties_words(found); !ties.empty())
      verdict.caveats.insert(verdict.caveats.begin(), ties);
  }
  add_general_caveats(data, found, verdict);
  return verdict;
}

std::string ending_words(const ReportData& data) {
  const core::Run& run = data.run;
  if (!run.end) return run.live ? "still running" : "not ended; it can be resumed";
  std::string words(core::name_of(run.end->kind));
  const std::string reason = harmless(run.end->reason.substr(0, run.end->reason.find('\n')), 400);
  if (reason.starts_with(words)) return reason;
  return reason.empty() ? words : words + ": " + reason;
}

}  // namespace overnight::report
