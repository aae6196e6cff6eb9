// Runs with a language model and with an outside program as proposers: real binaries against a scripted server.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/fakes/http_server.h"
#include "tests/system/studies.h"

namespace overnight::system_tests {
namespace {

namespace fs = std::filesystem;
using fakes::chat_body;
using fakes::HttpServer;
using fakes::ServerReply;
using nlohmann::json;

constexpr const char* key = "sk-very-secret-0123";

std::string answer(const std::vector<double>& xs) {
  json proposals = json::array();
  for (const double x : xs)
    proposals.push_back({{"params", {{"x", x}}}, {"hypothesis", "x should be larger"}, {"parents", {1}}});
  return json{{"proposals", proposals}}.dump();
}

// Every call offers a point that was never offered before; the first is answered with prose.
ServerReply model(const fakes::SeenRequest&, std::size_t number) {
  if (number == 0) return {.body = chat_body("I would try a larger x.", 1000, 10)};
  return {.body = chat_body(answer({0.5 + static_cast<double>(number) / 1000}), 1000, 100)};
}

std::string llm(const HttpServer& server, const std::string& more = "") {
  return "{kind: llm, name: model, base_url: \"" + server.url() + "/v1\", model: local, timeout: 20s, max_tokens: 500" +
         more + "}";
}

std::vector<std::string> run_with(const std::string& study, const std::string& proposers,
                                  std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"run", study, "--plain", "--set", "proposers=[" + proposers + "]"};
  for (const std::string& one : more) arguments.insert(arguments.end(), {"--set", one});
  return arguments;
}

Finished run_with_key(const Folder& folder, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), overnight());
  return Program(arguments, folder.path(), {{"OVN_TEST_KEY", key}}).wait();
}

json book_of(const Folder& folder, const std::string& name) {
  const json status = run_json(folder, {"status"});
  for (const json& book : status["proposers"]) {
    if (book["name"] == name) return book;
  }
  ADD_FAILURE() << "no proposer " << name;
  return {};
}

bool stands_anywhere(const fs::path& folder, const std::string& text) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (all.find(text) != std::string::npos) return true;
  }
  return false;
}

TEST(LlmRun, OffersAreAdmittedUnderItsNameRepliesRepairedAndMoneySettled) {
  const Folder folder;
  HttpServer server(model);
  const auto study = write_study(folder, {.script = "env > env.txt; cat env.txt >&2; echo \"loss: $1\"\n"});
  const auto done = run_with_key(
      folder,
      run_with(study, llm(server, ", api_key_env: OVN_TEST_KEY, insecure: true, price: {input: $1.00, output: $2.00}"),
               {"budgets.run.llm_cost=$1"}));
  ASSERT_EQ(done.exit_code, 0) << done.output;
  int by_model = 0;
  for (const json& one : run_json(folder, {"experiments"})) by_model += one["proposer"] == "model" ? 1 : 0;
  EXPECT_EQ(by_model, 6) << done.output;
  const auto calls = static_cast<std::int64_t>(server.requests().size());
  const json book = book_of(folder, "model");
  EXPECT_EQ(book["refused"], 1) << "the prose";
  EXPECT_EQ(book["admitted"], 6);
  EXPECT_EQ(book["cost_microusd"], 1000 + 20 + (calls - 1) * (1000 + 200));
  EXPECT_EQ(server.requests()[0].headers.at("authorization"), std::string("Bearer ") + key);
  EXPECT_FALSE(stands_anywhere(folder.path(), key)) << "in no file of the home, and in no task's environment";
  EXPECT_EQ(done.output.find(key), std::string::npos);
  EXPECT_EQ(run_json(folder, {"audit", "verify"})["verdict"], "intact");
}

TEST(LlmRun, AServerThatIsNotThereDoesNotStopTheOtherProposer) {
  const Folder folder;
  std::string gone;
  {
    HttpServer server(model);
    gone = llm(server, ", price: free");
  }
  const auto done = run(folder, run_with(write_study(folder), gone + ", {kind: random}"));
  ASSERT_EQ(done.exit_code, 0) << done.output;
  for (const json& one : run_json(folder, {"experiments"})) EXPECT_NE(one["proposer"], "model");
  EXPECT_EQ(book_of(folder, "random")["admitted"], 6);
  EXPECT_EQ(book_of(folder, "model")["admitted"], 0);
}

TEST(LlmRun, AServerThatNeverAnswersDelaysNeitherTheSearchNorItsEnd) {
  const Folder folder;
  HttpServer server({{.ending = ServerReply::Ending::mute}});
  Program program({overnight(), "run", write_study(folder), "--plain", "--set",
                   "proposers=[{kind: llm, name: model, base_url: \"" + server.url() +
                       "/v1\", model: local, price: free, timeout: 1h}, {kind: random}]"},
                  folder.path());
  const auto done = program.wait();  // fails the test after a minute and a half: the timeout is an hour
  EXPECT_EQ(done.exit_code, 0) << done.output;
  EXPECT_EQ(book_of(folder, "random")["admitted"], 6);
}

