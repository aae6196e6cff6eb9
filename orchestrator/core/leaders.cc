// The best experiments, as far as decisions need them: ranked by their search scores, bounded, with the artifacts that
// are kept.
#include <algorithm>

#include "budgets/invariant.h"
#include "orchestrator/core/handlers.h"

namespace overnight::core {
namespace {

void drop(Turn& turn, Run& run, const KeptArtifacts& kept) {
  run.dropping[kept.attempt] = kept.bytes;
  turn.act(DropArtifacts{kept.attempt, run.id});
  turn.touch(run, RunPart::work);
}

void drop_all(Turn& turn, Run& run, Leader& leader) {
  for (const KeptArtifacts& kept : leader.artifacts) drop(turn, run, kept);
  leader.artifacts.clear();
}

std::size_t artifacts_kept(const Run& run) {
  const ArtifactPolicy& policy = run.study.task.artifacts;
  if (policy.all) return leaders_max;
  return std::min<std::size_t>(leaders_max,
                               static_cast<std::size_t>(std::max<std::int64_t>(policy.top, policy.champion ? 1 : 0)));
}

// Best first; ties in order of admission, so that the order never depends on anything else.
bool stands_before(const Run& run, double score, ExperimentId id, const Leader& other) {
  const double x = run.loss(score), y = run.loss(other.search.mean);
  return x != y ? x < y : number(id) < number(other.origin.id);
}

// Whether a score gets a place among the leaders. Most do not, once a run is long: nothing is touched then.
bool gets_a_place(const Run& run, double score, ExperimentId id) {
  return run.leaders.size() < leaders_max || stands_before(run, score, id, run.leaders.back());
}

void rank(Turn& turn, Run& run) {
  std::stable_sort(run.leaders.begin(), run.leaders.end(),
                   [&](const Leader& a, const Leader& b) { return stands_before(run, a.search.mean, a.origin.id, b); });
  while (run.leaders.size() > leaders_max) {
    if (!run.study.task.artifacts.all) drop_all(turn, run, run.leaders.back());
    run.leaders.pop_back();
  }
  for (std::size_t i = artifacts_kept(run); i < run.leaders.size(); ++i) drop_all(turn, run, run.leaders[i]);
}

Leader* find_leader(Run& run, ExperimentId id) {
  if (run.baseline && run.baseline->origin.id == id) return &*run.baseline;
  const auto found =
      std::find_if(run.leaders.begin(), run.leaders.end(), [&](const Leader& l) { return l.origin.id == id; });
  return found == run.leaders.end() ? nullptr : &*found;
}

}  // namespace

bool fold_score(Turn& turn, Run& run, const Trial& trial, const Experiment& experiment, double score) {
  if (trial.purpose == Purpose::canary) return false;
  const bool of_search = trial.purpose != Purpose::baseline && trial.purpose != Purpose::confirm;
  if (of_search && !gets_a_place(run, score, experiment.id)) return false;  // no leader, so no best either
  turn.touch(run, RunPart::leaders);
  Leader* leader = find_leader(run, experiment.id);
  if (trial.purpose == Purpose::baseline) {
    if (leader == nullptr) leader = &run.baseline.emplace(Leader{experiment, {}, {}, 0, {}});
    leader->search.add(score);
    if (!run.best) run.best = score, run.best_experiment = experiment.id;
    return false;
  }
  if (trial.purpose == Purpose::confirm) {
    if (leader != nullptr) leader->confirm.add(score);
    return false;
  }
  run.leaders.push_back(Leader{experiment, {}, {}, 0, {}});
  run.leaders.back().search.add(score);
  rank(turn, run);
  const bool better = !run.best || run.loss(score) < run.loss(*run.best);
  const bool gained = !run.best || run.loss(score) < run.loss(*run.best) - run.study.objective.minimum_effect;
  if (better) {
    run.best = score;
    run.best_experiment = experiment.id;
    turn.note(run.id, "best",
              "experiment " + std::to_string(number(experiment.id)) + " (" + experiment.proposer +
                  "): " + run.study.objective.metric + " " + text_of(ParamValue(score)));
  }
  return gained;
}

void remember_spent(Turn& turn, Run& run, const Experiment& experiment) {
  Leader* leader = find_leader(run, experiment.id);
  if (leader == nullptr || leader->origin.spent == experiment.spent) return;
  leader->origin.spent = experiment.spent;
  turn.touch(run, RunPart::leaders);
}

void keep_or_drop_artifacts(Turn& turn, Run& run, const Trial& trial, AttemptId attempt, budgets::Bytes bytes,
                            bool scored) {
  const KeptArtifacts kept{attempt, bytes};
  if (scored && run.study.task.artifacts.all) return;
  Leader* leader = scored ? find_leader(run, trial.experiment) : nullptr;
  const bool is_baseline = leader != nullptr && run.baseline && leader == &*run.baseline;
  const auto place =
      leader == nullptr || is_baseline ? std::size_t{0} : static_cast<std::size_t>(leader - run.leaders.data());
  if (leader == nullptr || place >= artifacts_kept(run)) {
    drop(turn, run, kept);
    return;
  }
  leader->artifacts.push_back(kept);
  turn.touch(run, RunPart::leaders);
}

}  // namespace overnight::core
