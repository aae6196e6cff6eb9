#include "orchestrator/server/views.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "evals/statistics.h"

namespace overnight::server {
namespace {

using core::Millis;
using core::Run;
using nlohmann::json;

json json_of(const core::Params& params) {
  json out = json::object();
  for (const auto& [name, value] : params) std::visit([&, &key = name](const auto& v) { out[key] = v; }, value);
  return out;
}

// One line per budget that has a limit.
json budgets_of(const Run& run) {
  const budgets::Cost grant = run.ledger.grant(), used = run.ledger.settled() + run.ledger.overrun(),
                      reserved = run.ledger.reserved();
  json lines = json::array();
  const auto add = [&](const char* name, const char* unit, auto granted, auto spent, auto promised) {
    if (granted.is_unlimited()) return;
    lines.push_back({{"name", name},
                     {"unit", unit},
                     {"granted", granted.count()},
                     {"used", spent.count()},
                     {"reserved", promised.count()}});
  };
  if (!run.wall_grant.is_unlimited()) {
    lines.push_back({{"name", "wall"},
                     {"unit", "ms"},
                     {"granted", run.wall_grant.count()},
                     {"used", run.wall_used.count()},
                     {"reserved", 0}});
  }
  add("experiments", "count", grant.experiments, used.experiments, reserved.experiments);
  add("slot_time", "ms", grant.slot_time, used.slot_time, reserved.slot_time);
  add("gpu_time", "ms", grant.gpu_time, used.gpu_time, reserved.gpu_time);
  add("actions", "count", grant.actions, used.actions, reserved.actions);
  add("llm_cost", "micro-USD", grant.money, used.money, reserved.money);
  add("llm_tokens", "tokens", grant.tokens, used.tokens, reserved.tokens);
  add("disk", "bytes", grant.disk, used.disk, reserved.disk);
  return lines;
}

// What replicates of the baseline and confirmations tell about the noise, as far as State remembers them.
std::optional<evals::Noise> noise_of(const Run& run) {
  std::vector<evals::OnCommonSeeds> repeated(2);  // as the report does it
  if (run.baseline) repeated[0].push_back(run.baseline->search);
  for (const core::Leader& leader : run.leaders) repeated[1].push_back(leader.confirm);
  return evals::pooled_noise(repeated);
}

// 95 % interval of the mean; absent while nothing is known of the noise.
void add_interval(json& out, const char* prefix, const evals::Sample& scores,
                  const std::optional<evals::Noise>& noise) {
  const evals::Estimate made = evals::estimate(scores, noise);
  if (!made.interval) return;
  const std::string name(prefix);
  out[name + "low"] = made.interval->low;
  out[name + "high"] = made.interval->high;
  out[name + "half_width"] = made.interval->half_width();
  out[name + "pooled"] = made.pooled;
}

json leader_json(const core::Leader& leader, const std::optional<evals::Noise>& noise) {
  json out{{"experiment", core::number(leader.origin.id)},
           {"proposer", leader.origin.proposer},
           {"params", json_of(leader.origin.params)},
           {"score", leader.search.mean},
           {"n", leader.search.n}};
  if (leader.search.n > 0) add_interval(out, "interval_", leader.search, noise);
  if (leader.confirm.n > 0) {
    out["confirmed_score"] = leader.confirm.mean;
    out["confirmed_n"] = leader.confirm.n;
    add_interval(out, "confirmed_", leader.confirm, noise);
  }
  return out;
}

// What people would call the best: of the confirmed the best by its confirmation, else the best of the search.
json best_json(const Run& run, const std::optional<evals::Noise>& noise) {
  const core::Leader* best = &run.leaders.front();
  for (const core::Leader& leader : run.leaders) {
    if (leader.confirm.n == 0) continue;
    if (best->confirm.n == 0 || run.loss(leader.confirm.mean) < run.loss(best->confirm.mean)) best = &leader;
  }
  const bool confirmed = best->confirm.n > 0;
  const evals::Sample& scores = confirmed ? best->confirm : best->search;
  json out{{"experiment", core::number(best->origin.id)},
           {"proposer", best->origin.proposer},
           {"params", json_of(best->origin.params)},
           {"score", scores.mean},
           {"n", scores.n},
           {"confirmed", confirmed}};
  add_interval(out, "interval_", scores, noise);
  return out;
}

json counts_of(const Run& run) {
  json failed = json::object();
  for (const auto& [cause, count] : run.counts.failed) failed[std::string(workers::name_of(cause))] = count;
  return {{"experiments", run.counts.admitted}, {"trials_finished", run.counts.trials_finished},
          {"scored", run.counts.scored},        {"failed", failed},
          {"retries", run.counts.retries},      {"duplicates", run.counts.duplicates},
          {"dropped", run.counts.dropped},      {"disturbed", run.counts.disturbed}};
}

json proposers_of(const Run& run) {
  json out = json::array();
  for (std::size_t i = 0; i < run.proposers.size() && i < run.study.proposers.size(); ++i) {
    const core::ProposerBook& book = run.proposers[i];
    out.push_back({{"name", run.study.proposers[i].name},
                   {"asks", book.asks},
                   {"offered", book.offered},
                   {"admitted", book.admitted},
                   {"duplicates", book.duplicates},
                   {"refused", book.refused},
                   {"failures", book.failures},
                   {"exhausted", book.exhausted},
                   {"last_failure", book.last_failure},
                   {"tokens", book.used.tokens.count()},
                   {"cost_microusd", book.used.money.count()}});
  }
  return out;
}

json breakers_of(const Run& run) {
  json lines = json::array();
  for (const budgets::Reading& one : budgets::readings(run.breakers, run.study.governor.breakers)) {
    lines.push_back({{"breaker", one.breaker},
                     {"level", std::string(budgets::name_of(one.level))},
                     {"value", one.value},
                     {"limit", one.limit},
                     {"seen", one.seen},
                     {"minimum", one.minimum},
                     {"tripped", run.breakers.tripped && run.breakers.tripped->breaker == one.breaker}});
  }
  return lines;
}

json stops_of(const Run& run) {
  json out = json::object();
  if (run.hold)
    out["hold"] = {{"by", run.hold->by}, {"reason", run.hold->reason}, {"canary_failed", run.hold->canary_failed}};
  if (run.latch)
    out["latch"] = {{"by", run.latch->by},
                    {"path", run.latch->path},
                    {"reason", run.latch->reason},
                    {"wall_unix_ms", run.latch->wall.ms()}};
  if (run.halt) {
    out["halt"] = {{"requested_unix_ms", run.halt->requested_wall.ms()},
                   {"attempts", run.halt->attempts},
                   {"unconfirmed", run.halt->told_unconfirmed && !run.halt->confirmed_after}};
    out["halt"]["confirmed_after_ms"] =
        run.halt->confirmed_after ? json(run.halt->confirmed_after->count()) : json(nullptr);
    json alive = json::array();
    for (const auto& [id, _] : run.attempts) alive.push_back(core::number(id));
    out["halt"]["alive"] = alive;
  }
  if (run.end)
    out["end"] = {{"kind", std::string(core::name_of(run.end->kind))},
                  {"reason", run.end->reason},
                  {"wall_unix_ms", run.end->wall.ms()}};
  return out;
}

json attempt_json(const Run& run, const core::Attempt& attempt, const ViewTime& time, const LiveMetrics& metrics) {
  json out{{"attempt", core::number(attempt.id)},
           {"experiment", core::number(attempt.experiment)},
           {"run", run.id.text},
           {"phase", attempt.started ? std::string(workers::name_of(attempt.phase)) : "starting"},
           {"since_ms", (time.now - attempt.launched).count()},
           {"limit_ms", core::worst_case_wall(run.study).count()}};
  const auto trial = run.trials.find(attempt.trial);
  if (trial != run.trials.end()) {
    out["purpose"] = std::string(core::name_of(trial->second.purpose));
    out["seed"] = trial->second.seed;
  }
  const auto experiment = run.experiments.find(attempt.experiment);
  if (experiment != run.experiments.end()) {
    out["params"] = json_of(experiment->second.params);
    out["proposer"] = experiment->second.proposer;
  }
  if (attempt.stopping) out["stopping"] = std::string(workers::name_of(*attempt.stopping));
  const auto seen = metrics.find(attempt.id);
  if (seen != metrics.end()) out["metrics"] = seen->second;
  return out;
}

}  // namespace

std::optional<Millis> time_left(const Run& run, std::size_t slots) {
  std::optional<Millis> left;
  if (!run.wall_grant.is_unlimited()) left = run.wall_grant - run.wall_used;
  const budgets::Cost free = run.ledger.left();
  const auto at_once = static_cast<std::int64_t>(std::max<std::size_t>(1, slots));
  if (run.counts.trials_finished > 0) {
    const std::int64_t pace = run.ledger.settled().slot_time.count() / run.counts.trials_finished;
    if (!free.experiments.is_unlimited() && run.ledger.grant().experiments.count() > 0 &&
        !run.ledger.grant().experiments.is_unlimited()) {
      const core::Evaluation& evaluation = run.study.evaluation;
      const std::int64_t confirm =
          run.stage == core::Stage::confirming ? 0 : evaluation.confirm_top * evaluation.confirm_replicates;
      const std::int64_t trials = free.experiments.count() + static_cast<std::int64_t>(run.trials.size()) + confirm;
      const Millis by_count = Millis::of(trials * pace / at_once);
      left = left ? std::min(*left, by_count) : by_count;
    }
    if (!run.ledger.grant().slot_time.is_unlimited()) {
      const Millis by_slots = Millis::of(std::max<std::int64_t>(0, free.slot_time.count()) / at_once);
      left = left ? std::min(*left, by_slots) : by_slots;
    }
  }
  if (left && *left < Millis{}) left = Millis{};
  return left;
}

json view_of(const Run& run, std::size_t slots, const std::optional<ViewTime>& time) {
  json out{{"run", run.id.text},
           {"study", run.study.name},
           {"stage", std::string(core::name_of(run.stage))},
           {"live", run.live},
           {"draining", run.draining},
           {"started_unix_ms", run.started.ms()},
           {"wall_used_ms", run.wall_used.count()},
           {"metric", run.study.objective.metric},
           {"direction", run.minimizes() ? "minimize" : "maximize"},
           {"budgets", budgets_of(run)},
           {"counts", counts_of(run)},
           {"proposers", proposers_of(run)},
           {"breakers", breakers_of(run)},
           {"queued", run.trials.size() - std::min(run.trials.size(), run.attempts.size())},
           {"running", run.attempts.size()},
           {"asks", run.asks.size()}};
  out.update(stops_of(run));
  if (!run.search_ended.empty()) out["search_ended"] = run.search_ended;
  const auto noise = noise_of(run);
  if (run.baseline) out["baseline"] = leader_json(*run.baseline, noise);
  out["leaders"] = json::array();
  for (const core::Leader& leader : run.leaders) out["leaders"].push_back(leader_json(leader, noise));
  if (!run.leaders.empty()) out["best"] = best_json(run, noise);
  if (time && run.live) {
    const auto left = time_left(run, slots);
    out["time_left_ms"] = left ? json(left->count()) : json(nullptr);
  }
  return out;
}

json view_of(const core::State& state, const ViewTime& time, const LiveMetrics& metrics) {
  json slots = json::array();
  for (const auto& [id, slot] : state.slots) {
    json one{{"slot", core::number(id)},
             {"class", slot.found.slot_class},
             {"cpus", slot.found.cpus},
             {"gpus", slot.found.gpus},
             {"usable", slot.usable}};
    if (!slot.usable) one["reason"] = slot.reason;
    for (const auto& [_, run] : state.runs) {
      for (const auto& [__, attempt] : run.attempts) {
        if (attempt.slot == id) one["attempt"] = attempt_json(run, attempt, time, metrics);
      }
    }
    slots.push_back(std::move(one));
  }
  json runs = json::array();
  for (const auto& [_, run] : state.runs) runs.push_back(view_of(run, state.slots.size(), time));
  json home{{"epoch", core::number(state.epoch)}, {"now_unix_ms", time.wall.ms()}};
  if (state.latch)
    home["latch"] = {{"by", state.latch->by}, {"path", state.latch->path}, {"reason", state.latch->reason}};
  return {{"home", home}, {"slots", slots}, {"runs", runs}};
}

json view_of(const core::Note& note) {
  return {{"run", note.run.text}, {"wall_unix_ms", note.wall.ms()}, {"kind", note.kind}, {"text", note.text}};
}

}  // namespace overnight::server
