// The two programs as a task runs them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/workers/trainer/texts.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  int exit_code;
  std::string output;
};

// Runs a shell line with the programs on its PATH.
Outcome run(const std::string& line) {
  const std::string command = "PATH=" OVERNIGHT_PROGRAMS ":$PATH; (" + line + ") 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  std::string output;
  char buffer[4096];
  while (const std::size_t n = fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, n);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), output};
}

// Text in which pairs of letters are about equally frequent, so that learning tokens of it is long.
std::string varied_text(std::size_t bytes) {
  std::string text;
  std::uint32_t state = 7;
  while (text.size() < bytes) {
    state = state * 1664525 + 1013904223;
    text += state >> 28 == 0 ? ' ' : static_cast<char>('a' + (state >> 24) % 26);
  }
  return text;
}

class Programs : public testing::Test {
 protected:
  Programs() : texts_(testing::UnitTest::GetInstance()->current_test_info()->name()), at_(texts_.path().string()) {}

  std::string train(const std::string& more) {
    return "overnight-train --data " + at_ + " --artifacts " + at_ +
           "/artifacts --depth 1 --width 16 --heads 2 --context 32 --batch 2 " + more;
  }
  std::string eval(const std::string& more = "") { return "overnight-eval " + at_ + "/artifacts --data " + at_ + more; }

  Texts texts_;
  std::string at_;
};

TEST_F(Programs, TrainingLeavesACheckpointThatEvaluationScores) {
  Outcome trained = run(train("--steps 40 --learning_rate 0.01"));
  ASSERT_EQ(trained.exit_code, 0) << trained.output;
  const Outcome scored = run("OVERNIGHT_METRICS=" + at_ + "/metrics " + eval());
  ASSERT_EQ(scored.exit_code, 0) << scored.output;
  std::smatch found;
  ASSERT_TRUE(std::regex_search(scored.output, found, std::regex("val_bpb: ([0-9.]+)"))) << scored.output;
  const double bits = std::stod(found[1]);
  EXPECT_LT(bits, 6.5);
  EXPECT_GT(bits, 0.5);
  std::string line;
  std::getline(std::ifstream(at_ + "/metrics") >> std::ws, line);
  EXPECT_NE(line.find("\"val_bpb\""), std::string::npos);
}

TEST_F(Programs, ABudgetInTimeEndsTheTraining) {
  const Outcome trained = run(train("--seconds 0.4"));
  EXPECT_EQ(trained.exit_code, 0) << trained.output;
  EXPECT_NE(trained.output.find("done:"), std::string::npos);
}

// However late it is, the one step that is taken begins from weights that were all drawn: it is that of a budget in
// steps.
TEST_F(Programs, ABudgetThatIsOverAtOnceStillGivesOneWholeStep) {
  const std::string more = " --lanes 2 --threads 1 --warmup 0 --warmdown 0";
  ASSERT_EQ(run(train("--steps 1" + more)).exit_code, 0);
  const std::string sum = run("md5sum < " + at_ + "/artifacts/checkpoint.safetensors").output;
  const Outcome late = run(train("--seconds 0.001" + more));
  EXPECT_EQ(late.exit_code, 0) << late.output;
  EXPECT_EQ(run("md5sum < " + at_ + "/artifacts/checkpoint.safetensors").output, sum);
}

// The signal is sent once a step has been told of.
TEST_F(Programs, SigtermEndsTheTrainingWithACheckpoint) {
  const Outcome trained =
      run("export OVERNIGHT_METRICS=" + at_ + "/metrics; " + train("--steps 100000000") +
          " & p=$!; until grep -q train_loss " + at_ + "/metrics 2>/dev/null; do :; done; " + "kill -TERM $p; wait $p");
  EXPECT_EQ(trained.exit_code, 0) << trained.output;
  EXPECT_TRUE(fs::exists(at_ + "/artifacts/checkpoint.safetensors"));
}

// The signal is sent once the program listens for it (bit 14 of what it catches): long before tokens are learned.
TEST_F(Programs, AStopBeforeTheFirstStepLeavesNoModelAndNoScore) {
  for (const char* more :
       {"--steps 100000000 --vocabulary 400", "--steps 100000000 --init orthogonal --width 2048 --heads 16"}) {
    std::ofstream(texts_.path() / "more.txt") << varied_text(1 << 20);
    const Outcome trained = run("export OVERNIGHT_METRICS=" + at_ + "/metrics; " + train(more) +
                                " & p=$!; until grep -qE '^SigCgt:.*[4-7c-f][0-9a-f]{3}$' /proc/$p/status; do :; done; "
                                "kill -TERM $p; wait $p");
    EXPECT_EQ(trained.exit_code, 2) << trained.output;
    EXPECT_NE(trained.output.find("before the first step"), std::string::npos) << trained.output;
    EXPECT_FALSE(fs::exists(at_ + "/artifacts/checkpoint.safetensors"));
    EXPECT_EQ(run("cat " + at_ + "/metrics 2>/dev/null").output, "");
  }
}

