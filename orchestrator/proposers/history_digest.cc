#include "orchestrator/proposers/history_digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "orchestrator/proposers/offers.h"
#include "orchestrator/proposers/told.h"

namespace overnight::proposers {
namespace {

// One experiment with all its trials.
struct Seen {
  const ports::KnownTrial* first = nullptr;
  std::int64_t scores = 0, failures = 0;
  double sum = 0;
  std::string failure;  // of the last trial that failed

  bool scored() const { return scores > 0; }
  double mean() const { return sum / static_cast<double>(scores); }
};

std::vector<Seen> experiments_of(const ports::History& history) {
  std::vector<Seen> all;
  std::map<core::ExperimentId, std::size_t> places;
  for (const ports::KnownTrial& trial : history) {
    const auto [place, fresh] = places.try_emplace(trial.experiment, all.size());
    if (fresh) all.push_back({.first = &trial});
    Seen& seen = all[place->second];
    if (trial.score) {
      ++seen.scores, seen.sum += *trial.score;
    } else {
      ++seen.failures, seen.failure = trial.failure;
    }
  }
  return all;
}

std::string json_text(const nlohmann::json& value) {
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  for (std::size_t at = text.find('<'); at != std::string::npos; at = text.find('<', at))
    text.replace(at, 1, "\\u003c");
  return text;
}

std::string line_of(const Seen& seen, const std::string& metric) {
  std::string line = fmt::format("#{} ", core::number(seen.first->experiment));
  line += seen.scored() ? fmt::format("{}={:.6g}", metric, seen.mean()) : "failed: " + told(seen.failure, 64);
  if (seen.scores > 1) line += fmt::format(" (mean of {})", seen.scores);
  if (seen.scored() && seen.failures > 0) line += fmt::format(" ({} failed)", seen.failures);
  line += " " + json_text(json_of(rounded(seen.first->params)));
  const std::string why = told(seen.first->hypothesis, digest_hypothesis_bytes_max);
  if (!why.empty()) line += " by " + seen.first->proposer + ": " + json_text(why);
  return line;
}

// A text that takes lines while there is room; a heading costs nothing unless a line follows it.
class Room {
 public:
  explicit Room(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  void heading(const std::string& text) { heading_ = text; }
  bool line(const std::string& text) {
    const std::size_t wanted = text.size() + 1 + (heading_.empty() ? 0 : heading_.size() + 1);
    if (text_.size() + wanted > bytes_max_) return false;
    if (!heading_.empty()) text_ += std::exchange(heading_, "") + "\n";
    text_ += text + "\n";
    return true;
  }
  std::string take() { return std::move(text_); }

 private:
  std::size_t bytes_max_;
  std::string heading_;
  std::string text_;
};

std::string counts(const std::vector<Seen>& all, std::size_t pending) {
  std::map<std::string, std::int64_t> causes;
  std::int64_t scored = 0;
  for (const Seen& seen : all) {
    if (seen.scored()) ++scored;
    if (!seen.scored()) ++causes[told(seen.failure, 64)];
  }
  std::string text = fmt::format("{} experiments finished, {} with a score, {} pending.", all.size(), scored, pending);
  std::vector<std::pair<std::string, std::int64_t>> frequent(causes.begin(), causes.end());
  std::stable_sort(frequent.begin(), frequent.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  if (frequent.size() > 5) frequent.resize(5);
  for (const auto& [cause, count] : frequent) text += fmt::format(" Failed with {}: {}.", cause, count);
  return text;
}

}  // namespace

core::Params rounded(core::Params params) {
  for (auto& [_, value] : params) {
    if (double* real = std::get_if<double>(&value)) *real = std::strtod(fmt::format("{:.6g}", *real).c_str(), nullptr);
  }
  return params;
}

std::string digest_of(const ports::AskRequest& request, const core::Objective& objective, std::size_t bytes_max) {
  const std::vector<Seen> all = experiments_of(request.history);
  Room room(bytes_max);
  room.line(counts(all, request.pending.size()));

  std::vector<const Seen*> baseline, best, failed, last;
  for (const Seen& seen : all) {
    (seen.scored() ? best : failed).push_back(&seen);
    if (seen.first->proposer == "baseline") baseline.push_back(&seen);
    last.push_back(&seen);
  }
  const double sign = objective.direction == core::Direction::minimize ? 1 : -1;
  std::stable_sort(best.begin(), best.end(),
                   [&](const Seen* a, const Seen* b) { return sign * a->mean() < sign * b->mean(); });
  std::set<const Seen*> listed;  // each experiment once
  const auto list = [&](const std::string& heading, auto begin, auto end, std::size_t most) {
    room.heading(heading);
    for (std::size_t i = 0; i < most && begin != end; ++begin) {
      if (listed.contains(*begin)) continue;
      if (!room.line(line_of(**begin, objective.metric))) return;
      listed.insert(*begin);
      ++i;
    }
  };
  list("Baseline:", baseline.begin(), baseline.end(), 1);
  list("Best, the best first:", best.begin(), best.end(), digest_best_max);
  list("Failed, the latest first:", failed.rbegin(), failed.rend(), digest_failures_max);
  list("Others, the latest first:", last.rbegin(), last.rend(), digest_last_max);
  room.heading("Pending, not finished:");
  for (std::size_t i = 0; i < std::min(request.pending.size(), digest_pending_max); ++i) {
    if (!room.line(json_text(json_of(rounded(request.pending[i]))))) break;
  }
  return room.take();
}

}  // namespace overnight::proposers
