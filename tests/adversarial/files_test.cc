// Tasks that fill, litter, lock, link and remove. The disk stays within its limit, nothing leads out of the artifacts,
// and the receipt is found whatever became of the folder.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <iostream>

#include "tests/workers/keeper/kept_attempt.h"
#include "workers/keeper/tidy.h"

namespace overnight::workers {
namespace {

namespace fs = std::filesystem;

bool torture() { return std::getenv("OVERNIGHT_TORTURE") != nullptr; }

TEST(HostileOutput, GigabytesOfItAreReadAtFullSpeedAndKeptWithinTheBound) {
  const std::int64_t bytes = torture() ? 10'000'000'000 : 200'000'000;
  KeptAttempt attempt("head -c " + std::to_string(bytes) + " /dev/zero | tr '\\0' x; echo; echo loss: 1");
  attempt.order.phases[0].timeout_ms = 0;
  const Receipt receipt = *attempt.run().receipt;
  EXPECT_EQ(receipt.cause, Cause::completed) << receipt.detail;
  EXPECT_EQ(receipt.metrics.at("loss").value, 1);
  EXPECT_LT(fs::file_size(attempt.folder() / "train.stdout.log"), (1u << 20) + 200);
  EXPECT_GT(receipt.phases[0].log_dropped_bytes, bytes - (2 << 20));
  EXPECT_EQ(attempt.log("train.stdout").substr(attempt.log("train.stdout").size() - 8), "loss: 1\n");
}

TEST(HostileOutput, ManyShortLinesUnderAPatternDoNotSlowTheTaskToACrawl) {
  const std::int64_t lines = torture() ? 100'000'000 : 500'000;
  KeptAttempt attempt("yes 'step 12345 grad 0.123 tokens 99999 and more of it' | head -n " + std::to_string(lines) +
                      "; echo loss: 1");
  attempt.order.phases[0].timeout_ms = 0;
  const Receipt receipt = *attempt.run().receipt;
  EXPECT_EQ(receipt.cause, Cause::completed) << receipt.detail;
  // Not a limit but a number for whoever runs this alone on a machine; with everything else it says nothing.
  std::cout << static_cast<double>(lines) * 52e-3 / static_cast<double>(receipt.took_ms) << " MB/s through a pattern\n";
}

TEST(HostileDisk, OneFileThatGrowsWithoutEndMeetsTheLimit) {
  KeptAttempt attempt("head -c 1000000000 /dev/zero > big && echo loss: 1");
  attempt.order.limits.disk_bytes = 20 << 20;
  const Receipt receipt = *attempt.run().receipt;
  EXPECT_EQ(receipt.cause, Cause::out_of_disk) << receipt.detail;
  EXPECT_LT(receipt.disk_bytes, 1 << 20) << "the room is given back at once";
}

TEST(HostileDisk, ManyFilesThatFillItMeetTheLimit) {
  KeptAttempt attempt("i=0; while :; do i=$((i+1)); head -c 1000000 /dev/zero > $i; done");
  attempt.order.limits.disk_bytes = 20 << 20;
  const Receipt receipt = *attempt.run().receipt;
  EXPECT_EQ(receipt.cause, Cause::out_of_disk);
  EXPECT_EQ(receipt.detail, "attempt.disk 20 MiB reached");
}

TEST(HostileDisk, CountlessEmptyFilesMeetTheLimitOfFilesAndAreTidiedAway) {
  const int files = torture() ? 200'000 : 20'000;
  KeptAttempt attempt("python3 -c 'for i in range(" + std::to_string(files) + "): open(str(i), \"w\")'; sleep 1000");
  attempt.order.limits.inodes = files / 2;
  EXPECT_EQ(attempt.run().receipt->cause, Cause::out_of_disk);
  EXPECT_TRUE(tidy(attempt.folder()));
  EXPECT_FALSE(fs::exists(attempt.folder() / "work"));
}

constexpr const char* nest = "python3 -c '\nimport os\nfor i in range(3000):\n os.mkdir(\"d\")\n os.chdir(\"d\")'\n";

TEST(HostileDisk, FoldersTooDeepToCountEndTheAttemptAndAreTidiedAway) {
  KeptAttempt attempt(std::string(nest) + "sleep 1000");
  attempt.order.limits.inodes = 100'000;
  const Receipt receipt = *attempt.run().receipt;
  EXPECT_EQ(receipt.cause, Cause::out_of_disk);
  EXPECT_NE(receipt.detail.find("nested deeper than 200"), std::string::npos) << receipt.detail;
  EXPECT_TRUE(tidy(attempt.folder()));
  EXPECT_FALSE(fs::exists(attempt.folder() / "work"));
}

TEST(HostileDisk, ALockedFolderHidesNothing) {
  KeptAttempt attempt("mkdir d; cd d; exec 5> grows; chmod 000 .; while :; do head -c 1000000 /dev/zero >&5; done");
  attempt.order.limits.disk_bytes = 20 << 20;
  EXPECT_EQ(attempt.run().receipt->cause, Cause::out_of_disk);
  EXPECT_TRUE(tidy(attempt.folder()));
}

TEST(HostileDisk, AFileThatClaimsATerabyteIsRefused) {
  KeptAttempt attempt("truncate -s 1T $OVERNIGHT_ARTIFACTS/sparse && echo loss: 1");
  attempt.order.limits.disk_bytes = 20 << 20;
  const Receipt receipt = *attempt.run().receipt;
  EXPECT_TRUE(receipt.cause == Cause::crash || receipt.cause == Cause::out_of_disk) << receipt.detail;
  EXPECT_EQ(receipt.artifact_bytes, 0);
}

TEST(HostileArtifacts, LinksOutDevicesAndPipesAreRemovedAndWhatIsGoodStays) {
  KeptAttempt attempt(
      std::string("cd $OVERNIGHT_ARTIFACTS; echo weights > good; ln -s good inside; ln -s /etc/passwd out\n"
                  "ln -s ../../../../.. up; ln -s nowhere dangling; mkfifo pipe; mkdir sub locked\n"
                  "ln -s ../good sub/inside; ln -s ../../order.json sub/order; ln -s /proc/self/fd fds\n"
                  "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'\n"
                  "echo x > locked/in; chmod 000 locked\n") +
      nest + "echo loss: 1\n");
  const Kept kept = attempt.run();
  EXPECT_EQ(kept.receipt->cause, Cause::completed) << kept.receipt->detail;
  EXPECT_EQ(kept.receipt->artifact_bytes, 10);
  const fs::path artifacts = attempt.folder() / "artifacts";
  for (const char* name : {"out", "up", "dangling", "pipe", "fds", "socket", "sub/order"})
    EXPECT_FALSE(fs::exists(fs::symlink_status(artifacts / name))) << name;
  for (const char* name : {"good", "inside", "sub/inside", "locked/in"})
    EXPECT_TRUE(fs::exists(artifacts / name)) << name;
  EXPECT_NE(kept.receipt->detail.find("removed from artifacts"), std::string::npos);
}

TEST(HostileArtifacts, AFolderThatBecameALinkIsReplacedByAnEmptyOne) {
  KeptAttempt attempt(
      "mkdir elsewhere; echo x > elsewhere/x; rm -rf $OVERNIGHT_ARTIFACTS\n"
      "ln -s $PWD/elsewhere $OVERNIGHT_ARTIFACTS; echo loss: 1",
      "ls -A $OVERNIGHT_ARTIFACTS; echo loss: $(ls -A $OVERNIGHT_ARTIFACTS | wc -l)");
  const Kept kept = attempt.run();
  EXPECT_EQ(kept.receipt->metrics.at("loss").value, 0) << attempt.log("evaluate.stdout");
  EXPECT_TRUE(fs::is_directory(fs::symlink_status(attempt.folder() / "artifacts")));
  EXPECT_NE(kept.receipt->detail.find("artifacts was no folder"), std::string::npos) << kept.receipt->detail;
}

TEST(HostileFolder, OneThatWasEmptiedStillGetsItsReceipt) {
  KeptAttempt attempt("cd $OVERNIGHT_ARTIFACTS/..; rm -rf -- * .receipt.reserve 2>/dev/null; cd /; echo loss: 1");
  EXPECT_EQ(attempt.run().receipt->cause, Cause::completed);
}

TEST(HostileFolder, OneThatWasRemovedIsMadeAgainForTheReceipt) {
  for (const char* mechanism : {"", "subreaper"}) {
    KeptAttempt attempt("cd /; rm -rf $OVERNIGHT_ARTIFACTS/.. 2>/dev/null; echo loss: 1");
    attempt.mechanism = mechanism;
    EXPECT_EQ(attempt.run().receipt->cause, Cause::completed);
  }
}

TEST(HostileFolder, OneThatWasMovedAndForgedIsMadeAgainForTheReceipt) {
  KeptAttempt attempt(
      "a=$(dirname $OVERNIGHT_ARTIFACTS); mv $a $a.moved; mkdir $a; echo '{}' > $a/receipt.json\n"
      "mkdir $a/receipt.json.d; echo loss: 1");
  attempt.mechanism = "subreaper";
  const Kept kept = attempt.run();
  EXPECT_EQ(kept.receipt->attempt, 7) << "what the task put there is no receipt";
  EXPECT_NE(kept.receipt->detail.find("moved or removed"), std::string::npos) << kept.receipt->detail;
}

TEST(HostileFolder, OneThatWasLockedStillGetsItsReceipt) {
  KeptAttempt attempt("chmod 000 $OVERNIGHT_ARTIFACTS/.. $OVERNIGHT_ARTIFACTS work 2>/dev/null; echo loss: 1; exit 0");
  const Kept kept = attempt.run();
  EXPECT_EQ(kept.receipt->cause, Cause::completed) << kept.receipt->detail;
}

TEST(HostileFolder, ReceiptAndExperimentAsFoldersAreMovedAside) {
  KeptAttempt attempt(
      "cd $OVERNIGHT_ARTIFACTS/..; mkdir -p receipt.json/x .receipt.json.new/x metrics.jsonl.d\n"
      "rm -f experiment.json metrics.jsonl; mkdir -p experiment.json/x metrics.jsonl/x\n"
      "mkdir -p evaluate/x; echo loss: 1",
      "cat $OVERNIGHT_EXPERIMENT; echo; echo loss: 4");
  const Kept kept = attempt.run();
  EXPECT_EQ(kept.receipt->cause, Cause::completed) << kept.receipt->detail;
  EXPECT_EQ(kept.receipt->metrics.at("loss").value, 4);
  EXPECT_TRUE(tidy(attempt.folder()));
  for (const auto& entry : fs::directory_iterator(attempt.folder()))
    EXPECT_FALSE(entry.path().filename().string().starts_with("aside")) << entry.path();
}

}  // namespace
}  // namespace overnight::workers
