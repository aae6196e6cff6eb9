#include "workers/keeper/environment.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "tests/workers/keeper/kept_attempt.h"

namespace overnight::workers {
namespace {

class EnvironmentTest : public testing::Test {
 protected:
  std::map<std::string, std::string> made() {
    return environment_of(order_, order_.phases[0], {"/a/work", "/a/home", "/a/tmp"}, inherited_, deadline_,
                          "/opt/bin");
  }
  EnvironmentTest() {
    order_.directory = "/a";
    order_.run = "r";
    order_.seed = 5;
    order_.cpus = {2, 3};
    order_.phases = {PhaseOrder{}};
  }
  Order order_;
  std::int64_t deadline_ = 1'500;
  InheritedEnvironment inherited_{
      std::vector<std::string>{"PATH=/venv/bin", "OPENAI_API_KEY=s", "AWS_SECRET=s", "USER=ada", "OVERNIGHT_HOME=/h"}};
};

TEST_F(EnvironmentTest, InheritsNothingThatIsNotNamed) {
  const auto env = made();
  EXPECT_FALSE(env.contains("OPENAI_API_KEY"));
  EXPECT_FALSE(env.contains("AWS_SECRET"));
  EXPECT_FALSE(env.contains("OVERNIGHT_HOME"));
  EXPECT_EQ(env.at("PATH").find("/venv"), std::string::npos);
  EXPECT_EQ(env.at("USER"), "ada");
}

TEST_F(EnvironmentTest, PassesOnWhatIsNamedButNeverASecretOrOurOwn) {
  order_.env_pass = {"PATH", "OPENAI_API_KEY", "OVERNIGHT_HOME", "NOT_SET"};
  order_.env_secret = {"OPENAI_API_KEY"};
  const auto env = made();
  EXPECT_EQ(env.at("PATH"), "/venv/bin:/opt/bin");
  EXPECT_FALSE(env.contains("OPENAI_API_KEY"));
  EXPECT_FALSE(env.contains("OVERNIGHT_HOME"));
  EXPECT_FALSE(env.contains("NOT_SET"));
}

TEST_F(EnvironmentTest, GivesASecretToThePhaseThatNamesItAlone) {
  order_.env_secret = {"OPENAI_API_KEY"};
  order_.phases[0].secrets = {"OPENAI_API_KEY", "NOT_SET"};
  EXPECT_EQ(made().at("OPENAI_API_KEY"), "s");
  EXPECT_FALSE(made().contains("NOT_SET"));
  order_.phases[0].secrets.clear();
  EXPECT_FALSE(made().contains("OPENAI_API_KEY"));
}

TEST_F(EnvironmentTest, NamesTheUserWhereTheOrchestratorHadNoName) {
  inherited_ = InheritedEnvironment(std::vector<std::string>{"USERS=ada"});
  EXPECT_FALSE(inherited_.find("USER")) << "a name is a whole name";
  const std::string user = made().at("USER");
  EXPECT_EQ(made().at("LOGNAME"), user);
  if (::getuid() == 0) {
    EXPECT_EQ(user, "root");
  }
}

// What is forked ahead lies open for a moment before its exec: it must not hold the orchestrator's secrets.
TEST(InheritedEnvironment, IsEmptyInEveryProcessForkedFromHere) {
  const InheritedEnvironment inherited(std::vector<std::string>{"A=1", "KEY=secret"});
  EXPECT_EQ(inherited.find("KEY"), "secret");
  const pid_t child = ::fork();
  if (child == 0) ::_exit(inherited.find("KEY") || inherited.find("A") ? 1 : 0);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "the child found what it must not have";
  EXPECT_EQ(inherited.find("KEY"), "secret");
}

TEST(InheritedEnvironment, TakesTheProcesssOwnAway) {
  const pid_t child = ::fork();  // not from the tests themselves
  if (child == 0) {
    ::setenv("OVN_TEST_TAKEN", "secret", 1);
    const InheritedEnvironment inherited = InheritedEnvironment::take();
    ::_exit(inherited.find("OVN_TEST_TAKEN") == "secret" && !::getenv("OVN_TEST_TAKEN") ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(EnvironmentTest, KeepsEveryCacheOfAnMlProgramInThePrivateHome) {
  const auto env = made();
  for (const char* name :
       {"HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TORCH_HOME", "HF_HOME", "TRITON_CACHE_DIR",
        "CUDA_CACHE_PATH", "TORCHINDUCTOR_CACHE_DIR", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "PYTHONPYCACHEPREFIX"})
    EXPECT_TRUE(env.at(name).starts_with("/a/home")) << name;
  EXPECT_EQ(env.at("TMPDIR"), "/a/tmp");
}

TEST_F(EnvironmentTest, SharesTheCpusOutToTheMathLibraries) {
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OVERNIGHT_CPUS"})
    EXPECT_EQ(made().at(name), "2") << name;
  order_.env = {{"OMP_NUM_THREADS", "1"}};
  EXPECT_EQ(made().at("OMP_NUM_THREADS"), "1") << "the study may say otherwise";
}

TEST_F(EnvironmentTest, ShowsOnlyTheGpusOfTheSlot) {
  EXPECT_EQ(made().at("CUDA_VISIBLE_DEVICES"), "") << "none, not all";
  order_.gpus = {"GPU-aaaa", "GPU-bbbb"};
  order_.env = {{"CUDA_VISIBLE_DEVICES", "0,1,2,3"}};
  EXPECT_EQ(made().at("CUDA_VISIBLE_DEVICES"), "GPU-aaaa,GPU-bbbb") << "the study cannot take more";
}

TEST_F(EnvironmentTest, TellsTheTaskWhatTheProtocolPromises) {
  const auto env = made();
  EXPECT_EQ(env.at("OVERNIGHT_EXPERIMENT"), "/a/experiment.json");
  EXPECT_EQ(env.at("OVERNIGHT_METRICS"), "/a/metrics.jsonl");
  EXPECT_EQ(env.at("OVERNIGHT_ARTIFACTS"), "/a/artifacts");
  EXPECT_EQ(env.at("OVERNIGHT_SEED"), "5");
  EXPECT_EQ(env.at("OVERNIGHT_DEADLINE"), "1.500");
  deadline_ = 0;
  EXPECT_FALSE(made().contains("OVERNIGHT_DEADLINE"));
}

TEST(FindProgram, LooksInThePathAndTakesPathsFromTheWorkFolder) {
  const Folder folder;
  folder.write("run.sh", "#!/bin/sh\n");
  std::filesystem::create_directory(folder.path() / "sh");
  const std::string work = folder.path().string();
  EXPECT_EQ(find_program("./run.sh", "/bin", work), work + "/./run.sh");
  EXPECT_EQ(find_program("run.sh", "/bin:" + work, "/"), work + "/run.sh");
  EXPECT_EQ(find_program("sh", work + ":/bin", "/"), "/bin/sh") << "a folder is no program";
  EXPECT_EQ(find_program("no-such-program", "/bin:/usr/bin", work), "");
  EXPECT_EQ(find_program("./missing", "/bin", work), "");
}

}  // namespace
}  // namespace overnight::workers
