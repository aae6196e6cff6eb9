// kill -9 of the orchestrator at random moments, then resume: no experiment lost or counted twice, no budget overspent,
// no process left; checked against receipts that the tasks wrote themselves.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "tests/system/gate.h"
#include "tests/system/running.h"
#include "tests/system/studies.h"

namespace overnight::system_tests {
namespace {

using nlohmann::json;

constexpr int experiments = 120;
constexpr int free_receipts = 90;  // what comes after them waits until all kills are done, however fast the machine is

// How many times the orchestrator is killed: a short form for every build, 50 and more in the long one.
int kills() { return std::getenv("OVERNIGHT_TORTURE") != nullptr ? 200 : 50; }

// Each line that a task wrote at its end: how often for each attempt.
std::map<std::int64_t, int> own_receipts(const Folder& folder) {
  std::map<std::int64_t, int> counted;
  std::istringstream lines(folder.read("receipts"));
  for (std::string line; std::getline(lines, line);) {
    const json told = json::parse(line, nullptr, false);
    if (!told.is_discarded()) ++counted[told["attempt"].get<std::int64_t>()];
  }
  return counted;
}

TEST(KillNine, NothingIsLostOrCountedTwice) {
  const Folder folder;
  folder.write("receipts", "");
  Gate gate(folder);
  const std::string script =
      "attempt=$(sed -n 's/.*\"attempt\": \\([0-9]*\\).*/\\1/p' \"$2\")\necho \"loss: $1\"\n"
      "[ $(wc -l < " +
      folder.path().string() + "/receipts) -lt " + std::to_string(free_receipts) + " ] || " + gate.wait() +
      "\n"
      "echo \"{\\\"attempt\\\": $attempt}\" >> " +
      folder.path().string() + "/receipts\n";
  const auto study =
      write_study(folder, {.script = script,
                           .experiments = experiments,
                           .more = "",
                           .evaluation = "{baseline_replicates: 2, confirm_replicates: 2, confirm_top: 2}"});
  std::mt19937 random(20261124);
  int killed = 0;
  Finished last;
  const auto begun = std::chrono::steady_clock::now();
  int lives = 0;
  for (int life = 0; life < kills() * 4; ++life) {
    ASSERT_LT(++lives, kills() * 40) << "no life comes to an end: " << last.exit_code << " " << last.output;
    std::vector<std::string> command{overnight(), life == 0 ? "run" : "resume", life == 0 ? study : "--plain",
                                     "--plain"};
    if (life > 0) command.pop_back();
    Program program(command, folder.path());
    const bool mercy = killed >= kills();
    if (mercy) gate.open();
    // Mostly soon, in the middle of a start; now and then when much has happened.
    const auto until_kill = std::chrono::milliseconds(random() % (life % 8 == 7 ? 400 : 90));
    if (!mercy && !program.ended_within(until_kill)) {
      program.signal(SIGKILL);
      ++killed;
    }
    last = program.wait();
    if (last.exit_code == 5) {  // killed before the run was written down: the study begins again
      ASSERT_EQ(run(folder, {"runs"}).exit_code, 5);
    }
    if (last.exit_code == 0 || last.exit_code == 2 || last.exit_code == 1) break;
    if (last.exit_code == 5) life = -1;
  }
  ASSERT_EQ(last.exit_code, 0) << last.output;
  const auto lived = std::chrono::steady_clock::now() - begun;
  EXPECT_LE(run_json(folder, {"status"})["wall_used_ms"].get<std::int64_t>(),
            std::chrono::duration_cast<std::chrono::milliseconds>(lived).count())
      << "time that no orchestrator lived is not charged, none is charged twice";
  EXPECT_EQ(killed, kills());

  EXPECT_TRUE(alive_in(folder).empty());
  EXPECT_EQ(run_json(folder, {"audit", "verify"})["verdict"], "intact");
  const json list = run_json(folder, {"experiments"});
  EXPECT_EQ(list.size(), static_cast<std::size_t>(experiments) + 1);
  const auto own = own_receipts(folder);
  std::map<std::int64_t, int> trials;
  for (const json& one : list) {
    EXPECT_EQ(one["status"], "scored") << one;
    for (const json& trial : one["trials"]) {
      EXPECT_EQ(++trials[trial["trial"].get<std::int64_t>()], 1) << "a trial is recorded once";
      const std::int64_t attempt = trial["last_attempt"];
      EXPECT_EQ(own.contains(attempt) ? own.at(attempt) : 0, 1)
          << "attempt " << attempt << " was recorded as completed, so it ran to its end, once";
      EXPECT_EQ(trial["score"], one["params"]["x"]);
    }
  }
  for (const json& line : run_json(folder, {"budget"})) {
    EXPECT_LE(line["used"].get<std::int64_t>() + line["reserved"].get<std::int64_t>(),
              line["granted"].get<std::int64_t>())
        << line;
    if (line["name"] == "experiments") {
      EXPECT_EQ(line["used"], experiments);
    }
  }
}

std::int64_t wall_used(const Folder& folder) { return run_json(folder, {"status"})["wall_used_ms"]; }

TEST(KillNine, WallTimeOfALifeInWhichNothingHappenedIsNotLost) {
  const Folder folder;
  const auto begun = std::chrono::steady_clock::now();
  const auto program = start_endless(folder);
  std::int64_t used = 0;
  while (used < 3000 && std::chrono::steady_clock::now() - begun < std::chrono::minutes(1)) {
    program->ended_within(std::chrono::milliseconds(100));
    used = wall_used(folder);
  }
  program->signal(SIGKILL);
  program->wait();
  EXPECT_GE(used, 3000) << "it is written down while it passes";
  EXPECT_GE(wall_used(folder), used);
}

TEST(KillNine, WhatItCutOffIsNotCalledRunning) {
  const Folder folder;
  const auto program = start_endless(folder);
  program->signal(SIGKILL);
  program->wait();
  const json status = run_json(folder, {"status"});
  EXPECT_EQ(status["running"], 0);
  EXPECT_GE(status["interrupted"], 1);
  EXPECT_GE(status["queued"], status["interrupted"]);
  EXPECT_NE(run(folder, {"status"}).output.find("cut off"), std::string::npos);
  const json list = run_json(folder, {"experiments", "--status", "interrupted"});
  ASSERT_GE(list.size(), 1u);
  EXPECT_EQ(list[0]["status"], "interrupted");
  EXPECT_EQ(run_json(folder, {"show", list[0]["experiment"].dump()})["status"], "interrupted");
  EXPECT_EQ(run_json(folder, {"experiments", "--status", "running"}).size(), 0u);
}

// Keepers of this folder that live now.
std::vector<pid_t> keepers_in(const Folder& folder) {
  std::vector<pid_t> keepers;
  for (const pid_t pid : alive_in(folder)) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
    std::string program;
    std::getline(in, program, '\0');
    if (program.ends_with("/overnight-worker")) keepers.push_back(pid);
  }
  return keepers;
}

constexpr int keepers_killed = 8;

TEST(KillNine, OfKeepersLosesNothingEither) {
  const Folder folder;
  Gate gate(folder);
  const std::string receipts = folder.path().string() + "/receipts";
  const auto study = write_study(
      folder, {.script = "sed -n 's/.*\"attempt\": \\([0-9]*\\).*/{\"attempt\": \\1}/p' \"$2\" >> " + receipts +
                         "\n[ $(wc -l < " + receipts + ") -lt 20 ] || " + gate.wait() + "\necho \"loss: $1\"\nexit 0\n",
               .experiments = 40,
               .more = "governor: {breakers: {consecutive_crashes: 0, crash_rate: 0}}\n",
               .task_more = "  retries: {crash: 10, infrastructure: 10, backoff: 1ms}\n"});
  std::mt19937 random(20261125);
  int killed = 0;
  std::size_t ended = 0;  // attempts, when the last keeper was killed
  Program program({overnight(), "run", study, "--plain"}, folder.path());
  while (!program.ended_within(std::chrono::milliseconds(random() % 20))) {
    // Fewer than a trial may be tried again; one whose keeper was killed writes another receipt when it is tried again.
    const std::size_t now = own_receipts(folder).size();
    const auto keepers = keepers_in(folder);
    if (killed == keepers_killed || now <= ended || keepers.empty()) continue;
    ::kill(keepers[random() % keepers.size()], SIGKILL);
    ended = now;
    if (++killed == keepers_killed) gate.open();
  }
  EXPECT_EQ(program.wait().exit_code, 0) << program.output();
  EXPECT_EQ(killed, keepers_killed);
  EXPECT_TRUE(alive_in(folder).empty());
  const auto own = own_receipts(folder);
  const json list = run_json(folder, {"experiments"});
  EXPECT_EQ(list.size(), 41u);
  for (const json& one : list) {
    EXPECT_EQ(one["status"], "scored") << one;
    for (const json& trial : one["trials"]) {
      const std::int64_t attempt = trial["last_attempt"];
      EXPECT_EQ(own.contains(attempt) ? own.at(attempt) : 0, 1) << "what counts ran to its end, once";
    }
  }
  EXPECT_EQ(run_json(folder, {"audit", "verify"})["verdict"], "intact");
}

}  // namespace
}  // namespace overnight::system_tests
