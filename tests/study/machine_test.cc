// check_machine against a folder that each test makes for itself.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "tests/study/studies.h"

namespace overnight::study {
namespace {

namespace fs = std::filesystem;

class Machine : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "overnight_study_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    write("train.py", false);
    write("score.py", false);
    write("bin/python3", true);
    write("run.sh", true);
    study_.task.workspace = folder_.string();
    study_.task.train.command = {"python3", "train.py"};
    study_.task.env["PATH"] = (folder_ / "bin").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const std::string& name, bool executable) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << "#!/bin/sh\n";
    if (executable) fs::permissions(folder_ / name, fs::perms::owner_all);
  }
  std::string said() const { return words_of(check_machine(parsed_).errors); }
  void expect_said(const std::string& words) const { EXPECT_NE(said().find(words), std::string::npos) << said(); }

  fs::path folder_;
  Parsed parsed_;
  core::Study& study_ = parsed_.study;
};

TEST_F(Machine, WithEverythingThereSaysNothing) {
  study_.task.mounts = {folder_.string()};
  study_.task.validation_data = (folder_ / "train.py").string();
  study_.task.evaluate = core::PhaseSpec{{"./run.sh"}, {}, {}};
  EXPECT_EQ(said(), "");
}

TEST_F(Machine, NamesProgramsThatAreNotThere) {
  study_.task.train.command = {"no-such-program-anywhere"};
  expect_said(": task.train.command: \"no-such-program-anywhere\" is not found on the PATH that the task will see (");
  study_.task.train.command = {"/no/such"};
  expect_said("/no/such is not there or cannot be executed");
  study_.task.train.command = {"./train.py"};  // there, but no program
  expect_said("./train.py is not there or cannot be executed (looked in the workspace ");
}

TEST_F(Machine, TellsHowToPassOnThePathThatHasTheProgram) {
  study_.task.env["PATH"] = "/nowhere";
  study_.task.train.command = {"sh"};
  expect_said("it is on yours: pass it on with task.env_pass: [PATH]");
}

TEST_F(Machine, RefusesMoreCpusThanThereAre) {
  study_.task.cpus = 1000;
  expect_said("task.resources.cpus: 1000 for an attempt, but only ");
}

TEST_F(Machine, NamesAScriptThatIsNotInTheWorkspace) {
  study_.task.train.command = {"python3", "other.py"};
  expect_said("other.py is not there (looked in the workspace ");
  study_.task.workspace.clear();
  expect_said("name the folder it lies in as task.workspace");
}

TEST_F(Machine, ExpectsNothingOfWhatABuildPhaseMayMake) {
  study_.task.build = core::PhaseSpec{{"./run.sh"}, {}, {}};
  study_.task.train.command = {"./not-yet-built"};
  EXPECT_EQ(said(), "");
}

TEST_F(Machine, KnowsThatOurOwnProgramsLieBesideTheKeeper) {
  study_.task.train.command = {"overnight-train", "{experiment}"};
  EXPECT_EQ(said(), "");
}

TEST_F(Machine, NamesFoldersDataAndVariablesThatAreMissing) {
  study_.task.workspace = "/no/workspace";
  study_.task.mounts = {"/no/mount"};
  study_.task.validation_data = "/no/valid";
  study_.task.holdout_data = "/no/holdout";
  study_.task.secrets = {{"OVN_TEST_NO_SUCH_SECRET", "train"}};
  core::ProposerSpec llm{"llm", "llm", 1, {{"api_key_env", "OVN_TEST_NO_SUCH_KEY"}}, {}, {}};
  core::ProposerSpec command{"command", "command", 1, {{"env_pass", "OVN_TEST_NO_SUCH_TOKEN"}}, {}, {"/no/asker"}};
  study_.proposers = {llm, command};
  for (const char* words :
       {"task.workspace: /no/workspace is not a folder", "task.mounts: /no/mount does not exist",
        "task.evaluate.private.validation: /no/valid does not exist", "holdout: /no/holdout does not exist",
        "task.secrets: OVN_TEST_NO_SUCH_SECRET is not set", "proposers[0].api_key_env: OVN_TEST_NO_SUCH_KEY is not set",
        "proposers[1].command: /no/asker is not found", "proposers[1].env_pass: OVN_TEST_NO_SUCH_TOKEN is not set"})
    expect_said(words);
}

TEST_F(Machine, SaysWhereInTheStudyItStands) {
  auto parsed = parse_study(least, folder_ / "study.yaml", {"task.workspace=/no/workspace"});
  ASSERT_TRUE(parsed);
  parsed->study.task.secrets = {{"OVN_TEST_NO_SUCH_SECRET", "train"}};
  parsed->study.task.evaluate->command = {"/no/score"};
  const std::string words = words_of(check_machine(*parsed).errors);
  for (const char* expected : {"/study.yaml:5:23: task.evaluate.command: /no/score",
                               "--set task.workspace=/no/workspace: task.workspace: /no/workspace",
                               "/study.yaml:4:3: task.secrets: OVN_TEST"})  // the nearest that is written down
    EXPECT_NE(words.find(expected), std::string::npos) << words;
}

TEST_F(Machine, WarnsOfAMemoryLimitThatItIsTooSmallFor) {
  EXPECT_TRUE(check_machine(parsed_).warnings.empty());
  study_.attempt.memory = budgets::Bytes::of(std::int64_t{1} << 55);
  ASSERT_EQ(check_machine(parsed_).warnings.size(), 1u);
  EXPECT_EQ(check_machine(parsed_).warnings[0].path, "budgets.attempt.memory");
  EXPECT_TRUE(check_machine(parsed_).errors.empty()) << "the limit is allowed, only useless";
}

TEST_F(Machine, IsLookedAtTooWhenTheTextHasFaults) {
  const std::vector<std::string> wrong = {"governor.holdpatience=1h", "task.workspace=/no/workspace",
                                          "task.evaluate.command={a: 1}"};
  const Findings found = read_study_here(least, folder_ / "study.yaml", wrong);
  EXPECT_FALSE(found.study);
  const std::string words = words_of(found.errors);
  for (const char* expected : {"holdpatience", "/no/workspace is not a folder", "task.evaluate.command"})
    EXPECT_NE(words.find(expected), std::string::npos) << words;
  const std::string mine = ": task.evaluate.command:";
  EXPECT_EQ(words.find(mine), words.rfind(mine)) << "one complaint each: " << words;
}

TEST_F(Machine, IsNotAskedAboutWhatIsNoStudy) {
  const Findings found = read_study_here("- 1\n", folder_ / "study.yaml");
  EXPECT_FALSE(found.study);
  EXPECT_EQ(found.errors.size(), 1u) << words_of(found.errors);
}

}  // namespace
}  // namespace overnight::study
