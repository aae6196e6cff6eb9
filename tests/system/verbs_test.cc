// The command line as a newcomer meets it: help that helps, JSON where data is printed, slips that are understood.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "tests/cli/listener.h"
#include "tests/system/gate.h"
#include "tests/system/running.h"

namespace overnight::system_tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool says(const Finished& finished, const std::string& text) { return finished.output.find(text) != std::string::npos; }

TEST(Verbs, EachHasHelp) {
  const Folder folder;
  const auto all = run(folder, {"--help"});
  EXPECT_EQ(all.exit_code, 0);
  for (const std::string verb :
       {"init",        "validate", "try",  "run",  "resume",  "runs",    "status", "watch",    "show",  "logs",
        "experiments", "report",   "halt", "hold", "release", "enqueue", "budget", "breakers", "audit", "doctor"}) {
    EXPECT_TRUE(says(all, "\n  " + verb + " ")) << verb << "\n" << all.output;
    const auto help = run(folder, {verb, "--help"});
    EXPECT_EQ(help.exit_code, 0) << verb;
    EXPECT_TRUE(says(help, "Usage:")) << help.output;
  }
  EXPECT_TRUE(says(run(folder, {"run", "--help"}), "SIGTERM"));
}

TEST(Verbs, ASlipIsBadInputWithTheNearestVerb) {
  const Folder folder;
  EXPECT_EQ(run(folder, {}).exit_code, 2);
  const auto slip = run(folder, {"statsu"});
  EXPECT_EQ(slip.exit_code, 2);
  EXPECT_TRUE(says(slip, "did you mean \"status\"?")) << slip.output;
  EXPECT_EQ(run(folder, {"status", "--jsno"}).exit_code, 2);
  EXPECT_EQ(run(folder, {"show", "three"}).exit_code, 2);
}

TEST(Verbs, PrintDataAsJson) {
  const Folder folder;
  ASSERT_EQ(run(folder, {"run", write_study(folder, {.experiments = 2}), "--plain"}).exit_code, 0);
  const std::vector<std::vector<std::string>> verbs{
      {"runs"},      {"status"},    {"budget"}, {"breakers"},        {"experiments"},
      {"show", "1"}, {"logs", "1"}, {"doctor"}, {"audit", "verify"}, {"validate", "study.yaml"}};
  for (const auto& verb : verbs) {
    const json data = run_json(folder, verb);
    EXPECT_TRUE(data.is_structured() && !data.empty()) << verb[0];
  }
}

TEST(Verbs, ARunIsNamedByItsBeginningAndASlipGetsTheNearest) {
  const Folder folder;
  ASSERT_EQ(run(folder, {"run", write_study(folder, {.experiments = 1}), "--plain"}).exit_code, 0);
  const std::string id = run_json(folder, {"runs"})[0]["run"];
  EXPECT_EQ(run_json(folder, {"status", id.substr(0, 12)})["run"], id);
  const auto slip = run(folder, {"status", id.substr(0, id.size() - 1) + "_"});
  EXPECT_EQ(slip.exit_code, 5);
  EXPECT_TRUE(says(slip, "did you mean \"" + id + "\"?")) << slip.output;
  EXPECT_EQ(run(folder, {"show", "77"}).exit_code, 5);
  EXPECT_EQ(run(folder, {"logs", "77"}).exit_code, 5);
}

TEST(Verbs, InitWritesWhatRunsAsItIsAndNeverOverwrites) {
  const Folder folder;
  if (std::system("command -v python3 >/dev/null") != 0) GTEST_SKIP() << "no python3 here";
  ASSERT_EQ(run(folder, {"init"}).exit_code, 0);
  const auto valid = run(folder, {"validate", "study.yaml"});
  EXPECT_EQ(valid.exit_code, 0) << valid.output;
  EXPECT_TRUE(says(valid, "binds first"));
  const auto done = run(folder, {"run", "study.yaml", "--plain", "--set", "budgets.run.experiments=2", "--set",
                                 "budgets.attempt.free_floor=1MiB"});
  EXPECT_EQ(done.exit_code, 0) << done.output;
  folder.write("study.yaml", "mine");
  EXPECT_EQ(run(folder, {"init"}).exit_code, 2);
  EXPECT_EQ(folder.read("study.yaml"), "mine");
}

TEST(Verbs, ShippedStudiesRunFromAnyFolder) {
  const char* named = std::getenv("OVERNIGHT_CONFIGS");
  const fs::path configs = named != nullptr ? named : OVERNIGHT_CONFIGS_HERE;
  std::error_code failed;
  if (!fs::exists(configs / "script-argparse" / "study.yaml", failed)) GTEST_SKIP() << "configs/ cannot be read here";
  if (std::system("command -v python3 >/dev/null") != 0) GTEST_SKIP() << "no python3 here";
  const Folder folder;
  for (const char* study : {"script-argparse", "script-stdout"}) {
    const auto done =
        run(folder, {"run", (configs / study / "study.yaml").string(), "--plain", "--set", "budgets.run.experiments=3",
                     "--set", "evaluation.confirm_top=1", "--set", "budgets.attempt.free_floor=1MiB"});
    EXPECT_EQ(done.exit_code, 0) << done.output;
    int scored = 0;
    for (const json& one : run_json(folder, {"experiments"})) {
      if (one["status"] == "scored") ++scored;
      // Some points of the space diverge, as real ones do; that is all that may fail.
      if (one["status"] == "failed") {
        EXPECT_EQ(one["trials"][0]["detail"], "exit status 1 in train") << study << one;
      }
    }
    EXPECT_GT(scored, 0) << study;
  }
}

