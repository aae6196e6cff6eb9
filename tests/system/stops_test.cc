// Every way to stop, alone and together: what an operator asks for happens, is proven, is written down, and stays.
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

class Halts : public testing::Test {
 protected:
  void begin() { program_ = start_endless(folder_); }
  fs::path home() const { return folder_.path() / ".overnight"; }
  std::string run_id() const { return run_json(folder_, {"runs"})[0]["run"]; }
  // What the journal tells of halts, for people.
  std::string notes() const {
    std::string text;
    const json status = run_json(folder_, {"status"});
    for (const json& note : status["notes"]) text += note["text"].get<std::string>() + "\n";
    return text;
  }
  void expect_nobody_left() const { EXPECT_TRUE(alive_in(folder_).empty()); }
  void expect_latched() const {
    const auto again = run(folder_, {"resume", "--plain"});
    EXPECT_EQ(again.exit_code, 3) << again.output;
    EXPECT_EQ(run_json(folder_, {"audit", "verify"})["verdict"], "intact");
  }

  Folder folder_;
  std::unique_ptr<Program> program_;
};

TEST_F(Halts, AFileInTheFolderOfTheRunHaltsItAndDeletingTheFileLiftsNothing) {
  begin();
  const fs::path file = home() / "runs" / run_id() / "HALT";
  std::ofstream(file) << "stop";
  EXPECT_EQ(program_->wait().exit_code, 3);
  expect_nobody_left();
  fs::remove(file);
  expect_latched();
  EXPECT_NE(notes().find("halt asked for by file (file)"), std::string::npos) << notes();
  EXPECT_NE(notes().find("halt confirmed: 1 attempt seen to be gone after"), std::string::npos) << notes();
}

