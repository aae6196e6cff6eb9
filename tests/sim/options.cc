#include "tests/sim/options.h"

namespace overnight::sim {
namespace {

using core::Millis;
using fakes::chance;
using fakes::Random;
using fakes::up_to;

void draw_task(Random& random, core::Study& study) {
  study.task.train.command = {"train"};
  study.task.train.timeout = Millis::of(200 + up_to(random, 5000));
  study.task.gpus = up_to(random, 2);
  study.task.retries = {.crash = up_to(random, 2),
                        .infrastructure = up_to(random, 3),
                        .timeout = up_to(random, 1),
                        .out_of_memory = up_to(random, 1),
                        .backoff = Millis::of(up_to(random, 3000))};
  study.task.artifacts = {.champion = chance(random, 50), .top = up_to(random, 3), .all = chance(random, 10)};
  study.attempt.disk = budgets::Bytes::of(100);
}

void draw_budgets(Random& random, core::Study& study, Millis longest) {
  core::RunBudget& run = study.run_budget;
  const std::int64_t worst = core::worst_case_wall(study).count() + 2000;
  run.experiments = budgets::Experiments::of(1 + up_to(random, 25));
  if (chance(random, 60)) run.wall = Millis::of(worst / 2 + up_to(random, 40 * worst));
  // Not where tasks are so short that thousands fit into the time: such a run ends, but after more turns than are
  // waited for.
  if (run.wall < longest * 200 && chance(random, 30)) run.experiments = budgets::Experiments::unlimited();
  if (chance(random, 40)) run.slot_time = budgets::SlotMillis::of(worst / 2 + up_to(random, 30 * worst));
  if (chance(random, 20)) run.gpu_time = budgets::GpuMillis::of(worst / 2 + up_to(random, 60 * worst));
  if (chance(random, 25)) run.actions = budgets::Actions::of(up_to(random, 40));
  if (chance(random, 25)) run.llm_tokens = budgets::Tokens::of(up_to(random, 3000));
  if (chance(random, 25)) run.llm_cost = budgets::MicroUsd::of(up_to(random, 3000));
  if (chance(random, 30)) run.disk = budgets::Bytes::of(80 + up_to(random, 600));
  if (chance(random, 20))
    study.experiment_budget.slot_time = budgets::SlotMillis::of(worst / 2 + up_to(random, 5 * worst));
  run.reserve_percent = up_to(random, 40);
}

void draw_governor(Random& random, core::Study& study) {
  auto& breakers = study.governor.breakers;
  breakers.consecutive_crashes = up_to(random, 5);
  breakers.crash_rate_percent = chance(random, 50) ? 0 : 50;
  breakers.not_finite_count = up_to(random, 3);
  breakers.stagnation_experiments = up_to(random, 10);
  breakers.proposer_faults = up_to(random, 5);
  const auto level = [&] {
    const int die = static_cast<int>(random() % 10);
    return die < 6   ? budgets::TripLevel::hold
           : die < 7 ? budgets::TripLevel::note
           : die < 8 ? budgets::TripLevel::drain
                     : budgets::TripLevel::kill;
  };
  breakers.on_consecutive_crashes = level();
  breakers.on_crash_rate = level();
  breakers.on_not_finite = level();
  breakers.on_stagnation = chance(random, 80) ? budgets::TripLevel::note : level();
  study.governor.hold_patience = Millis::of(up_to(random, 60'000));
}

core::Study draw_study(Random& random, std::size_t index, Millis longest) {
  core::Study study;
  study.name = "study-" + std::to_string(index);
  study.seed = static_cast<std::int64_t>(index) + 1;
  study.objective = {"loss", chance(random, 50) ? core::Direction::minimize : core::Direction::maximize,
                     chance(random, 50) ? 0.05 : 0.0};
  if (chance(random, 90)) study.baseline = {{"x", 0.5}};
  study.space.dimensions.push_back({"x", core::FloatRange{0, 1, core::Scale::linear}, {}});
  for (std::int64_t i = 0; i <= up_to(random, 1); ++i)
    study.proposers.push_back(
        {.kind = "fake", .name = "fake-" + std::to_string(i), .share = 1 + static_cast<double>(i)});
  study.evaluation = {
      .baseline_replicates = up_to(random, 3), .confirm_replicates = up_to(random, 3), .confirm_top = up_to(random, 3)};
  draw_task(random, study);
  draw_budgets(random, study, longest);
  draw_governor(random, study);
  return study;
}

// Zero in half of the seeds, so that each fault is also seen alone.
int now_and_then(Random& random, int most) { return chance(random, 50) ? 0 : static_cast<int>(up_to(random, most)); }

}  // namespace

Options draw(std::uint64_t seed) {
  Random random(seed);
  Options options;
  options.seed = seed;
  options.slots = 1 + up_to(random, 3);
  options.longest_ms = 1 + up_to(random, 4000);
  for (std::int64_t i = 0; i <= up_to(random, 2); ++i) {
    options.studies.push_back(draw_study(random, options.studies.size(), Millis::of(options.longest_ms)));
    options.ask_worst_case.push_back(
        {.money = budgets::MicroUsd::of(up_to(random, 300)), .tokens = budgets::Tokens::of(up_to(random, 300))});
  }
  options.faults = {.fail = now_and_then(random, 70),
                    .lose = now_and_then(random, 30),
                    .duplicate = now_and_then(random, 30),
                    .vanish = now_and_then(random, 20),
                    .deaf = now_and_then(random, 50),
                    .stubborn = now_and_then(random, 40),
                    .disturbed = now_and_then(random, 30),
                    .orphan = now_and_then(random, 60),
                    .late_ms = chance(random, 50) ? 0 : up_to(random, 500),
                    .stubborn_ms = up_to(random, 90'000),
                    .orphan_ms = up_to(random, 30'000)};
  options.moods = {.fail = now_and_then(random, 60),
                   .garbage = now_and_then(random, 50),
                   .repeat = now_and_then(random, 50),
                   .exhaust = now_and_then(random, 10),
                   .cost_unknown = now_and_then(random, 20),
                   .overspend = now_and_then(random, 10),
                   .points = chance(random, 30) ? 1 + up_to(random, 20) : 1'000'000};
  options.ask_ms = chance(random, 50) ? 0 : up_to(random, 10'000);
  options.hang = now_and_then(random, 10);
  options.not_finite = now_and_then(random, 30);
  options.crashes = now_and_then(random, 60);
  options.operators = now_and_then(random, 8);
  options.slot_trouble = now_and_then(random, 5);
  options.turns = 50 + up_to(random, 300);
  return options;
}

}  // namespace overnight::sim