TEST(Validate, TellsAllErrorsAtOnceAsJsonToo) {
  const Folder folder;
  folder.write("bad.yaml", "study: x\nobjectiv: {metric: loss}\nspace: {x: {type: float, low: 2, high: 1}}\n");
  const auto refused = run(folder, {"validate", "bad.yaml", "--json"});
  EXPECT_EQ(refused.exit_code, 2);
  const json told = json::parse(refused.output, nullptr, false);
  ASSERT_TRUE(told.is_object()) << refused.output;
  EXPECT_EQ(told["good"], false);
  EXPECT_GE(told["errors"].size(), 4u);
  EXPECT_EQ(told["errors"][0]["line"].is_number(), true);
  EXPECT_EQ(run(folder, {"validate", "nowhere.yaml"}).exit_code, 2);
  EXPECT_EQ(run(folder, {"validate", "."}).exit_code, 2);
}

TEST(Validate, ReadsTheSiteFileOfTheHomeOrTheOneThatIsNamed) {
  const Folder folder;
  const auto study = write_study(folder);
  std::string text = folder.read("study.yaml");
  text.erase(text.find("executor:"), text.find("evaluation:") - text.find("executor:"));
  folder.write("study.yaml", text);
  folder.write("site.yaml", "executor: {slots: 1}\n");
  EXPECT_EQ(run_json(folder, {"validate", study, "--site", "site.yaml"})["plan"]["slots"], 1);
  fs::create_directory(folder.path() / ".overnight");
  fs::rename(folder.path() / "site.yaml", folder.path() / ".overnight" / "site.yaml");
  EXPECT_EQ(run_json(folder, {"validate", study})["plan"]["slots"], 1);
  EXPECT_EQ(run(folder, {"validate", study, "--site", "gone.yaml"}).exit_code, 2);
}

TEST(Detached, AHomeInUseIsNoSuccess) {
  const Folder folder;
  const auto first = start_endless(folder);
  const auto folders = [&] {
    return std::distance(fs::directory_iterator(folder.path() / ".overnight" / "runs"), fs::directory_iterator());
  };
  const auto before = folders();
  const auto refused = run(folder, {"run", "study.yaml", "--detach"});
  EXPECT_EQ(refused.exit_code, 2) << refused.output;
  EXPECT_TRUE(says(refused, "is in use by process " + std::to_string(first->pid()))) << refused.output;
  EXPECT_EQ(folders(), before) << "what was refused leaves nothing behind";
}

TEST(Verbs, AgreeOnWhatIsNoHome) {
  const Folder folder;
  const std::string study = write_study(folder);
  folder.write(".overnight", "a file");
  for (const std::vector<std::string>& verb : {std::vector<std::string>{"run", study},
                                               {"try", study},
                                               {"status"},
                                               {"runs"},
                                               {"resume"},
                                               {"budget"},
                                               {"report"},
                                               {"halt"},
                                               {"halt", "--offline"},
                                               {"release", "--reason", "x"},
                                               {"audit", "verify"}}) {
    const auto refused = run(folder, verb);
    EXPECT_EQ(refused.exit_code, verb[0] == "audit" ? 12 : 2) << verb[0] << ": " << refused.output;
  }
}

