#include "orchestrator/cli/gpu_condition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/cli/scratch.h"

namespace overnight::cli {
namespace {

using nlohmann::json;

GpuCondition asked(const std::string& gpu) {
  const Scratch folder;
  ::setenv("OVERNIGHT_FAKE_GPUS", folder.write("gpus", "GPU-1 H200 " + gpu + "\n").c_str(), 1);
  const workers::Nvml nvml(OVERNIGHT_FAKE_NVML);
  return condition_of(nvml, nvml.device("GPU-1").value());
}

std::string line(const std::string& gpu, const std::string& name) {
  for (const std::string& one : condition_lines(asked(gpu))) {
    if (one.starts_with(name)) return one.substr(std::max(one.find_first_not_of(' ', name.size()), name.size()));
  }
  return "no line " + name;
}

TEST(GpuCondition, IsTheDriversInWords) {
  const std::string gpu =
      "reasons=0x5 sm_clock=345 temperature=30 power=76400 power_limit=500000 ecc=1 ecc_aggregate=3 memory=0";
  EXPECT_EQ(line(gpu, "capability"), "9.0");
  EXPECT_EQ(line(gpu, "memory"), "139.7 GiB free of 139.7 GiB");
  EXPECT_EQ(line(gpu, "ecc"), "on; uncorrected errors: 1 since the driver was loaded, 3 in its lifetime");
  EXPECT_EQ(line(gpu, "clocks"), "SM 345 of 1980 MHz, memory 3201 of 3201 MHz");
  EXPECT_EQ(line(gpu, "held down"), "by software power cap (slowing), GPU idle (harmless)");
  EXPECT_EQ(line(gpu, "temperature"), "30 C");
  EXPECT_EQ(line(gpu, "power"), "76 of 500 W, built for 700 W");
}

TEST(GpuCondition, ClassesWhatHoldsTheClocksDown) {
  EXPECT_EQ(line("reasons=0", "held down"), "by nothing");
  EXPECT_EQ(line("reasons=0x4", "held down"), "by software power cap (harmless)") << "with all its power";
  EXPECT_EQ(line("reasons=0x4 unsupported=power_limit_default", "held down"), "by software power cap (slowing)");
  EXPECT_EQ(line("reasons=0x2", "held down"), "by applications clocks setting (harmless)");
  EXPECT_EQ(line("reasons=0x48", "held down"), "by hardware slowdown (slowing), hardware thermal slowdown (slowing)");
  const json told = condition_json(asked("reasons=0x11"));
  EXPECT_EQ(told["slowed_by"], json::array({"sync boost"}));
  EXPECT_EQ(told["held_harmlessly_by"], json::array({"GPU idle"}));
}

TEST(GpuCondition, SaysWhatIsNotSupported) {
  const std::string gpu = "unsupported=ecc,power_limit,reasons,sm_clock,sm_clock_max";
  EXPECT_EQ(line(gpu, "ecc"), "not supported");
  EXPECT_EQ(line(gpu, "power"), "120 W; the most: not supported") << "half of it is known";
  EXPECT_EQ(line(gpu, "held down"), "not supported");
  EXPECT_EQ(line(gpu, "clocks"), "SM not supported, memory 3201 of 3201 MHz");
  const json told = condition_json(asked(gpu));
  EXPECT_TRUE(told["ecc"].is_null());
  EXPECT_TRUE(told["slowed_by"].is_null()) << "unknown is not \"none\"";
  EXPECT_EQ(told["not_known"]["ecc"], "not supported");
  EXPECT_EQ(told["not_known"]["power_limit_mw"], "not supported");
  EXPECT_FALSE(told["not_known"].contains("power_mw"));
  EXPECT_EQ(told["power_mw"], 120'000);
}

TEST(GpuCondition, OfAGpuThatIsLostIsNamedAsThat) {
  EXPECT_EQ(line("lost_after=0", "temperature"), "the GPU is lost");
  EXPECT_EQ(condition_json(asked("lost_after=0"))["not_known"]["memory_free_bytes"], "the GPU is lost");
}

}  // namespace
}  // namespace overnight::cli
