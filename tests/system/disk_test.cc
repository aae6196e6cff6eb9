// A full disk, on a small file system of its own (needs root, or it skips): a clear message, a recorded cause, nothing
// lost.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>

#include "tests/system/studies.h"

namespace overnight::system_tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class FullDisk : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(disk());
    if (::mount("overnight-test", disk().c_str(), "tmpfs", 0, "size=16m") != 0) {
      GTEST_SKIP() << "no file system can be mounted here (needs root)";
    }
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) ::umount2(disk().c_str(), MNT_DETACH);
  }
  fs::path disk() const { return folder_.path() / "disk"; }
  std::string home() const { return (disk() / "home").string(); }
  void fill() const {
    std::ofstream file(disk() / "full", std::ios::binary);
    const std::string block(65536, 'x');
    while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }

  Folder folder_;
  bool mounted_ = false;
};

TEST_F(FullDisk, UnderTheHomeIsSaidBeforeAnythingRuns) {
  fill();
  const auto refused = run(folder_, {"--home", home(), "run", write_study(folder_), "--plain"});
  EXPECT_TRUE(refused.exit_code == 1 || refused.exit_code == 2) << refused.exit_code;
  EXPECT_TRUE(refused.output.find("No space left") != std::string::npos ||
              refused.output.find("full") != std::string::npos)
      << refused.output;
}

TEST_F(FullDisk, ThatATaskFilledIsItsRecordedFailureAndTheRunIsNotLost) {
  const auto study = write_study(
      folder_,
      {.script = "case $1 in 0.5) ;; *) head -c 100000000 /dev/zero > big || exit 1;; esac\necho \"loss: $1\"\n",
       .experiments = 4,
       .more = "governor: {breakers: {consecutive_crashes: 0, crash_rate: 0}}\n",
       .task_more = "  retries: {crash: 0, infrastructure: 10, backoff: 10ms}\n"});
  auto ended = run(folder_, {"--home", home(), "run", study, "--plain"});
  // Between two looks of the keeper the disk may be so full that the journal cannot be written: then the program says
  // so and stops, and the run goes on later.
  for (int life = 0; life < 20 && ended.exit_code == 1; ++life) {
    EXPECT_NE(ended.output.find("the journal cannot be written"), std::string::npos) << ended.output;
    ended = run(folder_, {"--home", home(), "resume", "--plain"});
  }
  EXPECT_EQ(ended.exit_code, 0) << ended.output;
  const json list = run_json(folder_, {"--home", home(), "experiments"});
  EXPECT_EQ(list.size(), 5u);
  for (const json& one : list) {
    if (one["params"]["x"] == 0.5) {
      EXPECT_EQ(one["status"], "scored") << one;
    } else {
      // Or a crash: of one that failed on a disk that its neighbour had filled, and has meanwhile given back.
      const std::string cause = one["trials"][0]["cause"];
      EXPECT_TRUE(cause == "out_of_disk" || cause == "crash") << one;
    }
  }
  EXPECT_EQ(run_json(folder_, {"--home", home(), "audit", "verify"})["verdict"], "intact");
}

}  // namespace
}  // namespace overnight::system_tests
