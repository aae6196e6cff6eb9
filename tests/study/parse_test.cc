#include <gtest/gtest.h>

#include <csignal>

#include "tests/study/studies.h"

namespace overnight::study {
namespace {

using core::ParamValue;

const std::string everything = R"yaml(study: tiny-lm
owner: A team
purpose: To see what the parser takes.
seed: 7
objective: {metric: val_bpb, direction: maximize, minimum_effect: 0.002,
            tradeoffs: {train_seconds: minimize, tokens_per_second: maximize}}
task:
  workspace: {path: sub/../code}
  build: {command: make -j2 "all of it", timeout: 2m}
  train:
    command: ["./train", "{experiment}", "{p.learning_rate}", "{seed}", "{{literal}}", "{params}"]
    budget: 20s
    timeout: 1m
    stop: {signal: SIGINT, grace: 3s}
    metrics: {loss: "^loss ([0-9.]+)"}
  evaluate: {command: [overnight-eval, "{artifacts}"], timeout: 60s, metrics: {val_bpb: '^val_bpb:\s+([0-9.]+)'},
             private: {validation: data/valid, holdout: /data/holdout}}
  seed: {replace: {file: train.cfg, pattern: "seed=([0-9]+)"}}
  env: {OMP_NUM_THREADS: 1, MODE: "3"}
  env_pass: [PATH, VIRTUAL_ENV]
  mounts: [data, /data/shared]
  secrets: [{name: HF_TOKEN, phase: train}]
  resources: {gpus: 1, cpus: 4}
  artifacts: {keep: [top 3]}
  retries: {crash: 2, infrastructure: 4, timeout: 1, out_of_memory: 1, backoff: 1s}
baseline: {learning_rate: 3e-3, depth: 4, mixer: attention}
space:
  learning_rate: {type: float, low: 1e-4, high: 3e-2, scale: log}
  depth: {type: int, low: 2, high: 6, step: 2}
  mixer: {type: choice, values: [attention, mamba2, mamba3]}
  state_size: {type: int, low: 16, high: 128, scale: log, when: {mixer: [mamba2, mamba3]}}
proposers:
  - {kind: tpe, share: 0.7, startup: 8, candidates: 32, gamma: 0.2}
  - {kind: grid, points_per_dimension: 4}
  - {kind: list, points: [{learning_rate: 0.01, depth: 2, mixer: mamba2, state_size: 32}]}
  - {kind: command, command: ["./ask.sh", one], timeout: 30s}
  - {kind: sobol}
  - {kind: llm, name: local, share: 0.3, base_url: "http://localhost:8080/v1", model: m, api_key_env: KEY,
     max_tokens: 4k, temperature: 0.5, timeout: 1m, brief: "Small models.", batch: 4, price: free}
budgets:
  run: {wall: 8h, until: "07:30", slot_time: 128h, gpu_time: 64h, experiments: 2k, actions: 20k, llm_cost: $20,
        llm_tokens: 20M, disk: 100GiB, reserve: 15%}
  experiment: {slot_time: 1h}
  attempt: {wall: 10m, memory: 64GiB, disk: 5GiB, files: 50k, free_floor: 2GiB, log: 32MiB, processes: 64}
executor: {kind: local, slots: 2}
evaluation: {baseline_replicates: 2, confirm_replicates: 5, confirm_top: 4}
governor:
  hold_patience: 30m
  breakers:
    consecutive_crashes: {count: 4, level: drain}
    crash_rate: {percent: 40, window: 30, minimum: 12, level: kill}
    not_finite: {count: 2, window: 6, level: note}
    stagnation: 50
    proposer_faults: {count: 3, level: throttle}
notify: {webhook: "https://example.org/hook"}
)yaml";

core::Study study_of(const std::string& text, const std::string& file = "/tmp/study.yaml") {
  auto parsed = parse_study(text, file);
  EXPECT_TRUE(parsed) << words_of(parsed ? std::vector<StudyError>{} : parsed.error());
  return parsed ? parsed->study : core::Study{};
}

TEST(Parse, ReadsWhatTheTaskIsAndMayUse) {
  const core::Study study = study_of(everything);
  const core::Task& task = study.task;
  EXPECT_EQ(study.name, "tiny-lm");
  EXPECT_EQ(study.owner, "A team");
  EXPECT_EQ(study.purpose, "To see what the parser takes.");
  EXPECT_EQ(study.seed, 7);
  EXPECT_EQ(study.objective, (core::Objective{"val_bpb",
                                              core::Direction::maximize,
                                              0.002,
                                              {{"train_seconds", core::Direction::minimize},
                                               {"tokens_per_second", core::Direction::maximize}}}));
  EXPECT_EQ(task.workspace, "/tmp/code");
  EXPECT_EQ(task.build->command, (std::vector<std::string>{"make", "-j2", "all of it"}));
  EXPECT_EQ(task.build->timeout, core::seconds(120));
  EXPECT_EQ(task.train.command.size(), 6u);
  EXPECT_EQ(task.train.budget, core::seconds(20));
  EXPECT_EQ(task.train.timeout, core::seconds(60));
  EXPECT_EQ(task.train.stop_signal, SIGINT);
  EXPECT_EQ(task.train.grace, core::seconds(3));
  EXPECT_EQ(task.train.metrics.at("loss"), "^loss ([0-9.]+)");
  EXPECT_EQ(task.evaluate->metrics.at("val_bpb"), R"(^val_bpb:\s+([0-9.]+))");
  EXPECT_EQ(task.validation_data, "/tmp/data/valid");
  EXPECT_EQ(task.holdout_data, "/data/holdout");
  EXPECT_EQ(task.seed, (core::SeedDelivery{core::SeedDelivery::Kind::replace, "train.cfg", "seed=([0-9]+)"}));
  EXPECT_EQ(task.env, (std::map<std::string, std::string>{{"MODE", "3"}, {"OMP_NUM_THREADS", "1"}}));
  EXPECT_EQ(task.env_pass, (std::vector<std::string>{"PATH", "VIRTUAL_ENV"}));
  EXPECT_EQ(task.mounts, (std::vector<std::string>{"/tmp/data", "/data/shared"}));
  EXPECT_EQ(task.secrets, (std::vector<core::Secret>{{"HF_TOKEN", "train"}}));
  EXPECT_EQ(task.gpus, 1);
  EXPECT_EQ(task.cpus, 4);
  EXPECT_EQ(task.artifacts, (core::ArtifactPolicy{false, 3, false}));
  EXPECT_EQ(task.retries, (core::RetryPolicy{2, 4, 1, 1, core::seconds(1)}));
}

TEST(Parse, ReadsTheSpaceWithItsConditionsInTheOrderOfTheFile) {
  const core::Study study = study_of(everything);
  ASSERT_EQ(study.space.dimensions.size(), 4u);
  EXPECT_EQ(study.space.dimensions[0].domain,
            decltype(core::Dimension::domain)(core::FloatRange{1e-4, 3e-2, core::Scale::log}));
  EXPECT_EQ(study.space.dimensions[1].domain,
            decltype(core::Dimension::domain)(core::IntRange{2, 6, core::Scale::linear, 2}));
  EXPECT_EQ(study.space.dimensions[3].when.at("mixer"),
            (std::vector<ParamValue>{std::string("mamba2"), std::string("mamba3")}));
  EXPECT_EQ(study.baseline,
            (core::Params{{"depth", std::int64_t{4}}, {"learning_rate", 3e-3}, {"mixer", std::string("attention")}}));
}

TEST(Parse, ReadsProposersWithTheirSettingsInOneForm) {
  const auto proposers = study_of(everything).proposers;
  ASSERT_EQ(proposers.size(), 6u);
  EXPECT_EQ(proposers[0].share, 0.7);
  EXPECT_EQ(proposers[0].settings,
            (std::map<std::string, std::string>{{"candidates", "32"}, {"gamma", "0.2"}, {"startup", "8"}}));
  EXPECT_EQ(proposers[1].settings.at("points_per_dimension"), "4");
  EXPECT_EQ(proposers[2].points.at(0).at("state_size"), ParamValue(std::int64_t{32}));
  EXPECT_EQ(proposers[3].command, (std::vector<std::string>{"/tmp/ask.sh", "one"}));
  EXPECT_EQ(proposers[3].settings.at("timeout_ms"), "30000");
  EXPECT_EQ(proposers[4].name, "sobol");
  EXPECT_EQ(proposers[5].name, "local");
  EXPECT_EQ(proposers[5].settings, (std::map<std::string, std::string>{{"api_key_env", "KEY"},
                                                                       {"base_url", "http://localhost:8080/v1"},
                                                                       {"batch", "4"},
                                                                       {"brief", "Small models."},
                                                                       {"max_tokens", "4000"},
                                                                       {"model", "m"},
                                                                       {"price", "free"},
                                                                       {"provider", "openai"},
                                                                       {"temperature", "0.5"},
                                                                       {"timeout_ms", "60000"}}));
}

TEST(Parse, ReadsBudgetsEvaluationGovernorExecutorAndWebhook) {
  const core::Study study = study_of(everything);
  const core::RunBudget& run = study.run_budget;
  EXPECT_EQ(run.wall, core::seconds(8 * 3600));
  EXPECT_EQ(run.until, "07:30");
  EXPECT_EQ(run.slot_time.count(), 128 * 3'600'000);
  EXPECT_EQ(run.gpu_time.count(), 64 * 3'600'000);
  EXPECT_EQ(run.experiments.count(), 2000);
  EXPECT_EQ(run.actions.count(), 20'000);
  EXPECT_EQ(run.llm_cost.count(), 20'000'000);
  EXPECT_EQ(run.llm_tokens.count(), 20'000'000);
  EXPECT_EQ(run.disk.count(), std::int64_t{100} << 30);
  EXPECT_EQ(run.reserve_percent, 15);
  EXPECT_EQ(study.experiment_budget.slot_time.count(), 3'600'000);
  EXPECT_EQ(study.attempt, (core::AttemptLimits{core::seconds(600), budgets::Bytes::of(std::int64_t{64} << 30),
                                                budgets::Bytes::of(std::int64_t{5} << 30), 50'000,
                                                budgets::Bytes::of(std::int64_t{2} << 30),
                                                budgets::Bytes::of(std::int64_t{32} << 20), 64}));
  EXPECT_EQ(study.executor, (core::ExecutorSpec{"local", 2}));
  EXPECT_EQ(study.evaluation, (core::Evaluation{2, 5, 4}));
  EXPECT_EQ(study.governor.hold_patience, core::seconds(1800));
  const budgets::BreakerSettings& s = study.governor.breakers;
  EXPECT_EQ(std::pair(s.consecutive_crashes, s.on_consecutive_crashes),
            std::pair(std::int64_t{4}, budgets::TripLevel::drain));
  EXPECT_EQ(std::tuple(s.crash_rate_percent, s.crash_rate_window, s.crash_rate_minimum, s.on_crash_rate),
            std::tuple(40, 30, 12, budgets::TripLevel::kill));
  EXPECT_EQ(std::tuple(s.not_finite_count, s.not_finite_window, s.on_not_finite),
            std::tuple(2, 6, budgets::TripLevel::note));
  EXPECT_EQ(std::pair(s.stagnation_experiments, s.on_stagnation),
            std::pair(std::int64_t{50}, budgets::TripLevel::note));
  EXPECT_EQ(std::pair(s.proposer_faults, s.on_proposer_faults),
            std::pair(std::int64_t{3}, budgets::TripLevel::throttle));
  EXPECT_EQ(study.webhook, "https://example.org/hook");
}

TEST(Parse, LeavesDefaultsWhereTheStudySaysNothing) {
  const core::Study study = study_of(least);
  EXPECT_EQ(study.attempt, core::AttemptLimits{});
  EXPECT_EQ(study.evaluation, core::Evaluation{});
  EXPECT_EQ(study.governor, core::GovernorSpec{});
  EXPECT_EQ(study.executor, core::ExecutorSpec{});
  EXPECT_EQ(study.task.retries, core::RetryPolicy{});
  EXPECT_EQ(study.task.artifacts, core::ArtifactPolicy{});
}

TEST(Parse, TheLeastStudyHasNoWarning) {
  const auto parsed = parse_study(least, "/tmp/study.yaml");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(words_of(parsed->warnings), "");
}

TEST(Parse, AttemptWallLeftOpenFollowsThePhases) {
  auto parsed = parse_study(least, "s.yaml", {"task.train.timeout=3h"});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->study.attempt.wall, core::seconds(3 * 3600 + 10));
}

TEST(Parse, QuotedScalarsAreTextsAndPlainOnesAreWhatTheyLookLike) {
  const core::Study study = study_of(least);
  EXPECT_EQ(study.baseline.at("x"), ParamValue(0.5));
  auto parsed =
      parse_study(least, "s.yaml", {"space.c={type: choice, values: [1, 2.5, true, \"7\", yes]}", "baseline.c=\"7\""});
  ASSERT_TRUE(parsed) << words_of(parsed.error());
  EXPECT_EQ(std::get<core::Choice>(parsed->study.space.find("c")->domain).values,
            (std::vector<ParamValue>{std::int64_t{1}, 2.5, true, std::string("7"), std::string("yes")}));
}

TEST(Parse, AStringCommandIsSplitAsAShellWouldButExpandsNothing) {
  auto parsed = parse_study(least, "s.yaml", {R"(task.train.command="sh -c 'echo $HOME; a b' \"c \\\\ d\" e\\ f ''")"});
  ASSERT_TRUE(parsed) << words_of(parsed.error());
  EXPECT_EQ(parsed->study.task.train.command,
            (std::vector<std::string>{"sh", "-c", "echo $HOME; a b", "c \\ d", "e f", ""}));
}

TEST(Parse, RelativePathsBeginAtTheStudysFolder) {
  auto parsed = parse_study(least, "/srv/studies/a.yaml", {"task.workspace=../code"});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->study.task.workspace, "/srv/code");
}

TEST(Parse, PutsTheStudysFolderForItsName) {
  auto parsed = parse_study(least, "/srv/{a}/s.yaml",
                            {R"(task.train.command=["{study}/run", "--x={study}", "{{study}}"])",
                             "task.env={DATA: \"{study}/data {seed}\"}"});
  ASSERT_TRUE(parsed) << words_of(parsed.error());
  EXPECT_EQ(parsed->study.task.train.command,
            (std::vector<std::string>{"/srv/{{a}}/run", "--x=/srv/{{a}}", "{{study}}"}));
  EXPECT_EQ(parsed->study.task.env.at("DATA"), "/srv/{a}/data {seed}");
}

TEST(Override, WithoutAValueTakesTheKeyAway) {
  auto parsed = parse_study(least, "s.yaml", {"task.seed=", "budgets.run.wall="});
  ASSERT_TRUE(parsed) << words_of(parsed.error());
  EXPECT_EQ(parsed->study.task.seed.kind, core::SeedDelivery::Kind::none);
}

TEST(Override, ReplacesAddsAndReachesIntoLists) {
  auto parsed = parse_study(least, "s.yaml",
                            {"budgets.run.wall=1h", "budgets.run.experiments=3", "proposers.0.share=2", "owner=me",
                             "proposers.0={kind: sobol, share: 3}"});
  ASSERT_TRUE(parsed) << words_of(parsed.error());
  EXPECT_EQ(parsed->study.run_budget.wall, core::seconds(3600));
  EXPECT_EQ(parsed->study.run_budget.experiments.count(), 3);
  EXPECT_EQ(parsed->study.owner, "me");
  EXPECT_EQ(parsed->study.proposers[0].kind, "sobol");
  EXPECT_EQ(parsed->study.proposers[0].share, 3);
}

TEST(Override, ErrorsPointAtTheOverride) {
  EXPECT_EQ(
      words_of(errors_of(least, {"budgets.run.wall=20"})),
      "--set budgets.run.wall=20: budgets.run.wall: \"20\" has no unit; write a time like 500ms, 20s, 10m, 8h, 2d "
      "or 1h30m\n");
  EXPECT_EQ(words_of(errors_of(least, {"budgets.run.wal=20s"})),
            "--set budgets.run.wal=20s: budgets.run.wal: is not a key here; did you mean \"wall\"?\n");
  EXPECT_EQ(words_of(errors_of(least, {"wall"})),
            "--set wall: is not of the form key=value, like budgets.run.wall=1h\n");
  EXPECT_EQ(words_of(errors_of(least, {"study.x=1"})),
            "--set study.x=1: study.x: there is nothing that \"x\" could name\n");
  EXPECT_EQ(words_of(errors_of(least, {"proposers.7.share=1"})),
            "--set proposers.7.share=1: proposers.7.share: there is nothing that \"7\" could name\n");
  EXPECT_NE(words_of(errors_of(least, {"owner=[a"})).find("--set owner=[a: owner: the value is not YAML"),
            std::string::npos);
  EXPECT_NE(words_of(errors_of(least, {"a..b=1"})).find("there is nothing that \"\" could name"), std::string::npos);
}

TEST(Site, HoldsWhatIsNotTheStudys) {
  Surroundings around{"executor: {slots: 4}\nnotify: {webhook: 'http://hook'}\ngovernor: {hold_patience: 1h}\n",
                      "site.yaml", nullptr};
  const auto parsed = parse_study(least, "s.yaml", {"executor.slots=1"}, around);
  ASSERT_TRUE(parsed) << words_of(parsed.error());
  EXPECT_EQ(parsed->study.executor.slots, 1);  // --set is the last word
  EXPECT_EQ(parsed->study.webhook, "http://hook");
  EXPECT_EQ(parsed->study.governor.hold_patience, core::seconds(3600));
}

TEST(Site, RefusesTheStudysKeysAndWhatBothSay) {
  Surroundings around{"executor: {slots: x}\nproposers: []\n", "site.yaml", nullptr};
  EXPECT_EQ(words_of(errors_of(least, {}, around)),
            "site.yaml:1:19: executor.slots: \"x\" is not a whole number from 1 to 4096\n"
            "site.yaml:2:1: proposers: belongs into a study; a site file holds executor, notify and governor\n");
  around.site = "executor: {slots: 2}\n";
  EXPECT_EQ(words_of(errors_of(least + "executor: {slots: 1}\n", {}, around)),
            "site.yaml:1:12: executor.slots: stands in the study too (line 12); keep it in one place\n");
}

TEST(Warnings, NameWhatIsAllowedButHardlyMeant) {
  const std::string bare = R"yaml(study: bare
objective: {metric: loss, direction: minimize}
task:
  train: {command: [python3, train.py, "{params}"], metrics: {lass: "loss: (.*)"}}
space: {x: {type: choice, values: [a, b]}, y: {type: int, low: 1, high: 3, when: {x: b}}}
proposers: [{kind: llm, base_url: "http://localhost", model: m}]
budgets: {run: {gpu_time: 8h}}
)yaml";
  const auto parsed = parse_study(bare, "s.yaml");
  ASSERT_TRUE(parsed) << words_of(parsed.error());
  const std::string words = words_of(parsed->warnings);
  for (const char* part :
       {"baseline: is missing", "task.seed: is missing", "task.evaluate: is missing", "task.train: has neither",
        "objective.metric: \"loss\" is named by no pattern", "budgets.run: has neither wall",
        "budgets.run.gpu_time: never binds", "has neither llm_cost nor llm_tokens"})
    EXPECT_NE(words.find(part), std::string::npos) << part << "\nin\n" << words;
  const auto left_out = parse_study(bare + "baseline: {x: a, y: 2}\n", "s.yaml");
  ASSERT_TRUE(left_out);
  EXPECT_NE(words_of(left_out->warnings).find("s.yaml:8:21: baseline.y: is left out"), std::string::npos)
      << words_of(left_out->warnings);
}

}  // namespace
}  // namespace overnight::study
