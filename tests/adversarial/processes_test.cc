// Tasks that will not die, will not end, multiply, hide, or turn on their keeper. Whatever they do: contained, recorded
// with its cause, and nothing of them is left when the keeper has ended; under each mechanism of killing.
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <csignal>

#include "tests/workers/keeper/kept_attempt.h"

namespace overnight::workers {
namespace {

constexpr std::int64_t killed_within_ms =
    5000;  // from the decision until nothing is left; tens of ms on an idle machine

class HostileProcess : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string wanted = GetParam() == std::string("namespace") ? "pid namespace"
                               : GetParam() == std::string("cgroup")  ? "cgroup.kill"
                                                                      : "subreaper loop";
    if (mechanism_in_force(GetParam()) != wanted) GTEST_SKIP() << "this machine does not allow: " << wanted;
  }

  // Runs `script` to its recorded end.
  Receipt end_of(KeptAttempt& attempt) {
    attempt.mechanism = GetParam();
    const Kept kept = attempt.run();
    EXPECT_EQ(kept.receipt->survivors, 0);
    EXPECT_LT(kept.receipt->killed_in_ms, killed_within_ms);
    return *kept.receipt;
  }

  Receipt end_of(const std::string& script, std::int64_t timeout_ms = 50'000) {
    KeptAttempt attempt(script);
    attempt.order.phases[0].timeout_ms = timeout_ms;
    return end_of(attempt);
  }
};

INSTANTIATE_TEST_SUITE_P(Killed, HostileProcess, testing::Values("namespace", "cgroup", "subreaper"),
                         [](const auto& one) { return std::string(one.param); });

TEST_P(HostileProcess, ThatNeverEndsAndIgnoresEverySignalIsKilledAtItsTimeout) {
  const Receipt receipt = end_of("trap '' TERM INT HUP QUIT USR1 CONT; while :; do sleep 1; done", 300);
  EXPECT_EQ(receipt.cause, Cause::timeout);
  EXPECT_EQ(receipt.detail, "train.timeout 300 ms reached");
  EXPECT_GE(receipt.killed_in_ms, 0);
}

TEST_P(HostileProcess, ThatLeavesADaemonInItsOwnSessionTakesItAlong) {
  const Receipt receipt = end_of(
      "(setsid sh -c '(setsid sh -c \"trap : TERM; while :; do sleep 1; done\" &)' &)\n"
      "setsid setsid sleep 1000 & echo loss: 1");
  EXPECT_EQ(receipt.cause, Cause::completed) << receipt.detail;
}

TEST_P(HostileProcess, ThatForgetsItsEnvironmentAndItsNameIsFoundAllTheSame) {
  const Receipt receipt = end_of(
      "env -i setsid sleep 1000 <&- >&- 2>&- &\n"
      "python3 -c 'import os; os.closerange(0, 100); os.execve(\"/bin/sleep\", "
      "[\"overnight-worker\", \"1000\"], {})' &\n"
      "echo loss: 1");
  EXPECT_EQ(receipt.cause, Cause::completed) << receipt.detail;
}

TEST_P(HostileProcess, ThatIsAForkBombMeetsTheLimitOfProcesses) {
  // Twelve generations: if nothing stops it, the machine survives.
  KeptAttempt attempt("bomb() { [ $1 -ge 12 ] || { bomb $(($1 + 1)) & bomb $(($1 + 1)) & }; sleep 100; }\nbomb 0\n");
  attempt.order.limits.processes = 20;
  const Receipt receipt = end_of(attempt);
  EXPECT_EQ(receipt.cause, Cause::process_limit) << receipt.detail;
  EXPECT_NE(receipt.detail.find("attempt.processes 20 reached"), std::string::npos) << receipt.detail;
}

TEST_P(HostileProcess, ThatStopsItselfIsStillOnTheClock) {
  EXPECT_EQ(end_of("kill -STOP $$; echo loss: 1", 300).cause, Cause::timeout);
}

TEST_P(HostileProcess, ThatStopsItsParentChangesNothing) {
  EXPECT_EQ(end_of("kill -STOP $PPID; sleep 1000", 300).cause, Cause::timeout);
}

TEST_P(HostileProcess, ThatKillsItsParentGainsNothing) {
  const Receipt receipt = end_of("(trap '' TERM; setsid sleep 1000 &) ; kill -9 $PPID; exec sleep 1000", 1000);
  EXPECT_TRUE(receipt.cause == Cause::timeout || receipt.cause == Cause::crash) << receipt.detail;
}

