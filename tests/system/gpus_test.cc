// GPUs, from the driver to what people read, on a machine that has none: the real programs with a library that answers
// as NVIDIA's does.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "tests/fakes/fake_driver.h"
#include "tests/system/studies.h"

namespace overnight::system_tests {
namespace {

using nlohmann::json;

class Gpus : public testing::Test {
 protected:
  void gpus(const std::string& values) { driver_.emplace(made_folder(), uuid_ + " H200 " + values + "\n"); }

  Finished overnight_says(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), overnight());
    return Program(arguments, folder_.path(), {{"LD_LIBRARY_PATH", driver_->folder()}}).wait();
  }
  json overnight_json(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const Finished finished = overnight_says(arguments);
    json parsed = json::parse(finished.output, nullptr, false);
    EXPECT_FALSE(parsed.is_discarded()) << finished.output;
    return parsed;
  }
  void run_on_gpus(const std::string& script) {
    const std::string study =
        write_study(folder_, {.script = script, .experiments = 2, .task_more = "  resources: {gpus: 1}\n"});
    const Finished finished = overnight_says({"run", study, "--plain"});
    ASSERT_EQ(finished.exit_code, 0) << finished.output;
  }
  bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

  Folder folder_;
  std::optional<FakeDriver> driver_;
  const std::string uuid_ = "GPU-of-a-test-" + std::to_string(getpid());  // locked for the whole machine

 private:
  std::filesystem::path made_folder() {
    std::filesystem::create_directory(folder_.path() / "driver");
    return folder_.path() / "driver";
  }
};

TEST_F(Gpus, AreShownByTheDoctor) {
  gpus("reasons=0x4 power_limit=600000 unsupported=ecc");
  const std::string text = overnight_says({"doctor"}).output;
  EXPECT_TRUE(says(text, "driver     NVIDIA 550.54.15, for CUDA up to 12.4\n")) << text;
  EXPECT_TRUE(says(text, "gpu        " + uuid_ + " H200\n")) << text;
  EXPECT_TRUE(says(text, "held down    by software power cap (slowing)\n")) << text;
  EXPECT_TRUE(says(text, "ecc          not supported\n")) << text;
  const json told = overnight_json({"doctor"});
  EXPECT_EQ(told["gpu_driver_cuda"], "12.4");
  EXPECT_EQ(told["gpus"][0]["slowed_by"], json::array({"software power cap"}));
  EXPECT_TRUE(told["gpus"][0]["ecc"].is_null());
}

TEST_F(Gpus, ThatAreMissingAreSaidInOneLine) {
  gpus("");
  std::filesystem::remove(driver_->folder() + "/gpus");
  const std::string text = overnight_says({"doctor"}).output;
  EXPECT_TRUE(says(text, "gpus       none: the NVIDIA driver does not answer; slots are shares of the CPUs\n")) << text;
  EXPECT_FALSE(says(text, "driver     ")) << text;
}

TEST_F(Gpus, ThatWereSlowedMarkTheirTrialsInEveryReport) {
  gpus("reasons=0x1,0x4 power_limit=600000 energy=1000+5000");
  run_on_gpus(driver_->until_asked() + "echo \"loss: $1\"\n");
  const json report = json::parse(overnight_says({"report", "--format", "json"}).output);
  for (const json& trial : report["trials"]) {
    EXPECT_EQ(trial["gpus"]["throttled"], "yes") << trial;
    EXPECT_EQ(trial["gpus"]["slowed_by"], json::array({"software power cap"}));
    EXPECT_GE(trial["gpus"]["energy"]["mj"], 5000);
  }
  EXPECT_TRUE(says(overnight_says({"report", "--format", "md"}).output, "‡"));
  const json shown = overnight_json({"show", "1"});
  EXPECT_EQ(shown["trials"][0]["gpus"]["throttled"], "yes");
  EXPECT_TRUE(says(overnight_says({"show", "1"}).output, "software power cap"));
  EXPECT_EQ(overnight_says({"audit", "verify"}).exit_code, 0);
}

TEST_F(Gpus, ThatCannotBeAskedInMidTrialFailNothingAndAreUnknown) {
  gpus("lost_after=0");
  run_on_gpus("echo \"loss: $1\"\n");
  const json report = json::parse(overnight_says({"report", "--format", "json"}).output);
  ASSERT_FALSE(report["trials"].empty());
  for (const json& trial : report["trials"]) {
    EXPECT_EQ(trial["cause"], "completed");
    EXPECT_EQ(trial["gpus"]["throttled"], "unknown");
    EXPECT_TRUE(trial["gpus"]["energy"]["mj"].is_null());
  }
  EXPECT_TRUE(says(overnight_says({"show", "1"}).output, "unknown"));
}

}  // namespace
}  // namespace overnight::system_tests