TEST_F(Programs, AFailedTrainingLeavesNoEarlierCheckpointInItsPlace) {
  ASSERT_EQ(run(train("--steps 2")).exit_code, 0);
  EXPECT_EQ(run(train("--steps 400 --learning_rate 9.9 --clip 0")).exit_code, 2);
  EXPECT_FALSE(fs::exists(at_ + "/artifacts/checkpoint.safetensors"));
}

TEST_F(Programs, ArtifactsThatCannotBeWrittenAreRefusedBeforeTheTraining) {
  std::ofstream(at_ + "/artifacts") << "a file";
  const Outcome trained = run(train("--steps 2"));
  EXPECT_EQ(trained.exit_code, 2);
  EXPECT_EQ(trained.output.find("done:"), std::string::npos) << trained.output;
  fs::remove(at_ + "/artifacts");
  fs::create_directories(at_ + "/artifacts/config.json/in");
  EXPECT_EQ(run(train("--steps 2")).exit_code, 2) << "a folder stands where the config goes";
}

TEST_F(Programs, ADivergedTrainingFailsAndSaysSo) {
  const Outcome trained = run(train("--steps 400 --learning_rate 9.9 --clip 0"));
  EXPECT_NE(trained.exit_code, 0) << "ten times the parameters a step, unclipped: it cannot converge";
  EXPECT_NE(trained.output.find("diverged"), std::string::npos) << trained.output;
  EXPECT_FALSE(fs::exists(at_ + "/artifacts/checkpoint.safetensors"));
}

TEST_F(Programs, BadWordsAreRefusedWithStatusTwo) {
  for (const char* words : {"overnight-train --learning_rate",
                            "overnight-train --nonsense 3 --steps 1",
                            "overnight-train --steps x",
                            "overnight-train missing.json",
                            "overnight-train /tmp",
                            "overnight-eval /proc/self",
                            "overnight-train --steps 1 --width 30 --heads 4",
                            "overnight-train --steps 1 --data /nonexistent",
                            "overnight-train",
                            "overnight-eval",
                            "overnight-eval x --bytes 0",
                            "overnight-eval x --length -1",
                            "overnight-eval x --temperature hot",
                            "overnight-eval /nonexistent --decode",
                            "overnight-eval /nonexistent --generate a",
                            "overnight-train --steps 1 --mixer AXB",
                            "overnight-train --steps 1 --optimizer sgd",
                            "overnight-train --steps 1 --mixer M --context 100",
                            "overnight-train --steps 1 --seconds 1",
                            "overnight-eval /nonexistent",
                            "overnight-eval --bad",
                            "overnight-eval x --device=gpu",
                            "overnight-eval x --device",
                            "overnight-eval x y",
                            "overnight-eval --prepare /nonexistent /nonexistent2"}) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 2) << words << ": " << outcome.output;
    EXPECT_FALSE(outcome.output.empty());
  }
  EXPECT_EQ(run("overnight-train --help").exit_code, 0);
  EXPECT_EQ(run("overnight-eval --help").exit_code, 0);
}

TEST_F(Programs, AHybridIsTrainedScoredDecodedAndWrites) {
  const Outcome trained =
      run(train("--steps 3 --mixer M3AC --depth 4 --context 64 --chunk 32 --mamba_head 16 --optimizer muon --ema 0.5"));
  ASSERT_EQ(trained.exit_code, 0) << trained.output;
  EXPECT_NE(run(eval(" --device=cpu")).output.find("val_bpb: "), std::string::npos);
  const Outcome decoded =
      run("OVERNIGHT_METRICS=" + at_ + "/metrics.jsonl overnight-eval " + at_ + "/artifacts --decode");
  EXPECT_EQ(decoded.exit_code, 0) << decoded.output;
  EXPECT_NE(decoded.output.find(" 32768 "), std::string::npos) << decoded.output;
  EXPECT_EQ(run("grep -c decode_ " + at_ + "/metrics.jsonl").output, "6\n");
  const std::string write = "overnight-eval " + at_ + "/artifacts --generate 'My fellow' --length 40 --seed 3";
  const Outcome written = run(write);
  EXPECT_EQ(written.exit_code, 0);
  EXPECT_TRUE(written.output.starts_with("My fellow")) << written.output;
  EXPECT_EQ(run(write).output, written.output) << "the same seed writes the same";
}

