#include "made.h"

#include <cmath>
#include <random>

namespace overnight::report {
namespace {

constexpr std::int64_t began = 1'795'000'000'000;  // unix ms

}  // namespace

Made::Made() {
  core::Run& run = data.run;
  core::Study& study = run.study;
  study.name = "tiny";
  study.owner = "the lab";
  study.purpose = "find a learning rate";
  study.objective = {"loss", core::Direction::minimize, 0.001};
  study.task.train.command = {"train"};
  study.task.seed.kind = core::SeedDelivery::Kind::env;
  study.task.seed.name = "SEED";
  study.baseline = {{"lr", 0.01}, {"kind", std::string("a")}, {"depth", std::int64_t{3}}};
  study.space.dimensions = {
      {"lr", core::FloatRange{1e-4, 1, core::Scale::log}, {}},
      {"depth", core::IntRange{1, 6, core::Scale::linear, 1}, {}},
      {"kind", core::Choice{{std::string("a"), std::string("b"), std::string("c")}}, {}},
  };
  study.proposers = {core::ProposerSpec{.kind = "tpe", .name = "tpe"},
                     core::ProposerSpec{.kind = "llm", .name = "llm"}};
  run.id.text = "2026-11-24-tiny-7f3a2c";
  run.started = core::WallTime::at(began);
  run.proposers.resize(2);
  run.ledger = budgets::Ledger(budgets::Cost::unlimited());
  data.written = run.started;
  for (std::int64_t i = 1; i <= slots_; ++i)
    data.slots[core::SlotId{i}] = {core::SlotId{i}, "cpu", {static_cast<int>(i)}, {}};
}

core::ExperimentId Made::admit(core::Purpose purpose, const std::string& proposer, double lr, const std::string& kind) {
  core::ExperimentRecord record;
  record.experiment = core::ExperimentId{static_cast<std::int64_t>(data.experiments.size()) + 1};
  record.run = data.run.id;
  record.params = {{"lr", lr}, {"kind", kind}, {"depth", std::int64_t{3}}};
  record.proposer = proposer;
  record.purpose = purpose;
  record.status = "running";
  record.admitted = data.run.started;
  data.experiments.push_back(record);
  if (purpose == core::Purpose::search) {
    ++data.run.counts.admitted;
    for (std::size_t i = 0; i < data.run.study.proposers.size(); ++i) {
      if (data.run.study.proposers[i].name == proposer) ++data.run.proposers[i].admitted;
    }
  }
  return record.experiment;
}

core::TrialRecord& Made::trial(core::ExperimentId experiment, core::Purpose purpose, core::Cause cause) {
  core::SlotId slot{1};
  for (std::int64_t i = 1; i <= slots_; ++i) {
    if (free_at_[core::SlotId{i}] < free_at_[slot]) slot = core::SlotId{i};
  }
  core::AttemptRecord attempt;
  attempt.attempt = core::AttemptId{next_trial_};
  attempt.trial = core::TrialId{next_trial_};
  attempt.experiment = experiment;
  attempt.run = data.run.id;
  attempt.slot = slot;
  attempt.cause = cause;
  attempt.phase = core::Phase::train;
  attempt.launched = core::WallTime::at(began + free_at_[slot]);
  attempt.took = core::Millis::of(1000);
  attempt.gone = attempt.launched + attempt.took;
  free_at_[slot] += 1005;
  data.attempts.push_back(attempt);

  core::TrialRecord record;
  record.trial = core::TrialId{next_trial_++};
  record.last_attempt = attempt.attempt;
  record.experiment = experiment;
  record.run = data.run.id;
  record.purpose = purpose;
  record.seed = next_seed_++;
  record.cause = cause;
  record.phase = attempt.phase;
  record.used.slot_time = budgets::SlotMillis::of(1000);
  record.finished = attempt.gone;
  data.trials.push_back(record);
  data.written = attempt.gone;
  ++data.run.counts.trials_finished;
  data.run.wall_used = attempt.gone - data.run.started;
  return data.trials.back();
}

void Made::score(core::ExperimentId experiment, core::Purpose purpose, double score) {
  core::TrialRecord& record = trial(experiment, purpose, core::Cause::completed);
  record.phase = core::Phase::evaluate;
  record.score = score;
  record.metrics = {{"loss", score}};
  ++data.run.counts.scored;
  data.experiments[static_cast<std::size_t>(core::number(experiment)) - 1].status = "scored";
}

void Made::fail(core::ExperimentId experiment, core::Purpose purpose, core::Cause cause, const std::string& detail,
                const std::string& log_tail) {
  core::TrialRecord& record = trial(experiment, purpose, cause);
  record.detail = detail;
  data.attempts.back().detail = detail;
  data.attempts.back().log_tail = log_tail;
  ++data.run.counts.failed[cause];
  auto& status = data.experiments[static_cast<std::size_t>(core::number(experiment)) - 1].status;
  if (status != "scored") status = "failed";
}

void Made::end(core::EndKind kind, const std::string& reason) { data.run.end = core::End{kind, reason, data.written}; }

core::ExperimentId Made::baseline(std::initializer_list<double> scores) {
  const core::ExperimentId id = admit(core::Purpose::baseline, "baseline", 0.01);
  for (const double one : scores) score(id, core::Purpose::baseline, one);
  return id;
}

core::ExperimentId Made::found(double first, std::initializer_list<double> confirmed) {
  const core::ExperimentId id = admit(core::Purpose::search, "tpe", 0.03, "b");
  score(id, core::Purpose::search, first);
  for (const double one : confirmed) score(id, core::Purpose::confirm, one);
  return id;
}

ReportData night(std::int64_t trials, std::int64_t slots) {
  Made made;
  std::mt19937_64 random(7);
  std::normal_distribution<double> noise(0, 0.004);
  std::uniform_real_distribution<double> uniform(0, 1);
  made.baseline({0.31, 0.314, 0.308});
  struct Best {
    core::ExperimentId id;
    double mean, score;
  };
  std::vector<Best> best;
  for (std::int64_t i = 0; i < trials; ++i) {
    const bool llm = i % 4 == 3;
    const double focus = std::min(1.0, static_cast<double>(i) / static_cast<double>(trials) + 0.15);
    const double place = -1.7 + (uniform(random) - 0.5) * 4.4 * (1.05 - focus);
    const double lr = std::clamp(std::pow(10, place), 1e-4, 1.0);
    const char* kinds[] = {"a", "b", "c"};
    const std::size_t kind = uniform(random) < focus ? 1 : static_cast<std::size_t>(uniform(random) * 3);
    const auto id = made.admit(core::Purpose::search, llm ? "llm" : "tpe", lr, kinds[kind]);
    made.data.experiments.back().params["depth"] = std::int64_t{1} + static_cast<std::int64_t>(uniform(random) * 6);
    if (llm) made.data.experiments.back().hypothesis = "A larger step with less momentum keeps the early gain.";
    if (lr > 0.5 || uniform(random) < 0.04) {
      const bool memory = uniform(random) < 0.4;
      made.fail(id, core::Purpose::search, memory ? core::Cause::out_of_memory : core::Cause::bad_metric,
                memory ? "the memory limit of 2.0 GiB was reached" : "loss was reported as nan",
                "step 10 loss 2.31\nstep 20 loss 8.77\nstep 30 loss nan\n");
      continue;
    }
    const double mean = 0.24 + 0.03 * std::pow(std::log10(lr) + 1.7, 2) + (kind == 1 ? 0 : 0.02);
    const double score = mean + noise(random);
    made.score(id, core::Purpose::search, score);
    best.push_back({id, mean, score});
  }
  std::sort(best.begin(), best.end(), [](const Best& a, const Best& b) { return a.score < b.score; });
  for (std::size_t i = 0; i < std::min<std::size_t>(3, best.size()); ++i) {
    for (int k = 0; k < 3; ++k) made.score(best[i].id, core::Purpose::confirm, best[i].mean + noise(random));
  }
  // The same work, on as many slots as wanted, with lengths that differ.
  std::vector<std::int64_t> free_at(static_cast<std::size_t>(slots));
  core::Run& run = made.data.run;
  made.data.slots.clear();
  for (std::int64_t i = 1; i <= slots; ++i) made.data.slots[core::SlotId{i}] = {core::SlotId{i}, "cpu", {}, {}};
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < made.data.attempts.size(); ++i) {
    core::AttemptRecord& attempt = made.data.attempts[i];
    auto slot = std::min_element(free_at.begin(), free_at.end());
    const auto took = static_cast<std::int64_t>(
        attempt.cause == core::Cause::completed ? 55'000 + uniform(random) * 20'000 : 5'000 + uniform(random) * 30'000);
    attempt.slot = core::SlotId{slot - free_at.begin() + 1};
    attempt.launched = run.started + core::Millis::of(*slot);
    attempt.took = core::Millis::of(took);
    attempt.gone = attempt.launched + attempt.took;
    *slot += took + 40;
    sum += took;
    made.data.trials[i].finished = attempt.gone;
    made.data.trials[i].used.slot_time = budgets::SlotMillis::of(took);
    made.data.experiments[static_cast<std::size_t>(core::number(attempt.experiment)) - 1].admitted = attempt.launched;
  }
  const std::int64_t length = *std::max_element(free_at.begin(), free_at.end());
  made.data.written = run.started + core::Millis::of(length);
  run.wall_used = core::Millis::of(length);
  run.wall_grant = core::Millis::of(length + length / 10);
  budgets::Cost grant = budgets::Cost::unlimited();
  grant.slot_time = budgets::SlotMillis::of(sum + sum / 20);
  grant.experiments = budgets::Experiments::of(trials);
  grant.money = budgets::MicroUsd::of(20'000'000);
  run.ledger = budgets::Ledger(grant);
  budgets::Cost used;
  used.slot_time = budgets::SlotMillis::of(sum);
  used.experiments = budgets::Experiments::of(trials);
  used.money = budgets::MicroUsd::of(std::min<std::int64_t>(trials * 3100, 19'000'000));
  used.tokens = budgets::Tokens::of(trials * 900);
  if (const auto reserved = run.ledger.reserve(used)) run.ledger.settle(*reserved, used);
  run.proposers[0].asks = trials / 4;
  run.proposers[0].offered = trials;
  run.proposers[1].asks = trials / 8;
  run.proposers[1].offered = trials / 3;
  run.proposers[1].duplicates = trials / 20;
  run.proposers[1].used.money = used.money;
  run.proposers[1].used.tokens = used.tokens;
  made.end(core::EndKind::done, "the number of experiments is reached");
  const auto note = [&](std::int64_t at, const char* kind, const char* text) {
    made.data.notes.push_back({run.id, run.started + core::Millis::of(at), kind, text});
  };
  note(0, "stage", "run started: study tiny");
  note(length / 20, "stage", "the baseline is measured, the search begins");
  note(length / 2, "breaker", "crash_rate tripped (hold): 10 of the last 20 trials failed");
  note(length, "end", "done: the number of experiments is reached");
  return made.data;
}