TEST_P(HostileProcess, ThatKillsTheKeeperDiesWithIt) {
  // In a PID namespace it cannot even name it: it kills itself, or its time runs out.
  KeptAttempt attempt("(setsid sleep 1000 &)\nread -r _ _ _ keeper _ < /proc/$PPID/stat; kill -9 $keeper; sleep 1000");
  attempt.mechanism = GetParam();
  attempt.order.phases[0].timeout_ms = 1000;
  attempt.start();
  attempt.grant(60'000);
  const Kept kept = attempt.finish();
  EXPECT_EQ(kept.left, 0);
  if (GetParam() == std::string("namespace")) {
    ASSERT_TRUE(kept.receipt);
    EXPECT_TRUE(kept.receipt->cause == Cause::timeout || kept.receipt->cause == Cause::crash);
  } else {
    EXPECT_TRUE(WIFSIGNALED(kept.wait_status));
    EXPECT_FALSE(kept.receipt) << "no receipt is better than one that a task could have written";
  }
}

TEST_P(HostileProcess, IsGoneWhenItsKeeperIsKilled) {
  KeptAttempt attempt("(trap '' TERM; setsid sleep 1000 &)\n(env -i setsid sleep 1000 &)\necho loss: 1; sleep 1000");
  attempt.mechanism = GetParam();
  attempt.start();
  attempt.grant(60'000);
  ASSERT_TRUE(attempt.hears_metric("loss"));
  ::kill(attempt.keeper(), SIGKILL);
  const Kept kept = attempt.finish();
  EXPECT_EQ(kept.left, 0);
  EXPECT_FALSE(kept.receipt);
}

TEST_P(HostileProcess, IsGoneWhenTheOrchestratorDies) {
  KeptAttempt attempt("trap '' TERM; (setsid sleep 1000 &)\necho loss: 1; sleep 1000");
  attempt.mechanism = GetParam();
  attempt.start();
  attempt.grant(60'000);
  ASSERT_TRUE(attempt.hears_metric("loss"));
  attempt.close_channel();
  const Kept kept = attempt.finish();
  ASSERT_TRUE(kept.receipt);
  EXPECT_EQ(kept.receipt->cause, Cause::lease_lost);
}

TEST_P(HostileProcess, IsGoneWhenTheLeaseRunsOut) {
  KeptAttempt attempt("trap '' TERM; (setsid sleep 1000 &)\necho loss: 1; sleep 1000");
  attempt.mechanism = GetParam();
  attempt.start();
  attempt.grant(500);
  const Kept kept = attempt.finish();
  ASSERT_TRUE(kept.receipt);
  EXPECT_EQ(kept.receipt->cause, Cause::lease_lost);
  EXPECT_EQ(kept.receipt->detail, "the lease ran out and was not renewed");
}

TEST_P(HostileProcess, ThatIgnoresTheStopSignalIsKilledAfterItsGraceAndThatIsAPlannedEnd) {
  KeptAttempt attempt("trap '' TERM; echo weights > $OVERNIGHT_ARTIFACTS/w; while :; do sleep 1; done",
                      "cat $OVERNIGHT_ARTIFACTS/w; echo loss: 3");
  attempt.order.phases[0].budget_ms = 300;
  attempt.order.phases[0].grace_ms = 200;
  const Receipt receipt = end_of(attempt);
  EXPECT_EQ(receipt.cause, Cause::completed) << receipt.detail;
  EXPECT_TRUE(receipt.phases[0].budget_reached);
  EXPECT_EQ(receipt.metrics.at("loss").value, 3);
  EXPECT_FALSE(receipt.metrics.at("loss").self_reported);
}

TEST_P(HostileProcess, ThatEatsMemoryMeetsItsLimit) {
  KeptAttempt attempt("python3 -c '\nblocks = []\nwhile True: blocks.append(bytearray(b\"x\") * 4000000)'");
  attempt.order.limits.memory_bytes = 96 << 20;
  const Receipt receipt = end_of(attempt);
  EXPECT_EQ(receipt.cause, Cause::out_of_memory) << receipt.detail;
  EXPECT_EQ(receipt.detail, "attempt.memory 96 MiB reached");
}

TEST_P(HostileProcess, ThatEatsMemoryInManyChildrenMeetsTheSameLimit) {
  KeptAttempt attempt(
      "for i in 1 2 3 4 5 6; do python3 -c 'b = bytearray(b\"x\") * 30000000\nimport time\n"
      "time.sleep(1000)' & done; wait");
  attempt.order.limits.memory_bytes = 96 << 20;
  EXPECT_EQ(end_of(attempt).cause, Cause::out_of_memory);
}

TEST(HostileEnd, OfASignalOrAStatusThatLooksLikeAnotherCauseIsACrash) {
  KeptAttempt segfault("kill -SEGV $$");
  EXPECT_EQ(segfault.run().receipt->detail, "killed by signal 11 (Segmentation fault) in train");
  KeptAttempt like_oom("exit 137");
  const Receipt receipt = *like_oom.run().receipt;
  EXPECT_EQ(receipt.cause, Cause::crash);
  EXPECT_EQ(receipt.detail, "exit status 137 in train");
}

TEST(HostileEnd, TheDeadlineIsTheKeepersWhateverTheEnvironmentSays) {
  KeptAttempt attempt("export OVERNIGHT_DEADLINE=99999999999; exec sleep 1000");
  attempt.order.limits.wall_ms = 300;
  const Receipt receipt = *attempt.run().receipt;
  EXPECT_EQ(receipt.cause, Cause::timeout);
  EXPECT_EQ(receipt.detail, "attempt.wall 300 ms reached in train");
}

TEST(HostileEnd, AWallThatIsTheSumOfThePhasesGivesEachItsOwnTime) {
  KeptAttempt attempt("exec sleep 1000");
  attempt.order.phases[0].timeout_ms = 300;
  attempt.order.limits.wall_ms = 300;
  const Receipt receipt = *attempt.run().receipt;
  EXPECT_EQ(receipt.detail, "train.timeout 300 ms reached");
  const std::int64_t took = receipt.phases.at(0).took_ms;
  const std::int64_t charged = std::max<std::int64_t>(0, receipt.took_ms - took - 1000);  // of a set-up, past a second
  EXPECT_GE(took, 300 - charged) << "what the set-up took is not taken out of it";
}

TEST(HostileEnd, SharedMemoryDoesNotOutliveThePhase) {
  if (mechanism_in_force("") != "pid namespace") GTEST_SKIP() << "no mount namespace here";
  KeptAttempt attempt("echo left > /dev/shm/overnight-left; echo loss: 1",
                      "ls /dev/shm; test -e /dev/shm/overnight-left && echo loss: 2 || echo loss: 1");
  EXPECT_EQ(attempt.run().receipt->metrics.at("loss").value, 1) << attempt.log("evaluate.stdout");
  EXPECT_FALSE(std::filesystem::exists("/dev/shm/overnight-left"));
}

}  // namespace
}  // namespace overnight::workers