TEST_F(Halts, WithoutTheOrchestratorAnswersWithinSecondsAndIsJournaledLater) {
  begin();
  program_->signal(SIGKILL);
  program_->wait();
  const json halted = run_json(folder_, {"halt", "--offline", "--reason", "it was enough"});
  EXPECT_EQ(halted["confirmed"], true) << halted;
  EXPECT_EQ(halted["latched"], true);
  EXPECT_EQ(halted["path"], "offline");
  expect_nobody_left();
  // Nobody needs to try a resume to learn of it.
  for (const char* verb : {"runs", "status", "doctor"}) {
    const auto told = run(folder_, {verb});
    EXPECT_NE(told.output.find("this home is latched by "), std::string::npos) << verb << ": " << told.output;
    EXPECT_NE(told.output.find("(offline): it was enough"), std::string::npos) << verb << ": " << told.output;
  }
  expect_latched();
  EXPECT_EQ(run(folder_, {"release", run_id(), "--reason", "looked at it"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(home() / "HALT")) << "a request that was answered";
  Program again({overnight(), "resume", "--plain"}, folder_.path());
  EXPECT_TRUE(again.says("run resumed")) << again.output();
}

TEST_F(Halts, OfOneRunOfflineLatchesThatRunAlone) {
  begin();
  program_->signal(SIGSTOP);
  const std::string id = run_id();
  const auto halted = run(folder_, {"halt", id.substr(0, id.size() - 2), "--offline"});
  EXPECT_EQ(halted.exit_code, 0) << halted.output;
  program_->signal(SIGCONT);
  EXPECT_EQ(program_->wait().exit_code, 3);
  expect_nobody_left();
  EXPECT_FALSE(fs::exists(home() / "HALT"));
  expect_latched();
  folder_.write("task.sh", "echo \"loss: $1\"\n");
  EXPECT_EQ(run(folder_, {"run", "study.yaml", "--plain"}).exit_code, 0) << "another run of the home may start";
}

TEST_F(Halts, AnOrchestratorThatHangsIsHaltedWithoutItsHelp) {
  begin();
  program_->signal(SIGSTOP);
  EXPECT_NE(run(folder_, {"status"}).output.find("its orchestrator does not answer"), std::string::npos);
  const auto halted = run(folder_, {"halt", "--reason", "it hangs"});
  EXPECT_EQ(halted.exit_code, 0) << halted.output;
  EXPECT_NE(halted.output.find("does not answer"), std::string::npos) << halted.output;
  EXPECT_NE(halted.output.find("halt confirmed (offline"), std::string::npos) << halted.output;
  auto alive = alive_in(folder_);
  std::erase(alive, program_->pid());
  EXPECT_TRUE(alive.empty());
  program_->signal(SIGCONT);
  EXPECT_EQ(program_->wait().exit_code, 3) << "it obeys when it wakes up";
  expect_latched();
  const auto told = run(folder_, {"status"});
  EXPECT_NE(told.output.find("(offline): it hangs (1 keeper was seen to be gone after "), std::string::npos)
      << "who halted, why and how long it took stands in the journal: " << told.output;
}

TEST_F(Halts, ASlipInTheNameIsNoHaltAndSaysSo) {
  begin();
  const std::string id = run_id();
  const auto refused = run(folder_, {"halt", id.substr(0, 12) + "smal" + id.substr(17)});
  EXPECT_EQ(refused.exit_code, 5) << refused.output;
  EXPECT_NE(refused.output.find("NOTHING was halted"), std::string::npos) << refused.output;
  EXPECT_FALSE(program_->ended_within(std::chrono::milliseconds(0)));
  EXPECT_FALSE(alive_in(folder_).empty());
}

TEST_F(Halts, ASecondHaltIsHarmless) {
  begin();
  EXPECT_EQ(run(folder_, {"halt", "--reason", "first"}).exit_code, 0);
  program_->wait();
  for (const auto& again : {std::vector<std::string>{"halt"}, std::vector<std::string>{"halt", "--offline"}}) {
    const auto second = run(folder_, again);
    EXPECT_EQ(second.exit_code, 0) << second.output;
    EXPECT_NE(second.output.find("nothing was running"), std::string::npos) << second.output;
  }
  expect_latched();
}

TEST_F(Halts, WhenNothingRunsTheHomeIsLatchedAndNothingStartsBeforeTheRelease) {
  const auto study = write_study(folder_, {.experiments = 2});
  ASSERT_EQ(run(folder_, {"run", study, "--plain"}).exit_code, 0);
  EXPECT_EQ(run(folder_, {"halt", "--reason", "maintenance"}).exit_code, 0);
  const auto refused = run(folder_, {"run", study, "--plain"});
  EXPECT_EQ(refused.exit_code, 3) << refused.output;
  EXPECT_NE(refused.output.find("maintenance"), std::string::npos) << refused.output;
  EXPECT_EQ(run_json(folder_, {"runs"}).size(), 1u);
  EXPECT_EQ(run(folder_, {"release", "--reason", " "}).exit_code, 2) << "a release needs a reason";
  EXPECT_EQ(run(folder_, {"release"}).exit_code, 2);
  EXPECT_EQ(run(folder_, {"release", "--reason", "done"}).exit_code, 0);
  EXPECT_EQ(run(folder_, {"release", "--reason", "again"}).exit_code, 5) << "there is nothing to release";
  EXPECT_EQ(run(folder_, {"run", study, "--plain"}).exit_code, 0);
}

TEST_F(Halts, AHaltFileThatLiesThereAlreadyKeepsARunFromStarting) {
  const auto study = write_study(folder_, {.experiments = 2});
  ASSERT_EQ(run(folder_, {"run", study, "--plain"}).exit_code, 0);
  std::ofstream(home() / "HALT") << "";
  EXPECT_EQ(run(folder_, {"run", study, "--plain"}).exit_code, 3);
  fs::remove(home() / "HALT");
  EXPECT_EQ(run(folder_, {"run", study, "--plain"}).exit_code, 3) << "deleting the file lifts nothing";
  EXPECT_EQ(run_json(folder_, {"runs"}).size(), 1u);
}

TEST_F(Halts, ALatchThatCannotBeWrittenStopsNoKill) {
  begin();
  for (const fs::path& latch : {home() / "latch", home() / "runs" / run_id() / "latch"}) {
    fs::remove(latch);
    fs::create_directory(latch);  // root, too, cannot write to that
  }
  EXPECT_EQ(run(folder_, {"halt"}).exit_code, 0);
  EXPECT_EQ(program_->wait().exit_code, 3);
  expect_nobody_left();
  expect_latched();
}

TEST_F(Halts, ALatchFileThatWasDeletedCountsAsClosed) {
  const auto study = write_study(folder_, {.experiments = 2});
  ASSERT_EQ(run(folder_, {"run", study, "--plain"}).exit_code, 0);
  fs::remove(home() / "latch");
  const auto refused = run(folder_, {"run", study, "--plain"});
  EXPECT_EQ(refused.exit_code, 3) << refused.output;
  EXPECT_NE(refused.output.find("counts as halted"), std::string::npos) << refused.output;
}

TEST_F(Halts, WithoutAHomeSayWhereTheyLooked) {
  const auto nothing = run(folder_, {"halt"});
  EXPECT_EQ(nothing.exit_code, 5);
  EXPECT_NE(nothing.output.find(folder_.path().string()), std::string::npos) << nothing.output;
  EXPECT_FALSE(fs::exists(home())) << "a halt makes no home";
}

TEST_F(Halts, EverythingReachesAllHomesOfTheMachineAndOnlyThem) {
  const Folder other;
  const Folder registry;  // not the machine's: others may run here
  const std::map<std::string, std::string> runtime{{"OVERNIGHT_REGISTRY", registry.path().string()}};
  const auto one = start_endless(folder_, runtime), two = start_endless(other, runtime);
  Program halt({overnight(), "halt", "--everything", "--json"}, folder_.path(), runtime);
  const auto halted = halt.wait();
  EXPECT_EQ(halted.exit_code, 0) << halted.output;
  std::set<std::string> homes;
  for (const json& each : json::parse(halted.output, nullptr, false)) homes.insert(each["home"].get<std::string>());
  EXPECT_EQ(homes.size(), 2u);
  for (const Folder* folder : {&std::as_const(folder_), &other})
    EXPECT_TRUE(homes.contains((folder->path() / ".overnight").string())) << halted.output;
  EXPECT_EQ(one->wait().exit_code, 3);
  EXPECT_EQ(two->wait().exit_code, 3);
  EXPECT_TRUE(alive_in(other).empty());
}

TEST_F(Halts, AHoldAdmitsNothingNewUntilItIsReleased) {
  Gate gate(folder_);
  const auto study = write_study(folder_, {.script = gate.wait() + "\necho \"loss: $1\"\n", .experiments = 2});
  Program program({overnight(), "run", study, "--plain"}, folder_.path());
  ASSERT_TRUE(program.says("run started"));
  EXPECT_EQ(run(folder_, {"hold"}).exit_code, 2) << "a hold needs a reason";
  EXPECT_EQ(run(folder_, {"hold", "nosuchrun", "--reason", "x"}).exit_code, 5);
  EXPECT_EQ(run_json(folder_, {"hold", "--reason", "look first"}), (json{{"run", run_id()}, {"held", true}}));
  ASSERT_TRUE(program.says("look first"));
  gate.open();
  EXPECT_EQ(run_json(folder_, {"status"})["hold"]["reason"], "look first");
  EXPECT_EQ(run_json(folder_, {"release", run_id(), "--reason", "looked"}),
            (json{{"released", json::array({run_id()})}, {"home", false}}));
  ASSERT_TRUE(program.says("released by"));
  EXPECT_EQ(program.wait().exit_code, 0);
}

// ---- a service manager after a reboot ----

class Interrupted : public Halts {};

TEST_F(Interrupted, AKilledRunIsResumedOnceAndToItsEnd) {
  begin();
  program_->signal(SIGKILL);
  program_->wait();
  folder_.write("task.sh", "echo \"loss: $1\"\n");
  const auto resumed = run(folder_, {"resume", "--interrupted", "--plain"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.output;
  EXPECT_NE(resumed.output.find("run resumed"), std::string::npos);
  const auto again = run(folder_, {"resume", "--interrupted", "--plain"});
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_NE(again.output.find("nothing to resume"), std::string::npos) << again.output;
}

TEST_F(Interrupted, TerminatedByAServiceManagerTheRunStaysUnfinishedAndIsResumed) {
  begin();
  program_->signal(SIGTERM);
  const auto ended = program_->wait();
  EXPECT_EQ(ended.exit_code, 3) << ended.output;
  expect_nobody_left();
  folder_.write("task.sh", "echo \"loss: $1\"\n");
  EXPECT_NE(run(folder_, {"resume", "--interrupted", "--plain"}).output.find("run resumed"), std::string::npos);
}

TEST_F(Interrupted, TwoRunsThatWereCutOffAreBothResumed) {
  for (int i = 0; i < 2; ++i) {
    begin();
    program_->signal(SIGKILL);
    program_->wait();
  }
  folder_.write("task.sh", "echo \"loss: $1\"\n");
  EXPECT_EQ(run(folder_, {"resume", "--interrupted", "--plain"}).exit_code, 0);
  const json runs = run_json(folder_, {"runs"});
  ASSERT_EQ(runs.size(), 2u);
  for (const json& one : runs) EXPECT_EQ(one["end"]["kind"], "done");
}

TEST_F(Interrupted, WhatAPersonStoppedStaysStopped) {
  const auto expect_untouched = [&](const std::string& how) {
    const auto resumed = run(folder_, {"resume", "--interrupted", "--plain"});
    EXPECT_EQ(resumed.exit_code, 0) << how << ": " << resumed.output;
    EXPECT_EQ(resumed.output.find("run resumed"), std::string::npos) << how;
  };
  expect_untouched("no home");
  begin();  // drained to its end by two interrupts
  program_->signal(SIGINT);
  ASSERT_TRUE(program_->says("draining"));
  program_->signal(SIGINT);
  program_->wait();
  expect_untouched("stopped");
  begin();  // drained, and cut off before it had ended
  program_->signal(SIGINT);
  ASSERT_TRUE(program_->says("draining: nothing new starts"));
  program_->signal(SIGKILL);
  program_->wait();
  expect_untouched("draining");
  begin();
  EXPECT_EQ(run(folder_, {"hold", "--reason", "wait"}).exit_code, 0);
  program_->signal(SIGKILL);
  program_->wait();
  expect_untouched("held");
  begin();
  program_->signal(SIGKILL);
  program_->wait();
  EXPECT_EQ(run(folder_, {"halt", run_id(), "--offline"}).exit_code, 0);
  expect_untouched("run latched offline");
  EXPECT_EQ(run(folder_, {"halt", "--offline"}).exit_code, 0);
  expect_untouched("home latched offline");
}

}  // namespace
}  // namespace overnight::system_tests