TEST_F(Programs, TokensAreLearnedKeptAndScoredByTheBytesOfTheText) {
  const Outcome trained = run(train("--steps 3 --vocabulary 300"));
  ASSERT_EQ(trained.exit_code, 0) << trained.output;
  const Outcome scored = run(eval());
  EXPECT_EQ(scored.exit_code, 0) << scored.output;
  EXPECT_NE(scored.output.find("val_bpb: "), std::string::npos);
  EXPECT_EQ(run(eval(" --generate 'My' --length 5")).exit_code, 0);
  // The same bytes as for a model of bytes.
  const std::string counted = scored.output.substr(0, scored.output.find('\n'));
  ASSERT_EQ(run("cp " + at_ + "/artifacts/tokenizer.txt " + at_ + "/kept && rm -r " + at_ + "/artifacts").exit_code, 0);
  ASSERT_EQ(run(train("--steps 1")).exit_code, 0);
  EXPECT_TRUE(run(eval()).output.starts_with(counted)) << counted;
  EXPECT_EQ(run(train("--steps 1 --tokenizer " + at_ + "/kept")).exit_code, 0);
  EXPECT_EQ(run(eval()).exit_code, 0);
  EXPECT_EQ(run(train("--steps 1 --vocabulary 400 --tokenizer " + at_ + "/kept")).exit_code, 2);
  EXPECT_EQ(run(train("--steps 1 --tokenizer /nonexistent")).exit_code, 2);
  std::ofstream(at_ + "/artifacts/tokenizer.txt") << "0 1\n";
  EXPECT_EQ(run(eval()).exit_code, 2) << "a tokenizer that is not the model's";
}

TEST_F(Programs, AResumedTrainingGoesOn) {
  const Outcome first = run(train("--steps 3 --resume"));
  ASSERT_EQ(first.exit_code, 0) << first.output;
  EXPECT_EQ(first.output.find("goes on"), std::string::npos);
  const Outcome second = run(train("--steps 5 --resume"));
  EXPECT_EQ(second.exit_code, 0) << second.output;
  EXPECT_NE(second.output.find("goes on after 3 steps"), std::string::npos) << second.output;
  EXPECT_NE(second.output.find("done: 5 steps"), std::string::npos) << second.output;
  const Outcome other = run(train("--steps 9 --resume --width 32"));
  EXPECT_EQ(other.exit_code, 2);
}

TEST_F(Programs, AResumedTrainingKeepsItsTokensAndRefusesOtherTexts) {
  const std::string more = " --vocabulary 280 --resume";
  ASSERT_EQ(run(train("--steps 3" + more)).exit_code, 0);
  const std::string tokens = run("cat " + at_ + "/artifacts/tokenizer.txt").output;
  const Outcome finished = run("OVERNIGHT_METRICS=" + at_ + "/metrics " + train("--steps 3" + more));
  EXPECT_EQ(finished.exit_code, 0) << finished.output;
  EXPECT_EQ(run("cat " + at_ + "/metrics 2>/dev/null").output, "") << "no step was taken: there is no loss to tell";
  std::ofstream(texts_.path() / "z.txt") << varied_text(5000);
  const Outcome other = run(train("--steps 5" + more));
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_NE(other.output.find("another training"), std::string::npos) << other.output;
  EXPECT_EQ(run("cat " + at_ + "/artifacts/tokenizer.txt").output, tokens);
}

// What the program held at its height, by the system's own account, in MiB.
double peak_of(const std::vector<std::string>& words) {
  // A child's account begins with the height of the process that it was started from: ours, of earlier tests.
  std::ofstream("/proc/self/clear_refs") << "5\n";
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t child = 0;
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
  const int failed = posix_spawn(&child, argv[0], &quiet, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&quiet);
  rusage used{};
  int status = 0;
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(wait4(child, &status, 0, &used), child);
  EXPECT_EQ(status, 0);
  return static_cast<double>(used.ru_maxrss) / 1024;
}

TEST_F(Programs, ThePlannedMemoryIsThatWhichIsHeld) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "a sanitizer holds memory of its own";
#endif
  std::ofstream(texts_.path() / "more.txt") << varied_text(8 << 20);
  for (const std::string model : {"--depth=2", "--vocabulary=300 --depth=2", "--width=256 --mixer=M3 --context=128",
                                  "--vocabulary=300 --optimizer=muon --width=192"}) {
    std::vector<std::string> words{OVERNIGHT_PROGRAMS "/overnight-train", "--data=" + at_,
                                   "--artifacts=" + at_ + "/out", "--steps=2", "--threads=2"};
    std::istringstream more(model);
    for (std::string word; more >> word;) words.push_back(word);
    std::string line;
    for (const std::string& word : words) line += word + " ";
    const std::string plan = run(line + "--plan").output;
    std::smatch found;
    ASSERT_TRUE(std::regex_search(plan, found, std::regex("memory +([0-9.]+) MiB"))) << plan;
    EXPECT_NEAR(std::stod(found[1]), peak_of(words), 0.02 * std::stod(found[1]) + 2) << model << "\n" << plan;
  }
}

