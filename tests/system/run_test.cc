// The programs as a user meets them: runs, refusals, stops, and what is left behind.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/system/gate.h"
#include "tests/system/running.h"
#include "tests/system/studies.h"

namespace overnight::system_tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

TEST(Run, GoesFromTheStudyToARankedReportAndAnIntactJournal) {
  const Folder folder;
  const auto done = run(folder, {"run", write_study(folder), "--plain"});
  EXPECT_EQ(done.exit_code, 0) << done.output;
  EXPECT_NE(done.output.find("report: "), std::string::npos);
  const json experiments = run_json(folder, {"experiments"});
  EXPECT_EQ(experiments.size(), 7u) << "the baseline and six more";
  for (const json& one : experiments) EXPECT_EQ(one["status"], "scored");
  const json verdict = run_json(folder, {"audit", "verify"});
  EXPECT_EQ(verdict["verdict"], "intact");
  EXPECT_TRUE(alive_in(folder).empty());
}

TEST(Run, RefusesABadStudyWithPlaceAndFixAndStartsNothing) {
  const Folder folder;
  const auto study =
      folder.write("bad.yaml", "study: x\nobjectiv: {metric: loss}\nspace: {x: {type: float, low: 2, high: 1}}\n");
  const auto refused = run(folder, {"run", study});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.output.find("bad.yaml:2:1: objectiv: is not a key here; did you mean \"objective\"?"),
            std::string::npos)
      << refused.output;
  EXPECT_NE(refused.output.find("low must be below high"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder.path() / ".overnight"));
}