ReportData hostile() {
  Made made;
  const std::string evil =
      "<script>alert(1)</script>\"><img src=x onerror=alert(2)> `code` [link](javascript:alert(3)) | \x1b[31m \xff\xfe "
      "\u202Egnp.exe";
  made.data.run.study.name = evil;
  made.data.run.study.owner = "=HYPERLINK(\"http://example.com\")";
  made.data.run.study.purpose = "</style></title></main>" + evil;
  made.data.run.study.objective.metric = "loss\"'><b>";
  made.data.run.study.task.env = {{"API_KEY", "hunter2-secret"}, {"MODE", "fast"}};
  made.data.run.study.webhook = "https://hooks.example.com/hunter2-secret";
  made.baseline({0.3, 0.31, 0.32});
  const auto id = made.admit(core::Purpose::search, "llm", 0.02, evil);
  made.data.experiments.back().hypothesis = "=cmd|' /C calc'!A0 " + evil;
  made.score(id, core::Purpose::search, 0.2);
  for (const double again : {0.2, 0.21, 0.22}) made.score(id, core::Purpose::confirm, again);
  const auto bad = made.admit(core::Purpose::search, evil, 0.9, "+1+1");
  made.fail(bad, core::Purpose::search, core::Cause::crash, "-2+3 " + evil, "```\n</pre>" + evil + "\nlast\r\n");
  made.data.notes.push_back({made.data.run.id, made.data.written, "breaker", evil});
  made.end(core::EndKind::done, evil);
  return made.data;
}

}  // namespace overnight::report
