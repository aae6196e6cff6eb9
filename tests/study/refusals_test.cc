// Each refusal, by the change that brings it about and the words that a person then reads.
#include <gtest/gtest.h>

#include "orchestrator/study/document.h"
#include "tests/study/studies.h"

namespace overnight::study {
namespace {

TEST(Refusal, TellsAllErrorsAtOnceEachWithItsLineAndColumn) {
  const std::string bad = R"(study: 7 up
objective: {metric: loss, direction: min, minimum_efect: 1}
task:
  train:
    command: [python3, "{p.lr}"]
    timeout: 20
baseline: {x: 3}
space:
  x: {type: float, low: 0, high: 1}
proposers: [{kind: tpee}]
budgets: {run: {wall: 8 hours, experiments: 10}}
owner: a
owner: b
colour: red
)";
  EXPECT_EQ(
      words_of(errors_of(bad)),
      R"(/tmp/study.yaml:1:8: study: "7 up": a name has letters, digits, '_', '-' and '.', at most 64, and begins with a letter or '_'
/tmp/study.yaml:2:38: objective.direction: "min" is not known here; did you mean "minimize"?
/tmp/study.yaml:2:43: objective.minimum_efect: is not a key here; did you mean "minimum_effect"?
/tmp/study.yaml:5:14: task.train.command: "{p.lr}" names no parameter of the space; known are x
/tmp/study.yaml:6:14: task.train.timeout: "20" has no unit; write a time like 500ms, 20s, 10m, 8h, 2d or 1h30m
/tmp/study.yaml:7:15: baseline.x: the baseline is not in the space: x: 3 is above 1
/tmp/study.yaml:10:20: proposers[0].kind: "tpee" is not known here; did you mean "tpe"?
/tmp/study.yaml:11:23: budgets.run.wall: "8 hours" has a unit that is not known here; write a time like 500ms, 20s, 10m, 8h, 2d or 1h30m
/tmp/study.yaml:13:1: owner: stands here twice (also in line 12); keep one
/tmp/study.yaml:14:1: colour: is not a key here; known are baseline, budgets, evaluation, executor, governor, notify, objective, owner, proposers, purpose, seed, space, study, task
)");
}

struct Bad {
  std::vector<std::string> overrides;
  std::string words;  // part of what is said
};

void expect_refusals(const std::vector<Bad>& table) {
  for (const Bad& bad : table) {
    const std::string words = words_of(errors_of(least, bad.overrides));
    std::string shown_overrides;
    for (const std::string& one : bad.overrides) shown_overrides += one + "  ";
    EXPECT_NE(words.find(bad.words), std::string::npos)
        << shown_overrides << "\nwas to say: " << bad.words << "\nsaid: " << words;
  }
}

TEST(Refusal, OfHeadAndObjective) {
  expect_refusals({
      {{"study="}, "study: is missing"},
      {{"study=[a]"}, "study: must be a single value, not a list"},
      {{"owner=" + std::string(5000, 'x')}, "owner: is longer than 4 KiB"},
      {{"seed=-1"}, "seed: \"-1\" is not a whole number from 0"},
      {{"seed=\"1\""}, "take the quotes away"},
      {{"objective=3"}, "objective: must be a mapping of keys to values, not a single value"},
      {{"objective={direction: minimize}"}, "objective.metric: is missing"},
      {{"objective={metric: loss}"}, "objective.direction: is missing"},
      {{"objective.metric=\"a b\""}, "objective.metric: \"a b\": a name has"},
      {{"objective.minimum_effect=-1"}, "must not be negative"},
      {{"objective.tradeoffs=[a]"}, "objective.tradeoffs: must be"},
      {{"objective.tradeoffs.speed=faster"}, "objective.tradeoffs.speed: \"faster\" is not known here"},
      {{"objective.tradeoffs={7up: minimize}"}, "a name has letters"},
      {{"objective.tradeoffs={loss: minimize}"}, "objective.tradeoffs.loss: is the objective itself"},
      {{"objective.tradeoffs={a: minimize, b: minimize, c: minimize, d: minimize, e: minimize, f: minimize, g: "
        "minimize}"},
       "objective.tradeoffs: are more than 6"},
      {{"objective.minimum_effect=tiny"}, "\"tiny\" is not a number"},
      {{"objective.minimum_effect=.inf"}, "is not a number"},
  });
}

TEST(Refusal, OfTheSpaceAndItsPoints) {
  expect_refusals({
      {{"space={}"}, "space: has no parameter"},
      {{"space=[x]"}, "space: must be a mapping"},
      {{"space.x.type=real"}, "space.x.type: \"real\" is not known here"},
      {{"space.x={low: 0, high: 1}"}, "space.x.type: is missing"},
      {{"space.x={type: float, low: 0}"}, "space.x.high: is missing"},
      {{"space.x.low=1"}, "space.x.low: low must be below high"},
      {{"space.x.low=2"}, "space.x.low: low must be below high"},
      {{"space.x.scale=log"}, "space.x.low: a log scale needs a low above 0"},
      {{"space.x.scale=exp"}, "space.x.scale: \"exp\" is not known here"},
      {{"space.x={type: float, low: -1.7e308, high: 1.7e308}"}, "too far apart"},
      {{"space.x.step=1"}, "space.x.step: is not a key here"},
      {{"space.n={type: int, low: 1.5, high: 3}"}, "space.n.low: \"1.5\" is not a whole number"},
      {{"space.n={type: int, low: 1, high: 3, step: 0}"}, "space.n.step: \"0\" is not a whole number from 1"},
      {{"space.n={type: int, low: 1, high: 3, step: 5}"}, "space.n.step: is wider than the whole range"},
      {{"space.n={type: int, low: 0, high: 3, scale: log}"}, "a log scale needs a low above 0"},
      {{"space.c={type: choice}"}, "space.c.values: is missing"},
      {{"space.c={type: choice, values: []}"}, "space.c.values: must be a list of 1 to 1000 values"},
      {{"space.c={type: choice, values: [a, b, a]}"}, "space.c.values: \"a\" stands there twice"},
      {{"space.c={type: choice, values: [1, \"1\"]}"}, "\"1\" stands there twice"},
      {{"space.c={type: choice, values: [[a]]}"}, "each value is a number, a text or a truth value"},
      {{"space.c={type: choice, values: [a], when: {y: 1}}"}, "space.c.when.y: is not a parameter that stands above c"},
      {{"space.c={type: choice, values: [a], when: {x: 7}}"}, "\"7\" is not a value that x can have"},
      {{"space.c={type: choice, values: [a], when: {x: []}}"}, "space.c.when.x: names no value"},
      {{"space.1st={type: float, low: 0, high: 1}"}, "space.1st: a name has"},
      {{"baseline={}"}, "baseline.x: the baseline is not in the space: x: missing"},
      {{"baseline.x=-1"}, "baseline.x: the baseline is not in the space: x: -1 is below 0"},
      {{"baseline.y=1"}, "baseline.y: the baseline is not in the space: y: not a parameter"},
      {{"baseline.x=[1]"}, "baseline.x: must be a number, a text or a truth value"},
      {{"baseline={x: }"}, "baseline.x: has no value"},
  });
}

TEST(Refusal, OfTheTasksPhases) {
  expect_refusals({
      {{"task={}"}, "task.train: is missing"},
      {{"task.train={timeout: 1m}"}, "task.train.command: is missing"},
      {{"task.train.command=[]"}, "task.train.command: is empty"},
      {{"task.train.command=\"\""}, "task.train.command: is empty"},
      {{"task.train.command={a: b}"}, "task.train.command: must be a list of texts"},
      {{"task.train.command=[a, [b]]"}, "here stands a list"},
      {{"task.train.command=\"sh -c 'x\""}, "a quote is not closed"},
      {{"task.train.command=[a, \"{parms}\"]"}, "\"{parms}\" stands for nothing; known are {experiment} {params}"},
      {{"task.train.command=[a, \"x{}y\"]"}, "\"{}\" stands for nothing"},
      {{"task.train.command=[a, \"{p.X}\"]"}, "\"{p.X}\" names no parameter of the space; did you mean \"x\"?"},
      {{"task.train.timeout=0s"},
       "task.train.timeout: \"0s\" would allow nothing at all; for no limit leave the key out"},
      {{"task.train.budget=70s"}, "task.train.timeout: comes before budget and grace are over (1m15s)"},
      {{"task.train.stop={signal: SIGKILL}"}, "task.train.stop.signal: \"SIGKILL\" is not known here"},
      {{"task.train.stop={grase: 1s}"}, "task.train.stop.grase: is not a key here; did you mean \"grace\"?"},
      {{"task.train.metrics={loss: \"loss: .*\"}"}, "has no group; put the part that is the value in parentheses"},
      {{"task.train.metrics={loss: \"(a|b): (.*)\"}"}, "has 2 groups"},
      {{"task.train.metrics={loss: \"loss: (.*\"}"}, "is no pattern"},
      {{"task.train.metrics={loss: \"(?=x)(.*)\"}"}, "is no pattern"},
      {{"task.train.metrics={\"a b\": \"(.*)\"}"}, "a name has"},
      {{"task.train.private={validation: x}"}, "task.train.private: is not a key here"},
      {{"task.build={command: make, budget: 3s}"}, "task.build.budget: is not a key here"},
      {{"task.evaluate.private={valid: x}"},
       "task.evaluate.private.valid: is not a key here; did you mean \"validation\"?"},
      {{"task.evaluate.budget=3s"}, "task.evaluate.budget: is not a key here"},
  });
  EXPECT_EQ(words_of(errors_of(least, {R"x(task.train.command=[a, "{{parms}} {", "}"])x"})), "");
  EXPECT_EQ(words_of(errors_of(least, {R"x(task.train.metrics={loss: "[(\\](]+\\((?:a|b)(.*)"})x"})), "");
}

TEST(Refusal, OfWhatATaskMaySee) {
  expect_refusals({
      {{"task.seed={}"}, "task.seed: names not one way but 0"},
      {{"task.seed={env: A, argv: --b}"}, "task.seed: names not one way but 2"},
      {{"task.seed={env: A-B}"}, "\"A-B\" is no environment variable"},
      {{"task.seed={argv: seed}"}, "\"seed\" is no flag; write one like --seed"},
      {{"task.seed={replace: {file: a.py}}"}, "task.seed.replace.pattern: is missing"},
      {{"task.seed={replace: {file: a.py, pattern: \"S=([0-9]+)\"}}"}, "needs task.workspace"},
      {{"task.workspace=.", "task.seed={replace: {file: ../a.py, pattern: \"S=([0-9]+)\"}}"},
       "must lie in the workspace"},
      {{"task.workspace=.", "task.seed={replace: {file: a.py, pattern: \"S=[0-9]+\"}}"}, "has no group"},
      {{"task.env={OVERNIGHT_X: 1}"}, "names that begin with OVERNIGHT_ are ours"},
      {{"task.env={A: [1]}"}, "task.env.A: must be a single value"},
      {{"task.env_pass=PATH"}, "task.env_pass: must be a list of texts like [a, b]"},
      {{"task.env_pass=[A=B]"}, "\"A=B\" is no environment variable"},
      {{"task.mounts=[\"\"]"}, "task.mounts: holds an empty path"},
      {{"task.secrets=[KEY]"}, "task.secrets[0]: must be a mapping"},
      {{"task.secrets={name: K}"}, "task.secrets: must be a list"},
      {{"task.secrets=[{name: K}]"}, "task.secrets[0].phase: is missing"},
      {{"task.secrets=[{name: K, phase: test}]"}, "task.secrets[0].phase: \"test\" is not known here"},
      {{"task.secrets=[{name: K, phase: build}]"}, "this task has no phase build"},
      {{"task.secrets=[{name: K, phase: train}]", "task.env_pass=[K]"}, "stands in env or env_pass too"},
      {{"task.resources={cpus: 0}"}, "task.resources.cpus: \"0\" is not a whole number from 1 to 1024"},
      {{"task.resources={gpu: 1}"}, "task.resources.gpu: is not a key here; did you mean \"gpus\"?"},
      {{"task.artifacts={keep: [best]}"}, "\"best\" is not one of champion, all, \"top 10\""},
      {{"task.artifacts={keep: [top 0]}"}, "\"top 0\" is not one of"},
      {{"task.retries={crash: 11}"}, "task.retries.crash: \"11\" is not a whole number from 0 to 10"},
      {{"task.workspace={}"}, "task.workspace.path: is missing"},
  });
}

TEST(Refusal, OfProposers) {
  expect_refusals({
      {{"proposers=[]"}, "proposers: must be a list of 1 to 32"},
      {{"proposers=tpe"}, "proposers: must be a list of 1 to 32"},
      {{"proposers=[tpe]"}, "proposers[0]: must be a mapping"},
      {{"proposers=[{share: 1}]"}, "proposers[0].kind: is missing"},
      {{"proposers=[{kind: bayes}]"}, "proposers[0].kind: \"bayes\" is not known here"},
      {{"proposers=[{kind: tpe}, {kind: tpe}]"}, "\"tpe\" is taken by another proposer"},
      {{"proposers=[{kind: tpe, name: baseline}]"}, "\"baseline\" is the name of the study's own point"},
      {{"proposers=[{kind: tpe, name: a b}]"}, "proposers[0].name: a name has"},
      {{"proposers=[{kind: tpe, share: 0}]"}, "proposers[0].share: must be above 0"},
      {{"proposers=[{kind: random, startup: 3}]"}, "proposers[0].startup: is not a key here"},
      {{"proposers=[{kind: tpe, startup: -1}]"}, "proposers[0].startup: \"-1\" is not a whole number from 0"},
      {{"proposers=[{kind: tpe, gamma: 1}]"}, "proposers[0].gamma: must lie from 0.01 to 0.5"},
      {{"proposers=[{kind: grid, points_per_dimension: 0}]"}, "is not a whole number from 1"},
      {{"proposers=[{kind: list}]"}, "proposers[0].points: is missing"},
      {{"proposers=[{kind: list, points: []}]"}, "proposers[0].points: must be a list of 1 to 10000 points"},
      {{"proposers=[{kind: list, points: [3]}]"}, "proposers[0].points[0]: must be a mapping"},
      {{"proposers=[{kind: list, points: [{x: 0}, {x: 9}]}]"},
       "proposers[0].points[1].x: this point is not in the space"},
      {{"proposers=[{kind: command}]"}, "proposers[0].command: is missing"},
      {{"proposers=[{kind: command, command: [sh], env_pass: [A=B]}]"}, "\"A=B\" is no environment variable"},
      {{"proposers=[{kind: llm, base_url: \"http://h\"}]"}, "proposers[0].model: is missing"},
      {{"proposers=[{kind: llm, model: m}]"}, "proposers[0].base_url: is missing"},
      {{"proposers=[{kind: llm, model: m, base_url: localhost}]"}, "\"localhost\" is no address"},
      {{"proposers=[{kind: llm, model: m, base_url: \"https://me:secret@h/v1\"}]"},
       "must be a plain address without user"},
      {{"proposers=[{kind: llm, model: m, base_url: \"https://h/v1?key=secret\"}]"},
       "must be a plain address without user"},
      {{"proposers=[{kind: llm, model: m, base_url: \"http://localhost\", api_key_env: K}]", "task.env_pass=[PATH, K]"},
       "task.env_pass: would hand K, the key of proposer llm, to every task"},
      {{"proposers=[{kind: llm, model: \"\", base_url: \"http://h\"}]"}, "proposers[0].model: is empty"},
      {{"proposers=[{kind: llm, model: m, base_url: \"http://h\", api_key_env: sk-12}]"}, "not the key"},
      {{"proposers=[{kind: llm, model: m, base_url: \"http://h\", api_key_env: K}]"},
       "would send the key in clear text"},
      {{"proposers=[{kind: llm, model: m, base_url: \"http://localhost.evil/\", api_key_env: K}]"}, "in clear text"},
      {{"proposers=[{kind: llm, model: m, base_url: \"http://h\", temperature: 3}]"}, "must lie from 0 to 2"},
      {{"proposers=[{kind: llm, model: m, base_url: \"http://h\", max_tokens: 2M}]"}, "must be at most 1000000"},
      {{"proposers=[{kind: llm, model: m, base_url: \"http://h\", timeout: 5}]"}, "\"5\" has no unit"},
      {{"proposers=[{kind: llm, model: m, base_url: \"http://h\", insecure: yes}]"}, "\"yes\" is not known here"},
      {{"proposers=[{kind: llm, model: m, base_url: \"http://h\", price: cheap}]"}, "is free, or {input: $0.50"},
      {{"proposers=[{kind: llm, model: m, base_url: \"http://h\", price: {input: $1}}]"}, "price.output: is missing"},
  });
}

TEST(Refusal, OfBudgetsAndGovernor) {
  expect_refusals({
      {{"budgets.run.wall=0s"}, "would allow nothing at all"},
      {{"budgets.run.until=7:30"}, "\"7:30\" is no time of day"},
      {{"budgets.run.until=\"24:00\""}, "\"24:00\" is no time of day"},
      {{"budgets.run.llm_cost=20"}, "budgets.run.llm_cost: \"20\" has no unit; write dollars like $20"},
      {{"budgets.run.reserve=95%"}, "leaves less than 10% for the search"},
      {{"budgets.run.reserve=120%"}, "write a share from 0% to 100%"},
      {{"budgets.run.disk=5GiB"}, "budgets.run.disk: 5GiB does not pay for one attempt, which reserves 10GiB"},
      {{"budgets.run.wall=1m"}, "budgets.run.wall: 1m does not pay for one attempt, which reserves 1m12s"},
      {{"budgets.run.slot_time=10s"}, "budgets.run.slot_time: 10s does not pay"},
      {{"budgets.run.gpu_time=100s", "task.resources={gpus: 2}"},
       "budgets.run.gpu_time: 1m40s does not pay for one "
       "attempt, which reserves 2m24s"},
      {{"budgets.experiment.slot_time=10s"}, "budgets.experiment.slot_time: 10s does not pay"},
      {{"budgets.attempt.wall=20s", "task.train={command: a, budget: 16s}"},
       "is over before task.train's budget and grace"},
      {{"budgets.attempt.memory=64"}, "\"64\" has no unit; write a size like 64GiB"},
      {{"budgets.attemt={}"}, "budgets.attemt: is not a key here; did you mean \"attempt\"?"},
      {{"evaluation.confirm_top=17"}, "is not a whole number from 0 to 16"},
      {{"governor.breakers.stagnation=-1"}, "is not a whole number from 0"},
      {{"governor.breakers.stagnation={count: 3, level: explode}"}, "\"explode\" is not known here"},
      {{"governor.breakers.stagnation={cont: 3}"}, "did you mean \"count\"?"},
      {{"governor.breakers.not_finite=9"}, "count is above window (5)"},
      {{"governor.breakers.crash_rate={window: 5}"}, "minimum is above window"},
      {{"governor.breakers.nan=1"}, "governor.breakers.nan: is not a key here"},
      {{"governor.hold_patience=4"}, "\"4\" has no unit"},
      {{"executor.slots=0"}, "executor.slots: \"0\" is not a whole number from 1 to 4096"},
      {{"executor.slots=[1]"}, "executor.slots: must be a single value"},
      {{"executor.kind=cloud"}, "\"cloud\" is no kind of executor; write local"},
      {{"notify.webhook=example.org"}, "\"example.org\" is no address"},
  });
}

TEST(Refusal, OfWhatIsNotAvailableYet) {
  for (const char* one :
       {"objectives=[a]", "constraints=[a]", "guards=[a]", "objective.constraints=[a]", "evaluation.holdout=final",
        "governor.approvals={}", "governor.operator_heartbeat=12h", "executor.kind=kubernetes", "executor.kind=slurm",
        "budgets.attempt.execs=5000", "budgets.attempt.connections=0", "task.workspace={path: ., editable: [a]}",
        "task.workspace={path: ., readonly: [a]}",
        "proposers=[{kind: llm, provider: anthropic, base_url: \"https://h\", model: m}]"}) {
    const std::string words = words_of(errors_of(least, {one}));
    EXPECT_NE(words.find("not available yet in this version"), std::string::npos) << one << "\n" << words;
  }
}

TEST(Refusal, OfYamlThatIsNoStudy) {
  const auto expect = [](const std::string& text, const std::string& words) {
    const std::string said = words_of(errors_of(text));
    EXPECT_NE(said.find(words), std::string::npos) << text.substr(0, 100) << "\nsaid " << said;
  };
  expect("", "/tmp/study.yaml: is empty");
  expect("# nothing\n", "/tmp/study.yaml: is empty");
  expect("study\n", "is no study");
  expect("- a\n- b\n", "/tmp/study.yaml:1:1: is no study: a study is a mapping");
  expect("study: [a\n", "is not YAML: ");
  expect("a: b: c\n", "/tmp/study.yaml:1:5: is not YAML: ");
  expect(least + "---\nstudy: b\n", "a second document begins here");
  expect(least + "owner: &me x\n", "/tmp/study.yaml:12:8: anchors (&name) are not allowed");
  expect(least + "owner: &me x\npurpose: *me\n", "/tmp/study.yaml:13:10: aliases (*name) are not allowed");
  expect(least + "owner: !!str 3\n", "tags (\"tag:yaml.org,2002:str\") are not allowed");
  expect(least + "? [a]\n: b\n", "a key must be a text");
  expect(least + "space: {}\n", "/tmp/study.yaml:12:1: space: stands here twice (also in line 8); keep one");
  expect("a: " + std::string(40, '[') + std::string(40, ']') + "\n", "nested deeper than 32 levels");
  expect("a: " + std::string(100'000, '['), "nested deeper than 32 levels");
  expect("a: [" + std::string(200'001, ',') + "]\n", "holds more than 100000 values");
  std::string many = "a: [";
  for (int i = 0; i < 100'001; ++i) many += "1,";
  expect(many + "]\n", "holds more than 100000 values");
  expect("a: " + std::string(study_bytes_max, 'x') + "\n", "is larger than 1 MiB");
  expect(std::string("a\0b: c\n", 7), "holds a zero byte");
  expect(least + "owner: \xff\n", "/tmp/study.yaml:12:8: holds bytes that are no UTF-8 text");
  expect(least + "owner: \"\\0\"\n", "/tmp/study.yaml:12:8: holds bytes that are no UTF-8 text, or a zero byte");
}

TEST(Refusal, SaysAHundredErrorsAndCountsTheRest) {
  std::string many = least;
  for (int i = 0; i < 150; ++i) many += "unknown_" + std::to_string(i) + ": 1\n";
  const auto errors = errors_of(many);
  ASSERT_EQ(errors.size(), Errors::most + 1);
  EXPECT_EQ(errors.back().text(), "/tmp/study.yaml: has 50 more errors");
}

TEST(Refusal, ShowsHostileTextsMaskedAndShort) {
  const std::string words = words_of(errors_of(least, {"objective.direction=\"\\e[2J" + std::string(500, 'x') + "\""}));
  EXPECT_EQ(words.find('\x1b'), std::string::npos);
  EXPECT_LT(words.size(), 400u);
}

}  // namespace
}  // namespace overnight::study