TEST(Run, SaysThatACommandIsMissingBeforeTheNight) {
  const Folder folder;
  const auto study = write_study(folder);
  const auto refused = run(folder, {"run", study, "--set", "task.train.command=[no-such-program]"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.output.find("\"no-such-program\" is not found on the PATH"), std::string::npos) << refused.output;
}

TEST(Run, ABaselineThatCannotBeMeasuredEndsWithItsLastLines) {
  const Folder folder;
  const auto failed = run(
      folder,
      {"run",
       write_study(folder, {.script = "echo 'no such data set' >&2\nexit 3\n", .task_more = "  retries: {crash: 0}\n"}),
       "--plain"});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_NE(failed.output.find("the baseline could not be measured"), std::string::npos);
  EXPECT_NE(failed.output.find("no such data set"), std::string::npos) << failed.output;
}

TEST(Run, AHomeInUseIsRefusedAndSaysByWhom) {
  const Folder folder;
  const auto study = write_study(folder, {.script = endless});
  Program first({overnight(), "run", study, "--plain"}, folder.path());
  ASSERT_TRUE(first.says("run started"));
  const auto refused = run(folder, {"run", study, "--plain"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.output.find(std::to_string(first.pid())), std::string::npos) << refused.output;
}

TEST(Run, RecordsEachFailureWithItsCause) {
  const Folder folder;
  const std::string script =
      "case $1 in 0.5) echo 'loss: 1';; 0.1*) echo 'loss: nan';; 0.2*) echo 'loss: much';; 0.3*) exit 3;; 0.4*) : ;; "
      "*) echo 'loss: 2';; esac\n";
  const auto study =
      write_study(folder, {.script = script,
                           .experiments = 8,
                           .more = "governor: {breakers: {consecutive_crashes: 0, crash_rate: 0, not_finite: 0}}\n",
                           .task_more = "  retries: {crash: 0}\n"});
  std::string text = folder.read("study.yaml");
  text.replace(text.find("[{kind: random}]"), 16, "[{kind: random}]");
  folder.write("points.jsonl", "{\"x\":0.11}\n{\"x\":0.21}\n{\"x\":0.31}\n{\"x\":0.41}\n");
  const auto done = run(folder, {"run", study, "--plain"});
  EXPECT_EQ(done.exit_code, 0) << done.output;
  for (const json& one : run_json(folder, {"experiments"})) {
    const double x = one["params"]["x"];
    const std::string cause = one["trials"][0]["cause"];
    if (x >= 0.1 && x < 0.3) {
      EXPECT_EQ(cause, "bad_metric") << one;
    }
    if (x >= 0.3 && x < 0.4) {
      EXPECT_EQ(cause, "crash") << one;
    }
    if (x >= 0.4 && x < 0.5) {
      EXPECT_EQ(cause, "no_metric") << one;
    }
  }
}

class Stops : public testing::Test {
 protected:
  Folder folder_;

  std::unique_ptr<Program> running() { return start_endless(folder_); }

  void expect_halted(Program& program) {
    const auto ended = program.wait();
    EXPECT_EQ(ended.exit_code, 3) << ended.output;
    EXPECT_NE(ended.output.find("halt confirmed"), std::string::npos) << ended.output;
    EXPECT_TRUE(alive_in(folder_).empty());
    const auto again = run(folder_, {"resume", "--plain"});
    EXPECT_EQ(again.exit_code, 3) << "resume lifts no latch: " << again.output;
    EXPECT_EQ(run_json(folder_, {"audit", "verify"})["verdict"], "intact");
  }
};

TEST_F(Stops, HaltByTheApiKillsTheWholeTreeAndProvesIt) {
  auto program = running();
  const auto halted = run(folder_, {"halt", "--reason", "loss looks wrong"});
  EXPECT_EQ(halted.exit_code, 0) << halted.output;
  EXPECT_NE(halted.output.find("halt confirmed: the attempt that ran is gone, "), std::string::npos) << halted.output;
  expect_halted(*program);
}

TEST_F(Stops, HaltByAFileInTheHome) {
  auto program = running();
  std::ofstream(folder_.path() / ".overnight" / "HALT") << "stop";
  expect_halted(*program);
}

TEST_F(Stops, HaltBySignal) {
  auto program = running();
  program->signal(SIGUSR1);
  expect_halted(*program);
}

TEST_F(Stops, HaltOfflineWorksWhileTheOrchestratorHangs) {
  auto program = running();
  program->signal(SIGSTOP);
  const auto halted = run(folder_, {"halt", "--offline", "--reason", "it hangs"});
  EXPECT_EQ(halted.exit_code, 0) << halted.output;
  auto alive = alive_in(folder_);
  std::erase(alive, program->pid());
  EXPECT_TRUE(alive.empty());
  program->signal(SIGCONT);
  EXPECT_EQ(program->wait().exit_code, 3);
  EXPECT_EQ(run(folder_, {"resume", "--plain"}).exit_code, 3);
}

TEST_F(Stops, HaltOfflineWorksWhenTheOrchestratorIsDead) {
  auto program = running();
  program->signal(SIGKILL);
  EXPECT_EQ(program->wait().exit_code, 128 + SIGKILL);
  const auto halted = run(folder_, {"halt", "--reason", "and stay down"});
  EXPECT_EQ(halted.exit_code, 0) << halted.output;
  EXPECT_TRUE(alive_in(folder_).empty());
  EXPECT_EQ(run(folder_, {"resume", "--plain"}).exit_code, 3);
}

TEST_F(Stops, TheSecondInterruptKillsAndLeavesNoLatch) {
  auto program = running();
  program->signal(SIGINT);
  ASSERT_TRUE(program->says("draining"));
  program->signal(SIGINT);
  const auto ended = program->wait();
  EXPECT_EQ(ended.exit_code, 3) << ended.output;
  EXPECT_TRUE(alive_in(folder_).empty());
  Program again({overnight(), "resume", "--plain"}, folder_.path());
  EXPECT_TRUE(again.says("run resumed"));
}

TEST_F(Stops, ALostTerminalDetachesAndNeverStops) {
  auto program = running();
  program->signal(SIGHUP);
  EXPECT_EQ(run(folder_, {"watch", "--once"}).exit_code, 0);
  EXPECT_FALSE(program->ended_within(std::chrono::milliseconds(0)));
}

TEST_F(Stops, ReleaseLiftsTheLatchAndResumeGoesOn) {
  auto program = running();
  EXPECT_EQ(run(folder_, {"halt"}).exit_code, 0);
  program->wait();
  const std::string id = run_json(folder_, {"runs"})[0]["run"];
  EXPECT_EQ(run(folder_, {"release", id, "--reason", "it was the disk"}).exit_code, 0);
  Program again({overnight(), "resume", "--plain"}, folder_.path());
  EXPECT_TRUE(again.says("run resumed")) << again.output();
}

TEST(Interrupt, TheFirstOneLetsWhatRunsEndAndResumeFinishesTheStudy) {
  const Folder folder;
  Gate gate(folder);
  const auto study = write_study(folder, {.script = gate.wait() + "\necho \"loss: $1\"\n", .experiments = 3});
  Program program({overnight(), "run", study, "--plain"}, folder.path());
  ASSERT_TRUE(program.says("run started"));
  program.signal(SIGINT);
  ASSERT_TRUE(program.says("draining"));
  gate.open();
  EXPECT_EQ(program.wait().exit_code, 3);
  const auto done = run(folder, {"resume", "--plain"});
  EXPECT_EQ(done.exit_code, 0) << done.output;
  EXPECT_EQ(run_json(folder, {"experiments"}).size(), 4u);
}

TEST(Detached, ARunInTheBackgroundIsWatchedHaltedAndReported) {
  const Folder folder;
  const auto study = write_study(folder, {.script = endless});
  const auto started = run(folder, {"run", study, "--detach"});
  ASSERT_EQ(started.exit_code, 0) << started.output;
  const json view = run_json(folder, {"watch", "--once"});
  EXPECT_EQ(view["runs"].size(), 1u);
  EXPECT_EQ(run(folder, {"halt"}).exit_code, 0);
  EXPECT_EQ(run_json(folder, {"runs"})[0]["end"]["kind"], "halted");
}

TEST(Verbs, SayWhereTheyLookedWhenThereIsNothing) {
  const Folder folder;
  for (const char* verb : {"runs", "status", "experiments", "resume"}) {
    const auto nothing = run(folder, {verb});
    EXPECT_EQ(nothing.exit_code, 5) << verb;
    EXPECT_NE(nothing.output.find(folder.path().string()), std::string::npos) << nothing.output;
  }
}

TEST(Verbs, EnqueuedPointsRunBeforeOthers) {
  const Folder folder;
  Gate gate(folder);
  const auto study = write_study(
      folder, {.script = "case $1 in 0.5) " + gate.wait() + ";; esac\necho \"loss: $1\"\n", .experiments = 3});
  Program program({overnight(), "run", study, "--plain"}, folder.path());
  ASSERT_TRUE(program.says("run started"));
  folder.write("points.jsonl", "{\"x\": 0.125}\n");
  EXPECT_EQ(run(folder, {"enqueue", "points.jsonl"}).exit_code, 0);
  folder.write("mixed.jsonl", "{\"x\": 0.25}\n{\"x\": 7}\n{\"x\": 0.125}\n");
  const auto mixed = run(folder, {"enqueue", "mixed.jsonl", "--json"});
  EXPECT_EQ(mixed.exit_code, 2) << "not all were admitted";
  EXPECT_EQ(json::parse(mixed.output)["admitted"], 1) << mixed.output;
  gate.open();
  EXPECT_EQ(program.wait().exit_code, 0);
  const json experiments = run_json(folder, {"experiments"});
  EXPECT_EQ(experiments[1]["params"]["x"], 0.125);
  EXPECT_EQ(experiments[1]["proposer"], "enqueue");
}

TEST(Try, ShowsTheBaselinesMetricAndTime) {
  const Folder folder;
  const auto tried = run(folder, {"try", write_study(folder)});
  EXPECT_EQ(tried.exit_code, 0) << tried.output;
  EXPECT_NE(tried.output.find("loss = 0.5"), std::string::npos) << tried.output;
  const std::string output = run(folder, {"try", "study.yaml", "--json"}).output;  // how it goes is on stderr
  const json told = json::parse(output.substr(output.find("{\n")));
  EXPECT_EQ(told["score"], 0.5);
  EXPECT_EQ(told["cause"], "completed");
  EXPECT_TRUE(told["phase_ms"].contains("train")) << told;
  EXPECT_EQ(run(folder, {"runs"}).exit_code, 5) << "trying is no run";
}

}  // namespace
}  // namespace overnight::system_tests