TEST_F(Programs, APlanForTextsThatAreNotThereIsRefused) {
  EXPECT_EQ(run("overnight-train --plan --data /nonexistent").exit_code, 2);
}

TEST_F(Programs, APlanIsPrintedWithoutTraining) {
  const Outcome planned = run(train("--plan"));
  EXPECT_EQ(planned.exit_code, 0);
  EXPECT_NE(planned.output.find("FLOPs per token"), std::string::npos);
  EXPECT_NE(planned.output.find("documents"), std::string::npos) << planned.output;
  EXPECT_FALSE(fs::exists(at_ + "/artifacts"));
}

TEST_F(Programs, TheScheduleEndsBeforeTheKeepersDeadline) {
  const Outcome trained = run("OVERNIGHT_DEADLINE=$(($(date +%s) + 2)) timeout 60 " + train("--seconds 1000000"));
  EXPECT_EQ(trained.exit_code, 0) << trained.output;
  EXPECT_EQ(trained.output.find("signal"), std::string::npos) << "it ended by itself";
  EXPECT_TRUE(fs::exists(at_ + "/artifacts/checkpoint.safetensors"));
}

TEST_F(Programs, StepsGiveTheSameCheckpointForAnyNumberOfThreads) {
  ASSERT_EQ(run(train("--steps 5 --threads 1")).exit_code, 0);
  ASSERT_EQ(run("cp " + at_ + "/artifacts/checkpoint.safetensors " + at_ + "/one; " + train("--steps 5 --threads 2"))
                .exit_code,
            0);
  EXPECT_EQ(run("cmp " + at_ + "/one " + at_ + "/artifacts/checkpoint.safetensors").exit_code, 0);
}

TEST_F(Programs, AModelTooLargeForTheMachineIsRefusedWithItsSizeBeforeItIsAllocated) {
  const Outcome huge = run("overnight-train --steps 1 --depth 128 --width 16384 --heads 64 --batch 4096 --data " + at_);
  EXPECT_EQ(huge.exit_code, 2) << huge.output;
  EXPECT_NE(huge.output.find("GiB"), std::string::npos) << huge.output;
  std::ofstream(at_ + "/experiment.json")
      << R"({"params": {"steps": 1}, "seed": 1, "limits": {"memory_bytes": 1048576}})";
  const Outcome limited = run("overnight-train " + at_ + "/experiment.json --data " + at_);
  EXPECT_EQ(limited.exit_code, 2) << limited.output;
  EXPECT_NE(limited.output.find("1.0 MiB"), std::string::npos) << limited.output;
}

TEST_F(Programs, AProfileSaysWhereTheTimeWent) {
  const Outcome profiled = run(train("--steps 3 --profile"));
  EXPECT_EQ(profiled.exit_code, 0);
  EXPECT_NE(profiled.output.find("mlp"), std::string::npos) << profiled.output;
}

TEST_F(Programs, AModelWithoutAScoreFailsWithItsReason) {
  ASSERT_EQ(run(train("--steps 2")).exit_code, 0);
  std::fstream file(at_ + "/artifacts/checkpoint.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-4, std::ios::end);
  file.write("\x00\x00\xc0\x7f", 4);
  file.close();
  const Outcome scored = run(eval());
  EXPECT_EQ(scored.exit_code, 2);
  EXPECT_NE(scored.output.find("not a number"), std::string::npos) << scored.output;
  EXPECT_EQ(scored.output.find("val_bpb:"), std::string::npos);
}

TEST_F(Programs, EvaluationRefusesAForgedCheckpoint) {
  ASSERT_EQ(run(train("--steps 2")).exit_code, 0);
  std::ofstream(at_ + "/artifacts/checkpoint.safetensors") << "not tensors at all";
  const Outcome forged = run(eval());
  EXPECT_EQ(forged.exit_code, 2);
  EXPECT_EQ(forged.output.find("val_bpb:"), std::string::npos);
  std::ofstream(at_ + "/artifacts/config.json") << R"({"depth": 1000000})";
  EXPECT_EQ(run(eval()).exit_code, 2);
}

}  // namespace
}  // namespace overnight::workers
