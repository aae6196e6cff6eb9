// The sections `budgets`, `evaluation`, `governor`, `executor` and `notify`: how much, how sure, who says stop, where.
#include "orchestrator/study/sections.h"

namespace overnight::study {
namespace {

using budgets::TripLevel;
using Zero = Section::Zero;

template <typename Quantity>
auto setter(Quantity& out) {
  return [&out](std::int64_t count) { out = Quantity::of(count); };
}
auto plain(std::int64_t& out) {
  return [&out](std::int64_t count) { out = count; };
}

bool is_time_of_day(const std::string& text) {
  if (text.size() != 5 || text[2] != ':') return false;
  for (const std::size_t i : {0, 1, 3, 4}) {
    if (text[i] < '0' || text[i] > '9') return false;
  }
  return text.substr(0, 2) < "24" && text[3] < '6';
}

void read_run(Section& run, core::RunBudget& out) {
  run.quantity("wall", parse_duration, Zero::refused, setter(out.wall));
  if (run.text("until", out.until) && !is_time_of_day(out.until))
    run.error("until", shown(out.until) + " is no time of day; write one like \"07:30\"");
  run.quantity("slot_time", parse_duration, Zero::refused, setter(out.slot_time));
  run.quantity("gpu_time", parse_duration, Zero::refused, setter(out.gpu_time));
  run.quantity("experiments", parse_count, Zero::refused, setter(out.experiments));
  run.quantity("actions", parse_count, Zero::refused, setter(out.actions));
  run.quantity("llm_cost", parse_money, Zero::allowed, setter(out.llm_cost));
  run.quantity("llm_tokens", parse_count, Zero::allowed, setter(out.llm_tokens));
  run.quantity("disk", parse_bytes, Zero::refused, setter(out.disk));
  if (run.quantity("reserve", parse_percent, Zero::allowed, plain(out.reserve_percent)) && out.reserve_percent > 90)
    run.error("reserve", "leaves less than 10% for the search; lower it");
  run.finish();
}

void read_attempt(Section& attempt, core::AttemptLimits& out) {
  attempt.quantity("wall", parse_duration, Zero::refused, setter(out.wall));
  attempt.quantity("memory", parse_bytes, Zero::refused, setter(out.memory));
  attempt.quantity("disk", parse_bytes, Zero::refused, setter(out.disk));
  attempt.quantity("files", parse_count, Zero::refused, plain(out.files));
  attempt.quantity("free_floor", parse_bytes, Zero::allowed, setter(out.free_floor));
  attempt.quantity("log", parse_bytes, Zero::refused, setter(out.log));
  attempt.quantity("processes", parse_count, Zero::refused, plain(out.processes));
  attempt.not_yet("execs", "a limit on the number of execs is");
  attempt.not_yet("connections", "a limit on connections is");
  attempt.finish();
}

void read_level(Section& section, TripLevel& level) {
  std::string word;
  if (section.choice("level", word, {"note", "throttle", "hold", "drain", "kill", "lock"}))
    level = *budgets::trip_level_named(word);
}

// `stagnation: 40`, or {count: 40, level: note}. 0 switches the breaker off.
void read_counting(Section& breakers, const std::string& name, std::int64_t& count, TripLevel& level) {
  constexpr std::int64_t most = 1'000'000;
  const Node* node = breakers.take(name);
  if (node == nullptr) return;
  if (!node->is_mapping()) {
    breakers.whole(name, count, 0, most);
    return;
  }
  auto section = breakers.section(name);
  section->whole("count", count, 0, most);
  read_level(*section, level);
  section->finish();
}

// A count within a window: {count: 3, window: 5, level: hold}.
void read_not_finite(Section& breakers, budgets::BreakerSettings& out) {
  const Node* node = breakers.take("not_finite");
  if (node == nullptr) return;
  if (!node->is_mapping()) {
    breakers.whole("not_finite", out.not_finite_count, 0, 1000);
  } else {
    auto section = breakers.section("not_finite");
    section->whole("count", out.not_finite_count, 0, 1000);
    section->whole("window", out.not_finite_window, 1, 1000);
    read_level(*section, out.on_not_finite);
    section->finish();
  }
  if (out.not_finite_count > out.not_finite_window)
    breakers.error("not_finite", "count is above window (" + std::to_string(out.not_finite_window) +
                                     "): it would never trip; write {count: 3, window: 5}");
}

// {percent: 50, window: 20, minimum: 10, level: hold}, or the percentage alone.
void read_crash_rate(Section& breakers, budgets::BreakerSettings& out) {
  const Node* node = breakers.take("crash_rate");
  if (node == nullptr) return;
  const auto percent = plain(out.crash_rate_percent);
  if (!node->is_mapping()) {
    breakers.quantity("crash_rate", parse_percent, Zero::allowed, percent);
    return;
  }
  auto section = breakers.section("crash_rate");
  section->quantity("percent", parse_percent, Zero::allowed, percent);
  section->whole("window", out.crash_rate_window, 1, 1000);
  section->whole("minimum", out.crash_rate_minimum, 1, 1000);
  read_level(*section, out.on_crash_rate);
  section->finish();
  if (out.crash_rate_minimum > out.crash_rate_window)
    breakers.error("crash_rate", "minimum is above window: it would never trip; lower minimum");
}

}  // namespace

void read_budgets(Section& study, core::Study& out) {
  auto section = study.section("budgets");
  if (!section) return;
  if (auto run = section->section("run")) read_run(*run, out.run_budget);
  if (auto experiment = section->section("experiment")) {
    experiment->quantity("slot_time", parse_duration, Zero::refused, setter(out.experiment_budget.slot_time));
    experiment->finish();
  }
  if (auto attempt = section->section("attempt")) read_attempt(*attempt, out.attempt);
  section->finish();
}

void read_evaluation(Section& study, core::Study& out) {
  auto evaluation = study.section("evaluation");
  if (!evaluation) return;
  evaluation->whole("baseline_replicates", out.evaluation.baseline_replicates, 0, 100);
  evaluation->whole("confirm_replicates", out.evaluation.confirm_replicates, 0, 100);
  evaluation->whole("confirm_top", out.evaluation.confirm_top, 0, 16);
  evaluation->not_yet("holdout", "scoring on the hidden hold-out is");
  evaluation->finish();
}

void read_governor(Section& study, core::Study& out) {
  auto governor = study.section("governor");
  if (!governor) return;
  if (auto breakers = governor->section("breakers")) {
    budgets::BreakerSettings& s = out.governor.breakers;
    read_counting(*breakers, "consecutive_crashes", s.consecutive_crashes, s.on_consecutive_crashes);
    read_counting(*breakers, "stagnation", s.stagnation_experiments, s.on_stagnation);
    read_counting(*breakers, "proposer_faults", s.proposer_faults, s.on_proposer_faults);
    read_not_finite(*breakers, s);
    read_crash_rate(*breakers, s);
    breakers->finish();
  }
  governor->quantity("hold_patience", parse_duration, Zero::refused, setter(out.governor.hold_patience));
  governor->not_yet("approvals", "approvals are");
  governor->not_yet("operator_heartbeat", "the operator's heartbeat is");
  governor->finish();
}

void read_executor(Section& study, core::Study& out) {
  auto executor = study.section("executor");
  if (!executor) return;
  if (executor->text("kind", out.executor.kind) && out.executor.kind != "local") {
    const bool planned = out.executor.kind == "kubernetes" || out.executor.kind == "slurm";
    executor->error("kind", shown(out.executor.kind) + (planned ? " is not available yet in this version; local is"
                                                                : " is no kind of executor; write local"));
  }
  const Node* slots = executor->take("slots");
  if (slots != nullptr && slots->text != "auto") executor->whole("slots", out.executor.slots, 1, 4096);
  executor->finish();
}

void read_notify(Section& study, core::Study& out) {
  auto notify = study.section("notify");
  if (!notify) return;
  if (notify->text("webhook", out.webhook) && !out.webhook.starts_with("http://") &&
      !out.webhook.starts_with("https://"))
    notify->error("webhook", shown(out.webhook) + " is no address; it begins with http:// or https://");
  notify->finish();
}

}  // namespace overnight::study
