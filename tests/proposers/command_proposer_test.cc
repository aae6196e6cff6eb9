// Outside programs as proposers: what is said on the wire, what they may do wrong, and that nothing of them is left.
#include "orchestrator/proposers/command_proposer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "orchestrator/proposers/command_wire.h"
#include "orchestrator/proposers/make_proposer.h"
#include "tests/proposers/asked.h"
#include "tests/proposers/mutated.h"

namespace overnight::proposers {
namespace {

using budgets::Millis;
using nlohmann::json;
namespace fs = std::filesystem;

core::Study study() {
  core::Study study;
  study.name = "tiny";
  study.objective = {"loss", core::Direction::minimize, 0};
  study.space = mixed_space();
  study.baseline = {{"lr", 0.01}, {"depth", std::int64_t{4}}, {"mixer", std::string("conv")}};
  return study;
}

ports::AskRequest asking(std::int64_t ask = 7) {
  ports::AskRequest request;
  request.ask = core::AskId{ask};
  request.count = 2;
  request.seed = 11;
  return request;
}

ports::KnownTrial trial(std::int64_t id, std::optional<double> score) {
  return {core::ExperimentId{id}, {{"lr", 0.5}}, score, score ? "" : "crash in train", "tpe", "why"};
}

// A folder for scripts and logs.
class CommandTest : public testing::Test {
 protected:
  CommandTest() {
    std::string name = (fs::temp_directory_path() / "overnight-command-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~CommandTest() override { fs::remove_all(folder_); }

  std::string read(const std::string& name) const {
    std::ifstream in(folder_ / name, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }

  CommandSettings shell(const std::string& script) const {
    CommandSettings settings;
    settings.name = "mine";
    settings.timeout = budgets::seconds(30);
    settings.program.command = {"/bin/sh", "-c", script};
    settings.program.env = {{"PATH", "/usr/bin:/bin"}};
    settings.program.folder = folder_.string();
    settings.program.log = (folder_ / "log").string();
    settings.program.line_bytes_max = 10'000;
    return settings;
  }

  // Once asked, a program that runs `script` for each line of the ask ($line).
  CommandSettings on_ask(const std::string& script) const {
    return shell("while read -r line; do case $line in *'\"type\":\"ask\"'*) " + script + ";; esac; done");
  }

  fs::path folder_;
};

const std::string offer =
    R"({"type":"offers","ask":7,"proposals":[{"params":{"lr":0.01,"depth":4,"mixer":"conv"},"hypothesis":"h","parents":[1,99]}]})";

std::string says(const std::string& line) { return "echo '" + line + "'"; }

// Whether the process is gone, at the latest in ten seconds.
bool gone(pid_t pid) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return true;
  pollfd wait{fd, POLLIN, 0};
  const bool ended = poll(&wait, 1, 10'000) == 1;
  close(fd);
  return ended;
}

// ---- the wire ----

TEST(CommandWire, TellsTheStudyTheHistoryAndTheAsk) {
  const json hello = json::parse(hello_line(study(), "mine"));
  EXPECT_EQ(hello["protocol"], 1);
  EXPECT_EQ(hello["objective"]["direction"], "minimize");
  EXPECT_EQ(hello["space"][0],
            (json{{"name", "lr"}, {"type", "float"}, {"low", 1e-4}, {"high", 0.1}, {"scale", "log"}}));
  EXPECT_EQ(hello["space"][2]["values"].size(), 3u);
  EXPECT_EQ(hello["space"][3]["when"]["mixer"][0], "mamba2");
  EXPECT_EQ(json::parse(tell_line(trial(3, 0.5)))["score"], 0.5);
  const json failed = json::parse(tell_line(trial(3, std::nullopt)));
  EXPECT_TRUE(failed["score"].is_null());
  EXPECT_EQ(failed["failure"], "crash in train");
  ports::AskRequest request = asking();
  request.pending = {{{"lr", 0.25}}};
  const json ask = json::parse(ask_line(request));
  EXPECT_EQ(ask["ask"], 7);
  EXPECT_EQ(ask["count"], 2);
  EXPECT_EQ(ask["pending"][0]["lr"], 0.25);
}

TEST(CommandWire, ALineThatIsNoAnswerIsRefusedWithAReason) {
  const auto why = [](const std::string& line) {
    const auto answer = answer_of(line, asking(), mixed_space());
    return answer ? std::string("taken") : answer.error();
  };
  EXPECT_EQ(why(offer), "taken");
  EXPECT_EQ(why("hello").find("its line cannot be read: it is not JSON"), 0u);
  EXPECT_EQ(why("[1]"), "its line is no JSON object");
  EXPECT_EQ(why(R"({"type":"offers","type":"offers"})"), "its line cannot be read: the key \"type\" is given twice");
  EXPECT_EQ(why(R"({"ask":7})"), "its line is neither offers nor failure, but \"\"");
  EXPECT_EQ(why(R"({"type":"offers","ask":6,"proposals":[]})"), "it answers ask 6 where ask 7 was put to it");
  EXPECT_EQ(why(R"({"type":"offers","proposals":[]})"), "it answers ask without a number where ask 7 was put to it");
  EXPECT_EQ(why(R"({"type":"offers","ask":7})"), "its offers have no list of proposals");
  EXPECT_EQ(why(R"({"type":"offers","ask":7,"proposals":[],"exhausted":1})"), "exhausted must be true or false");
  EXPECT_EQ(why(R"({"type":"offers","ask":7,"proposals":[],"cost":1})"),
            "its offers have a key that is not known: cost");
  EXPECT_EQ(why(R"({"type":"failure","ask":7,"why":"x"})"), "its failure has a key that is not known: why");
}

TEST(CommandWire, AnswersSayWhatWasOfferedWhatFailedAndWhetherMoreWillCome) {
  ports::AskRequest request = asking();
  request.history = {trial(1, 0.5)};
  const auto good = answer_of(offer, request, mixed_space());
  ASSERT_TRUE(good);
  EXPECT_EQ(good->proposals.at(0).parents, std::vector<core::ExperimentId>{core::ExperimentId{1}});
  const auto over = answer_of(R"({"type":"offers","ask":7,"proposals":[],"exhausted":true})", request, mixed_space());
  EXPECT_TRUE(over->exhausted);
  EXPECT_EQ(over->failure, "");
  const auto bad = answer_of(R"({"type":"offers","ask":7,"proposals":[{"params":{"lr":9}}]})", request, mixed_space());
  EXPECT_EQ(bad->refused, 1);
  EXPECT_EQ(bad->failure, "it offered nothing usable: proposals[0].params.lr: 9 is above 0.1");
  const auto half =
      answer_of(R"({"type":"offers","ask":7,"proposals":[{"params":{"lr":9}},)" + offer.substr(offer.find("{\"params")),
                request, mixed_space());
  ASSERT_TRUE(half) << half.error();
  EXPECT_EQ(half->proposals.size(), 1u);
  EXPECT_EQ(half->remark, "1 of its proposals was refused: proposals[0].params.lr: 9 is above 0.1");
  const auto failed = answer_of(R"({"type":"failure","ask":7,"reason":"no\nidea"})", request, mixed_space());
  EXPECT_EQ(failed->failure, "no idea");
  EXPECT_EQ(answer_of(R"({"type":"failure","ask":7})", request, mixed_space())->failure,
            "it failed and gave no reason");
}

RC_GTEST_PROP(CommandFuzz, WhateverLineComesIsAnAnswerWithinTheSpaceOrARefusalWithAReason, ()) {
  const auto answer = answer_of(mutated(offer), asking(), mixed_space());
  if (!answer) RC_ASSERT(!answer.error().empty());
  if (!answer) return;
  RC_ASSERT(!answer->proposals.empty() || answer->exhausted || !answer->failure.empty());
  for (const core::Proposal& proposal : answer->proposals)
    RC_ASSERT(core::canonical(mixed_space(), proposal.params) == proposal.params);
}

// ---- the program ----

TEST_F(CommandTest, IsStartedOnceToldWhatIsNewAndAsked) {
  CommandProposer proposer(study(), on_ask("echo \"$line\" >> asks; " + says(offer)));
  ports::AskRequest request = asking();
  EXPECT_EQ(proposer.ask(request).failure, "");
  request.history.push_back(trial(1, 0.5));
  const auto answer = proposer.ask(request);
  EXPECT_EQ(answer.failure, "");
  EXPECT_EQ(answer.remark, "");
  EXPECT_EQ(answer.proposals.at(0).hypothesis, "h");
  const std::string asks = read("asks");
  EXPECT_EQ(std::count(asks.begin(), asks.end(), '\n'), 2);
}

TEST_F(CommandTest, AfterItDiedItIsStartedAgainAndToldTheWholeHistory) {
  const std::string script =
      "echo start >> seen; n=0; while read -r line; do echo \"$line\" >> seen; case $line in *'\"type\":\"ask\"'*) "
      "n=$((n+1)); "
      "if [ $n = 2 ]; then exit 3; fi; " +
      says(offer) + ";; esac; done";
  CommandProposer proposer(study(), shell(script));
  ports::AskRequest request = asking();
  request.history = {trial(1, 0.5)};
  EXPECT_EQ(proposer.ask(request).failure, "");
  request.history.push_back(trial(2, 0.4));
  EXPECT_EQ(proposer.ask(request).failure.find("it ended with status 3; what it wrote to stderr is in "), 0u);
  request.history.push_back(trial(3, std::nullopt));
  const auto again = proposer.ask(request);
  EXPECT_EQ(again.failure, "");
  EXPECT_EQ(again.remark, "its program was started again (start 2)");
  const std::string seen = read("seen");
  const std::string second_life = seen.substr(seen.rfind("start\n"));
  for (const char* told : {"\"type\":\"hello\"", "\"experiment\":1", "\"experiment\":2", "\"experiment\":3"})
    EXPECT_NE(second_life.find(told), std::string::npos) << told << "\n" << second_life;
}

TEST_F(CommandTest, AProgramThatEndedBetweenAsksIsStartedAgainAtOnce) {
  CommandProposer proposer(study(), shell("while read -r line; do case $line in *'\"type\":\"ask\"'*) " + says(offer) +
                                          "; exit 0;; esac; done"));
  EXPECT_EQ(proposer.ask(asking()).failure, "");
  // It may be seen to have ended before the next ask, or during it.
  ports::Answer answer = proposer.ask(asking());
  if (!answer.failure.empty()) answer = proposer.ask(asking());
  EXPECT_EQ(answer.failure, "");
  EXPECT_EQ(answer.remark, "its program was started again (start 2)");
}

TEST_F(CommandTest, WhatItDoesWrongIsAFailureWithAReason) {
  const auto failure = [&](const CommandSettings& settings) {
    return CommandProposer(study(), settings).ask(asking()).failure;
  };
  EXPECT_EQ(failure(on_ask("echo thinking...")).find("its line cannot be read: it is not JSON"), 0u);
  EXPECT_EQ(failure(on_ask("exit 4")).find("it ended with status 4; what it wrote to stderr is in "), 0u);
  EXPECT_EQ(failure(on_ask("kill -KILL $$")), "it was killed by signal 9");
  EXPECT_EQ(failure(shell("exec cat /dev/zero")), "it wrote a line longer than 10000 bytes");
  EXPECT_EQ(failure(shell("exit 0")).find("it ended with status 0; what it wrote to stderr is in "), 0u);
  ports::AskRequest long_history = asking();
  for (std::int64_t i = 1; i <= 5000; ++i) long_history.history.push_back(trial(i, 0.5));
  EXPECT_EQ(CommandProposer(study(), shell(says(offer) + "; exec sleep 1000")).ask(long_history).failure,
            "it wrote a line before it was asked");
  CommandSettings missing = shell("");
  missing.program.command = {"no-such-program"};
  EXPECT_EQ(failure(missing), "no-such-program is not found or cannot be executed");
  missing.program.command = {"/etc/passwd"};
  EXPECT_EQ(failure(missing), "/etc/passwd is not found or cannot be executed");
  CommandSettings slow = on_ask("exec sleep 1000");
  slow.timeout = Millis::of(100);
  EXPECT_EQ(failure(slow), "it did not answer within 0 s");
}

TEST_F(CommandTest, ALongHistoryPassesToAProgramThatIsSlowToRead) {
  ports::AskRequest request = asking();
  for (std::int64_t i = 1; i <= 5000; ++i) request.history.push_back(trial(i, 0.5));
  CommandProposer proposer(study(), shell("head -c 300000 > /dev/null; while read -r line; do case "
                                          "$line in *'\"type\":\"ask\"'*) " +
                                          says(offer) + ";; esac; done"));
  EXPECT_EQ(proposer.ask(request).failure, "");
}

TEST_F(CommandTest, SeesNothingOfThisProcessButWhatItIsGiven) {
  setenv("OVERNIGHT_TEST_SECRET", "sk-very-secret", 1);
  const int open_file = open("/dev/null", O_RDONLY);  // inherited by anything that does not take care
  core::Study with_command = study();
  core::ProposerSpec spec{.kind = "command", .name = "mine"};
  spec.command = {"/bin/sh", "-c",
                  "env > env; ls /proc/self/fd > fds; while read -r line; do case $line in *'\"type\":\"ask\"'*) " +
                      says(offer) + ";; esac; done"};
  with_command.proposers.push_back(spec);
  Surroundings around;
  around.folder = folder_.string();
  around.environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  unsetenv("OVERNIGHT_TEST_TOKEN");
  with_command.proposers[0].settings["env_pass"] = "OVERNIGHT_TEST_TOKEN OVERNIGHT_TEST_NOT_SET";
  EXPECT_EQ(make_proposer(with_command, 0, around).error(),
            "env_pass: OVERNIGHT_TEST_TOKEN is not set in this environment; export it first");
  setenv("OVERNIGHT_TEST_TOKEN", "given", 1);
  with_command.proposers[0].settings["env_pass"] = "OVERNIGHT_TEST_TOKEN";
  auto proposer = make_proposer(with_command, 0, around);
  ASSERT_TRUE(proposer) << proposer.error();
  EXPECT_EQ((*proposer)->ask(asking()).failure, "");
  close(open_file);
  const std::string env = read("env");
  EXPECT_EQ(env.find("sk-very-secret"), std::string::npos) << env;
  EXPECT_NE(env.find("OVERNIGHT_TEST_TOKEN=given"), std::string::npos) << env;
  EXPECT_NE(env.find("OVERNIGHT_PROPOSER=mine"), std::string::npos);
  EXPECT_NE(env.find("PATH="), std::string::npos);
  EXPECT_EQ(read("fds").find_first_of("456789"), std::string::npos) << read("fds");
}

TEST_F(CommandTest, ItsStderrGoesToALogThatStopsGrowing) {
  CommandSettings chatty = on_ask("echo first >&2; head -c 100000 /dev/zero >&2; " + says(offer));
  chatty.program.log_bytes_max = 5000;
  {
    CommandProposer proposer(study(), chatty);
    EXPECT_EQ(proposer.ask(asking()).failure, "");
  }
  EXPECT_EQ(read("log").substr(0, 6), "first\n");
  EXPECT_LE(fs::file_size(folder_ / "log"), 5000u);
  EXPECT_GT(fs::file_size(folder_ / "log"), 1000u);
}

TEST_F(CommandTest, ItsWholeTreeIsGoneWhenTheProposerIs) {
  const std::string tree =
      "(setsid sh -c 'echo $$ > far; exec sleep 1000' &); (sleep 1000 & echo $! > near); trap '' TERM HUP; while [ ! "
      "-s far ]; "
      "do :; done; echo $$ > self; while read -r line; do case $line in *'\"type\":\"ask\"'*) " +
      says(offer) + ";; esac; done";
  {
    CommandProposer proposer(study(), shell(tree));
    EXPECT_EQ(proposer.ask(asking()).failure, "");
  }
  for (const char* name : {"self", "near", "far"}) {
    const pid_t pid = std::stoi(read(name));
    EXPECT_EQ(kill(pid, 0), -1) << name << " is still there";
  }
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "no child is left, dead or alive";
}

TEST_F(CommandTest, ItsWholeTreeIsGoneWhenThisProcessIsKilled) {
  const pid_t orchestrator = fork();
  if (orchestrator == 0) {
    CommandProposer proposer(
        study(), shell("(setsid sh -c 'echo $$ > far; exec sleep 1000' &); while [ ! -s far ]; do :; done; echo $$ "
                       "> self; while read -r line; do case $line in *'\"type\":\"ask\"'*) " +
                       says(offer) + ";; esac; done"));
    (void)proposer.ask(asking());
    kill(getpid(), SIGKILL);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(orchestrator, &status, 0), orchestrator);
  ASSERT_TRUE(WIFSIGNALED(status));
  for (const char* name : {"self", "far"}) EXPECT_TRUE(gone(std::stoi(read(name)))) << name;
}

TEST_F(CommandTest, ACancelEndsTheAskAndEveryLaterOne) {
  const CommandSettings mute = shell("echo up > up; exec sleep 1000");
  CommandProposer proposer(study(), mute);
  ports::Answer answer;
  std::thread asker([&] { answer = proposer.ask(asking()); });
  const auto asked = std::chrono::steady_clock::now();
  proposer.cancel();
  asker.join();
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(10)) << "30 s would be its timeout";
  EXPECT_EQ(answer.failure, "it was cancelled");
  EXPECT_EQ(proposer.ask(asking()).failure, "it was cancelled");
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
}

}  // namespace
}  // namespace overnight::proposers
