// The real overnight-worker with an order file: phases, the planned end, stops, refusals, what a task gets and
// inherits.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "tests/workers/keeper/kept_attempt.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;

TEST(Worker, RunsItsPhasesInOrderAndWritesAReceipt) {
  KeptAttempt attempt("cat built; echo loss: 1", "echo loss: 2");
  attempt.order.phases.insert(attempt.order.phases.begin(), shell_phase(Phase::build, "echo made > built"));
  const Kept kept = attempt.run();
  EXPECT_EQ(kept.wait_status, 0);
  EXPECT_EQ(kept.receipt->cause, Cause::completed) << kept.receipt->detail;
  EXPECT_EQ(kept.receipt->phases.size(), 3u);
  EXPECT_EQ(kept.receipt->nonce, "nonce");
  EXPECT_EQ(attempt.log("train.stdout"), "made\nloss: 1\n") << "train works in build's place";
}

TEST(Worker, StartsNothingBeforeItsLease) {
  KeptAttempt attempt("echo x > " + fs::temp_directory_path().string() + "/never; echo loss: 1");
  attempt.start();
  ASSERT_TRUE(attempt.hears([](const Message& m) { return std::holds_alternative<KeeperReady>(m.body); }));
  attempt.stop(StopLevel::kill, "changed my mind");
  const Kept kept = attempt.finish();
  ASSERT_TRUE(kept.receipt);
  EXPECT_EQ(kept.receipt->cause, Cause::stopped);
  EXPECT_EQ(kept.receipt->detail, "changed my mind");
  EXPECT_TRUE(kept.receipt->phases.empty());
}

TEST(Worker, EndsWhenTheOrchestratorDiedBeforeTheLease) {
  KeptAttempt attempt("echo loss: 1");
  attempt.start();
  attempt.close_channel();
  EXPECT_EQ(attempt.finish().receipt->cause, Cause::lease_lost);
}

