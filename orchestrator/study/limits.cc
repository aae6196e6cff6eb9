// The sections `budgets`, `evaluation`, `governor` and `executor`: how much, how sure, who says stop, where.
#include "orchestrator/study/quantities.h"
#include "orchestrator/study/sections.h"

namespace overnight::study {
namespace {

using budgets::TripLevel;

template <typename Quantity>
auto setter(Quantity& out) {
  return [&out](std::int64_t count) { out = Quantity::of(count); };
}

void read_run(Section run, core::RunBudget& out) {
  run.quantity("wall", parse_duration, "8h", setter(out.wall));
  if (run.text("until", out.until)) {
    const bool good = out.until.size() == 5 && out.until[2] == ':' &&
                      parse_count(out.until.substr(0, 2)).value_or(99) < 24 &&
                      parse_count(out.until.substr(3)).value_or(99) < 60;
    if (!good) run.error("until", "\"" + out.until + "\" is not a time of day like \"07:30\"");
  }
  run.quantity("slot_time", parse_duration, "16h", setter(out.slot_time));
  run.quantity("gpu_time", parse_duration, "16h", setter(out.gpu_time));
  run.quantity("experiments", parse_count, "200", setter(out.experiments));
  run.quantity("actions", parse_count, "20k", setter(out.actions));
  run.quantity("llm_cost", parse_money, "$20", setter(out.llm_cost));
  run.quantity("llm_tokens", parse_count, "20M", setter(out.llm_tokens));
  run.quantity("disk", parse_bytes, "100GiB", setter(out.disk));
  run.quantity("reserve", parse_percent, "10%", [&](std::int64_t percent) { out.reserve_percent = percent; });
  run.finish();
}

void read_attempt(Section attempt, core::AttemptLimits& out) {
  attempt.quantity("wall", parse_duration, "10m", setter(out.wall));
  attempt.quantity("memory", parse_bytes, "64GiB", setter(out.memory));
  attempt.quantity("disk", parse_bytes, "10GiB", setter(out.disk));
  attempt.quantity("files", parse_count, "100k", [&](std::int64_t count) { out.files = count; });
  attempt.quantity("free_floor", parse_bytes, "1GiB", setter(out.free_floor));
  attempt.quantity("log", parse_bytes, "64MiB", setter(out.log));
  attempt.quantity("processes", parse_count, "512", [&](std::int64_t count) { out.processes = count; });
  attempt.not_yet("execs", "a limit on the number of execs");
  attempt.not_yet("connections", "a limit on connections");
  attempt.finish();
}

// A number alone, or {count: 5, level: hold}; 0 switches the breaker off.
void read_breaker(Section& breakers, const std::string& name, std::int64_t& count, TripLevel& level) {
  const auto node = breakers.take(name);
  if (!node) return;
  if (node->IsScalar()) {
    breakers.whole(name, count, 0, 1'000'000);
    return;
  }
  auto section = breakers.section(name);
  if (!section) return;
  section->whole("count", count, 0, 1'000'000);
  std::string word;
  if (section->text("level", word)) {
    const auto named = budgets::trip_level_named(word);
    if (named) {
      level = *named;
    } else {
      section->error("level", "\"" + word + "\" is not one of note, throttle, hold, drain, kill, lock");
    }
  }
  section->finish();
}

}  // namespace

void read_budgets(Section& study, core::Study& out) {
  auto budgets_section = study.section("budgets");
  if (!budgets_section) return;
  if (auto run = budgets_section->section("run")) read_run(std::move(*run), out.run_budget);
  if (auto experiment = budgets_section->section("experiment")) {
    experiment->quantity("slot_time", parse_duration, "1h", setter(out.experiment_budget.slot_time));
    experiment->finish();
  }
  if (auto attempt = budgets_section->section("attempt")) read_attempt(std::move(*attempt), out.attempt);
  budgets_section->finish();
}

void read_evaluation(Section& study, core::Study& out) {
  auto evaluation = study.section("evaluation");
  if (!evaluation) return;
  evaluation->whole("baseline_replicates", out.evaluation.baseline_replicates, 0, 100);
  evaluation->whole("confirm_replicates", out.evaluation.confirm_replicates, 0, 100);
  evaluation->whole("confirm_top", out.evaluation.confirm_top, 0, 16);
  evaluation->not_yet("holdout", "scoring on the hidden hold-out");
  evaluation->finish();
}

void read_governor(Section& study, core::Study& out) {
  auto governor = study.section("governor");
  if (!governor) return;
  if (auto breakers = governor->section("breakers")) {
    budgets::BreakerSettings& s = out.governor.breakers;
    read_breaker(*breakers, "consecutive_crashes", s.consecutive_crashes, s.on_consecutive_crashes);
    read_breaker(*breakers, "not_finite", s.not_finite_count, s.on_not_finite);
    read_breaker(*breakers, "stagnation", s.stagnation_experiments, s.on_stagnation);
    read_breaker(*breakers, "proposer_faults", s.proposer_faults, s.on_proposer_faults);
    read_breaker(*breakers, "crash_rate", s.crash_rate_percent, s.on_crash_rate);
    breakers->whole("crash_rate_window", s.crash_rate_window, 1, 1000);
    breakers->whole("crash_rate_minimum", s.crash_rate_minimum, 1, 1000);
    breakers->finish();
  }
  governor->quantity("hold_patience", parse_duration, "4h", setter(out.governor.hold_patience));
  governor->not_yet("approvals", "approvals");
  governor->not_yet("operator_heartbeat", "the operator's heartbeat");
  governor->finish();
}

void read_executor(Section& study, core::Study& out) {
  if (auto executor = study.section("executor")) {
    executor->text("kind", out.executor.kind);
    if (out.executor.kind != "local")
      executor->error("kind", "\"" + out.executor.kind + "\" is not available yet in this version; local is");
    std::string slots;
    if (executor->text("slots", slots) && slots != "auto") {
      const auto count = parse_count(slots);
      if (!count || *count < 1 || *count > 4096) {
        executor->error("slots", "\"" + slots + "\" is neither auto nor a number from 1 to 4096");
      } else {
        out.executor.slots = *count;
      }
    }
    executor->finish();
  }
  if (auto notify = study.section("notify")) {
    notify->text("webhook", out.webhook);
    if (!out.webhook.empty() && !out.webhook.starts_with("http://") && !out.webhook.starts_with("https://"))
      notify->error("webhook", "must be an http or https address");
    notify->finish();
  }
}

}  // namespace overnight::study