TEST(Budget, IsChangedWhileARunIsConductedAndSaidInTheJournal) {
  const Folder folder;
  EXPECT_EQ(run(folder, {"budget"}).exit_code, 5);
  const auto program = start_endless(folder);
  EXPECT_EQ(run(folder, {"budget", "--set", "experiments=50"}).exit_code, 2) << "it needs a reason";
  EXPECT_EQ(run(folder, {"budget", "--set", "experiment=50", "--reason", "x"}).exit_code, 2);
  EXPECT_EQ(run(folder, {"budget", "--set", "wall=50", "--reason", "x"}).exit_code, 2);
  const auto changed =
      run(folder, {"budget", "--set", "experiments=50", "--set", "wall=5h", "--reason", "it goes well"});
  EXPECT_EQ(changed.exit_code, 0) << changed.output;
  std::map<std::string, std::int64_t> granted;
  for (const json& line : run_json(folder, {"budget"})) granted[line["name"]] = line["granted"];
  EXPECT_EQ(granted["experiments"], 50);
  EXPECT_EQ(granted["wall"], 5 * 3'600'000);
  EXPECT_EQ(granted["actions"], 100'000) << "what was not named stays";
  EXPECT_TRUE(says(run(folder, {"status"}), "it goes well"));
  EXPECT_FALSE(says(changed, "are used")) << changed.output;
  const auto lowered = run(folder, {"budget", "--set", "actions=0", "--reason", "enough"});
  EXPECT_TRUE(says(lowered, "actions: 0 of 0 are used; nothing more is started on it")) << lowered.output;
}

TEST(Logs, FollowUntilTheAttemptEndsAndCleanNothingForAPipe) {
  const Folder folder;
  Gate gate(folder);
  const auto study = write_study(
      folder,
      {.script = "printf 'first \\033[31mline\\n'\n" + gate.wait() + "\necho \"loss: $1\"\n", .experiments = 1});
  Program program({overnight(), "run", study, "--plain"}, folder.path());
  ASSERT_TRUE(program.says("run started"));
  Program logs({overnight(), "logs", "1", "-f"}, folder.path());
  ASSERT_TRUE(logs.says("first \x1b[31mline"));
  gate.open();
  const auto followed = logs.wait();
  EXPECT_EQ(followed.exit_code, 0);
  EXPECT_TRUE(says(followed, "loss: 0.5")) << followed.output;
  EXPECT_EQ(program.wait().exit_code, 0);
}

TEST(Watch, FollowsAsPlainLinesAndTellsTheEnd) {
  const Folder folder;
  EXPECT_EQ(run(folder, {"watch"}).exit_code, 5);
  const auto program = start_endless(folder);
  Program watch({overnight(), "watch"}, folder.path());
  ASSERT_TRUE(watch.says("run started"));
  Program other({overnight(), "watch"}, folder.path());
  ASSERT_TRUE(other.says("run started"));
  other.signal(SIGINT);
  EXPECT_EQ(other.wait().exit_code, 0);
  EXPECT_FALSE(program->ended_within(std::chrono::milliseconds(0))) << "leaving stops nothing";
  EXPECT_EQ(run(folder, {"halt"}).exit_code, 0);
  program->wait();
  const auto told = watch.wait();
  EXPECT_EQ(told.exit_code, 0);
  EXPECT_TRUE(says(told, "halted")) << told.output;
}

// ---- the webhook at the end ----

json told_to(Listener& listener) {
  const auto requests = listener.requests();
  EXPECT_EQ(requests.size(), 1u);
  if (requests.empty()) return {};
  return json::parse(requests[0].substr(requests[0].find("\r\n\r\n") + 4), nullptr, false);
}

std::string notify(const Listener& listener) { return "notify: {webhook: \"" + listener.url("/hook") + "\"}\n"; }

TEST(Webhook, IsToldOfAGoodEnd) {
  const Folder folder;
  Listener listener({"200 OK"});
  const auto done = run(folder, {"run", write_study(folder, {.experiments = 1, .more = notify(listener)}), "--plain"});
  EXPECT_EQ(done.exit_code, 0) << done.output;
  const json told = told_to(listener);
  EXPECT_EQ(told["event"], "run ended");
  EXPECT_EQ(told["kind"], "done");
  EXPECT_EQ(told["run"], run_json(folder, {"runs"})[0]["run"]);
  EXPECT_TRUE(told["text"].get<std::string>().starts_with("overnight: "));
  EXPECT_EQ(told["view"]["leaders"].size(), 1u);
}

TEST(Webhook, IsToldOfAHaltAndOfAFailure) {
  const Folder folder;
  Listener listener({"200 OK"});
  Program program({overnight(), "run", write_study(folder, {.script = endless, .more = notify(listener)}), "--plain"},
                  folder.path());
  ASSERT_TRUE(program.says("run started"));
  EXPECT_EQ(run(folder, {"halt", "--reason", "odd"}).exit_code, 0);
  EXPECT_EQ(program.wait().exit_code, 3);
  const json halted = told_to(listener);
  EXPECT_EQ(halted["kind"], "halted");
  EXPECT_NE(halted["reason"].get<std::string>().find("odd"), std::string::npos);

  const Folder other;
  Listener second({"200 OK"});
  const auto failed =
      run(other,
          {"run",
           write_study(other, {.script = "exit 3\n", .more = notify(second), .task_more = "  retries: {crash: 0}\n"}),
           "--plain"});
  EXPECT_EQ(failed.exit_code, 1) << failed.output;
  EXPECT_EQ(told_to(second)["kind"], "failed");
}

TEST(Webhook, ThatFailsIsToldAndHarmless) {
  const Folder folder;
  Listener listener({"404 Not Found"});
  const auto done = run(folder, {"run", write_study(folder, {.experiments = 1, .more = notify(listener)}), "--plain"});
  EXPECT_EQ(done.exit_code, 0) << done.output;
  EXPECT_TRUE(says(done, "the webhook answered with status 404; the run itself is not affected")) << done.output;
}

}  // namespace
}  // namespace overnight::system_tests