TEST(Worker, ABudgetIsAPlannedEndAndTheTaskMayFinishInItsGrace) {
  KeptAttempt attempt(
      "trap 'echo saved > $OVERNIGHT_ARTIFACTS/w; exit 0' TERM; echo ready; while :; do sleep 0.02; done",
      "cat $OVERNIGHT_ARTIFACTS/w; echo loss: 2");
  attempt.order.phases[0].budget_ms = 300;
  attempt.order.phases[0].grace_ms = 20'000;
  const Kept kept = attempt.run();
  EXPECT_EQ(kept.receipt->cause, Cause::completed) << kept.receipt->detail;
  EXPECT_TRUE(kept.receipt->phases[0].budget_reached);
  EXPECT_EQ(attempt.log("evaluate.stdout"), "saved\nloss: 2\n");
  EXPECT_LT(kept.took_ms, 20'000) << "it does not wait for a grace that nobody needs";
}

TEST(Worker, WhatAShellStartedHearsTheStopTooAndHasTheWholeGrace) {
  KeptAttempt attempt(
      "python3 -c '\nimport signal, time, os, sys\ndef end(*_):\n"
      " open(os.environ[\"OVERNIGHT_ARTIFACTS\"] + \"/w\", \"w\").write(\"saved\"); sys.exit(0)\n"
      "signal.signal(signal.SIGTERM, end)\nprint(\"loss: 1\", flush=True)\n"
      "while True: time.sleep(0.02)'; true",
      "cat $OVERNIGHT_ARTIFACTS/w; echo; echo loss: 2");
  attempt.order.phases[0].grace_ms = 20'000;
  attempt.order.phases[0].budget_ms = 2'000;
  const Kept kept = attempt.run();
  EXPECT_EQ(kept.receipt->cause, Cause::completed) << kept.receipt->detail;
  EXPECT_EQ(attempt.log("evaluate.stdout"), "saved\nloss: 2\n");
  EXPECT_LT(kept.took_ms, 20'000);
}

TEST(Worker, ADrainIsRecordedAsAStop) {
  KeptAttempt attempt("trap 'exit 0' TERM; echo loss: 1; while :; do sleep 0.02; done");
  attempt.start();
  attempt.grant(60'000);
  ASSERT_TRUE(attempt.hears_metric("loss"));
  attempt.stop(StopLevel::drain, "operator");
  const Kept kept = attempt.finish();
  EXPECT_EQ(kept.receipt->cause, Cause::stopped);
  EXPECT_EQ(kept.receipt->detail, "operator");
}

TEST(Worker, AKillDoesNotWaitForAGrace) {
  KeptAttempt attempt("trap '' TERM; echo loss: 1; sleep 1000");
  attempt.order.phases[0].grace_ms = 1'000'000;
  attempt.start();
  attempt.grant(60'000);
  ASSERT_TRUE(attempt.hears_metric("loss"));
  attempt.stop(StopLevel::drain, "drain");
  attempt.stop(StopLevel::kill, "halt");
  const Kept kept = attempt.finish();
  EXPECT_EQ(kept.receipt->cause, Cause::stopped);
  EXPECT_EQ(kept.receipt->detail, "halt");
  EXPECT_GE(kept.receipt->killed_in_ms, 0);
}

TEST(Worker, SignalsOfAnOfflineHaltNeedNoOrchestrator) {
  KeptAttempt attempt("trap '' TERM; echo loss: 1; sleep 1000");
  attempt.start();
  attempt.grant(60'000);
  ASSERT_TRUE(attempt.hears_metric("loss"));
  ::kill(attempt.keeper(), SIGQUIT);
  EXPECT_EQ(attempt.finish().receipt->cause, Cause::stopped);
}

TEST(Worker, BeginsNothingBehindAHaltFile) {
  for (const char* where : {"HALT", "runs/r/HALT"}) {
    KeptAttempt attempt("echo loss: 1");
    std::ofstream(fs::path(attempt.order.enclosure) / where) << "no more";
    const Receipt receipt = *attempt.run().receipt;
    EXPECT_EQ(receipt.cause, Cause::stopped) << receipt.detail;
    EXPECT_TRUE(receipt.phases.empty());
  }
}

TEST(Worker, SaysWhatItCannotStart) {
  KeptAttempt missing("true");
  missing.order.phases[0].command = {"no-such-program"};
  const Receipt receipt = *missing.run().receipt;
  EXPECT_EQ(receipt.cause, Cause::launch_failed);
  EXPECT_NE(receipt.detail.find("there is no program \"no-such-program\" to run train"), std::string::npos);
  KeptAttempt mount("true");
  mount.order.mounts = {"/no/such/place"};
  EXPECT_EQ(mount.run().receipt->cause, Cause::launch_failed);
  KeptAttempt workspace("true");
  workspace.order.workspace = "/no/such/workspace";
  EXPECT_EQ(workspace.run().receipt->cause, Cause::launch_failed);
}

TEST(Worker, AnOrderThatCannotBeReadStillGetsAReceipt) {
  KeptAttempt attempt("true");
  attempt.order.objective = "";
  attempt.start();
  const Kept kept = attempt.finish();
  ASSERT_TRUE(kept.receipt);
  EXPECT_EQ(kept.receipt->cause, Cause::infrastructure);
  EXPECT_NE(kept.receipt->detail.find("objective"), std::string::npos);
}

TEST(Worker, ATaskInheritsThreeDescriptorsAndNoBlockedSignal) {
  KeptAttempt attempt("ls /proc/self/fd; cat /proc/self/status; echo loss: 1");
  attempt.run();
  const std::string said = attempt.log("train.stdout");
  EXPECT_EQ(said.substr(0, 8), "0\n1\n2\n3\n") << said;  // 3 is ls's own
  EXPECT_NE(said.find("SigBlk:\t0000000000000000"), std::string::npos) << said;
  EXPECT_NE(said.find("SigIgn:\t0000000000000000"), std::string::npos) << said;
  EXPECT_NE(said.find("NoNewPrivs:\t1"), std::string::npos);
}

TEST(Worker, ATaskStandsInItsOwnWorkFolder) {
  KeptAttempt attempt("pwd -P; echo loss: 1", "pwd -P; echo loss: 1");
  attempt.run();
  const std::string at = fs::canonical(attempt.folder()).string();
  EXPECT_EQ(attempt.log("train.stdout"), at + "/work\nloss: 1\n");
  EXPECT_EQ(attempt.log("evaluate.stdout"), at + "/evaluate/work\nloss: 1\n");
}

TEST(Worker, ATaskSeesNothingOfTheHomeButItsOwnFolder) {
  if (mechanism_in_force("") != "pid namespace") GTEST_SKIP() << "no mount namespace here";
  KeptAttempt attempt("cd $OVERNIGHT_ARTIFACTS/../..; ls -A; cd ../../..; ls -A; echo x > x || echo loss: 1");
  fs::create_directories(attempt.folder().parent_path() / "6");
  EXPECT_EQ(attempt.run().receipt->cause, Cause::completed);
  EXPECT_EQ(attempt.log("train.stdout"), "7\nruns\nloss: 1\n");
}

TEST(Worker, ReadOnlyMountsAreReadOnly) {
  if (mechanism_in_force("") != "pid namespace") GTEST_SKIP() << "no mount namespace here";
  const Folder data;
  data.write("set", "text");
  KeptAttempt attempt("cat " + data.path().string() + "/set; echo; echo x > " + data.path().string() +
                      "/x || echo loss: 1");
  attempt.order.mounts = {data.path().string()};
  EXPECT_EQ(attempt.run().receipt->cause, Cause::completed);
  EXPECT_FALSE(fs::exists(data.path() / "x"));
}

TEST(Worker, ProbesAndPrintsWhatItWouldUse) {
  EXPECT_EQ(mechanism_in_force("subreaper"), "subreaper loop");
  const std::string best = mechanism_in_force("");
  EXPECT_TRUE(best == "pid namespace" || best == "cgroup.kill" || best == "subreaper loop") << best;
  KeptAttempt attempt("echo loss: 1");
  EXPECT_EQ(attempt.run().receipt->kill_mechanism, best) << "the receipt names what was probed";
}

TEST(Worker, TakesTheOrchestratorsWordForWhatWasProbed) {
  KeptAttempt attempt("echo loss: 1");
  attempt.environment = {
      "OVERNIGHT_CONTAINMENT={\"kill_mechanism\":\"subreaper loop\",\"pid_namespace\":false,\"user_namespace\":false,"
      "\"private_proc\":false,\"cgroup_kill\":\"\",\"cgroup_memory\":\"\",\"cgroup_pids\":\"\",\"cgroup_memory_v2\":"
      "false,"
      "\"cgroup_pids_v2\":false}"};
  EXPECT_EQ(attempt.run().receipt->kill_mechanism, "subreaper loop");
  KeptAttempt nonsense("echo loss: 1");
  nonsense.environment = {"OVERNIGHT_CONTAINMENT={}"};
  EXPECT_EQ(nonsense.run().receipt->kill_mechanism, mechanism_in_force("")) << "then it probes itself";
}

TEST(Worker, LeavesNoGroupBehind) {
  KeptAttempt attempt("cat /proc/self/cgroup; echo loss: 1");
  attempt.mechanism = "cgroup";
  attempt.order.limits.memory_bytes = 1 << 30;
  attempt.start();
  const std::string name = "overnight-" + std::to_string(attempt.keeper());
  attempt.grant(60'000);
  ASSERT_TRUE(attempt.finish().receipt);
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator("/sys/fs/cgroup", ignored))
    EXPECT_NE(entry.path().filename(), name) << entry.path();
}

}  // namespace
}  // namespace overnight::workers