TEST(LlmRun, AHaltDoesNotWaitForAModel) {
  const Folder folder;
  HttpServer server({{.ending = ServerReply::Ending::mute}});
  Program program(
      {overnight(), "run", write_study(folder), "--plain", "--set",
       "proposers=[{kind: llm, base_url: \"" + server.url() + "/v1\", model: local, price: free, timeout: 1h}]"},
      folder.path());
  ASSERT_TRUE(server.saw(1));
  EXPECT_EQ(run(folder, {"halt"}).exit_code, 0);
  EXPECT_EQ(program.wait().exit_code, 3);
}

TEST(LlmRun, TheMoneyCapEndsTheSearch) {
  const Folder folder;
  HttpServer server(model);
  const auto done =
      run(folder, run_with(write_study(folder, {.experiments = 1000}),
                           llm(server, ", price: {input: $1.00, output: $2.00}"), {"budgets.run.llm_cost=$0.15"}));
  EXPECT_EQ(done.exit_code, 0) << done.output;
  EXPECT_NE(done.output.find("llm_cost"), std::string::npos) << done.output;
  EXPECT_LE(book_of(folder, "model")["cost_microusd"], 150'000);
  EXPECT_GT(book_of(folder, "model")["admitted"], 3);
}

TEST(LlmRun, AKeyThatIsNotSetAndAPriceThatIsNotKnownAreToldBeforeTheNight) {
  const Folder folder;
  HttpServer server(model);
  const auto study = write_study(folder);
  for (const char* verb : {"validate", "run"}) {
    const auto refused =
        run(folder, {verb, study, "--set",
                     "proposers=[" + llm(server, ", price: free, api_key_env: OVN_TEST_NO_KEY, insecure: true") + "]"});
    EXPECT_EQ(refused.exit_code, 2) << refused.output;
    EXPECT_NE(refused.output.find("OVN_TEST_NO_KEY is not set in this environment; export it first"), std::string::npos)
        << refused.output;
    const auto priceless =
        run(folder, {verb, study, "--set", "proposers=[" + llm(server) + "]", "--set", "budgets.run.llm_cost=$1"});
    EXPECT_EQ(priceless.exit_code, 2) << priceless.output;
    EXPECT_NE(priceless.output.find("give the proposer price: {input: $0.50"), std::string::npos) << priceless.output;
  }
  EXPECT_TRUE(server.requests().empty());
}

// A program that offers x = number of the ask / 1000.
constexpr const char* own_proposer =
    "echo $$ > ../../proposer.pid\n"
    "while read -r line; do case $line in *'\"type\":\"ask\"'*)\n"
    "  n=${line#*'\"ask\":'}; n=${n%%,*}\n"
    "  printf '{\"type\":\"offers\",\"ask\":%d,\"proposals\":[{\"params\":{\"x\":0.%03d}}]}\\n' \"$n\" \"$n\";; esac; "
    "done\n";

TEST(CommandRun, AnOutsideProgramProposesAndIsGoneAtTheEnd) {
  const Folder folder;
  const std::string program = folder.write("propose.sh", std::string("#!/bin/sh\n") + own_proposer);
  const auto done =
      run(folder, run_with(write_study(folder), "{kind: command, name: mine, command: [/bin/sh, " + program + "]}"));
  ASSERT_EQ(done.exit_code, 0) << done.output;
  EXPECT_EQ(book_of(folder, "mine")["admitted"], 6);
  EXPECT_TRUE(alive_in(folder).empty());
}

TEST(CommandRun, AnOutsideProgramDiesWithAnOrchestratorThatIsKilledAndResumeAsksItAgain) {
  const Folder folder;
  ASSERT_EQ(mkfifo((folder.path() / "gate").c_str(), 0600), 0);
  const std::string program = folder.write("propose.sh", std::string("#!/bin/sh\n") + own_proposer);
  const std::string gate =
      "case $1 in 0.5) ;; *) read line < " + folder.path().string() + "/gate;; esac\necho \"loss: $1\"\n";
  const auto arguments = run_with(write_study(folder, {.script = gate}),
                                  "{kind: command, name: mine, command: [/bin/sh, " + program + "]}");
  std::vector<std::string> command{overnight()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  Program first(command, folder.path());
  ASSERT_TRUE(first.says("the search begins")) << first.output();
  for (int i = 0; i < 3000 && !fs::exists(folder.path() / "proposer.pid"); ++i)
    first.ended_within(std::chrono::milliseconds(10));
  first.signal(SIGKILL);
  first.wait();
  for (int i = 0; i < 1000 && !alive_in(folder).empty(); ++i) first.ended_within(std::chrono::milliseconds(10));
  EXPECT_TRUE(alive_in(folder).empty());
  folder.write("task.sh", "echo \"loss: $1\"\n");
  const auto done = run(folder, {"resume", "--plain"});
  EXPECT_EQ(done.exit_code, 0) << done.output;
  EXPECT_EQ(book_of(folder, "mine")["admitted"], 6);
}

}  // namespace
}  // namespace overnight::system_tests
