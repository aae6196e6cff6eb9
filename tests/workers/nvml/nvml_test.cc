#include "workers/nvml/nvml.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace overnight::workers {
namespace {

class NvmlTest : public testing::Test {
 protected:
  ~NvmlTest() override { std::filesystem::remove(script_); }
  void gpus(const std::string& lines) {
    std::ofstream(script_) << lines;
    ::setenv("OVERNIGHT_FAKE_GPUS", script_.c_str(), 1);
  }
  std::filesystem::path script_ =
      std::filesystem::temp_directory_path() / ("overnight-gpus-" + std::to_string(::getpid()));
};

TEST_F(NvmlTest, WithoutADriverSaysSoAndAnswersNothing) {
  const Nvml nvml("libno-such-driver.so");
  EXPECT_NE(nvml.complaint().find("no NVIDIA driver"), std::string::npos);
  EXPECT_FALSE(nvml.count());
  EXPECT_FALSE(nvml.driver_version());
}

TEST_F(NvmlTest, ADriverThatDoesNotAnswerIsTold) {
  ::setenv("OVERNIGHT_FAKE_GPUS", "/nonexistent", 1);
  EXPECT_EQ(Nvml(OVERNIGHT_FAKE_NVML).complaint(), "the NVIDIA driver does not answer");
}

TEST_F(NvmlTest, TellsWhatTheDriverTells) {
  gpus("GPU-1 H200 reasons=0x5 energy=70000+8000 sm_clock=1230 memory=7 ecc=2 ecc_aggregate=5 temperature=77\n");
  const Nvml nvml(OVERNIGHT_FAKE_NVML);
  ASSERT_EQ(nvml.complaint(), "");
  EXPECT_EQ(nvml.driver_version().value(), "550.54.15");
  EXPECT_EQ(nvml.cuda_version().value(), "12.4");
  EXPECT_EQ(nvml.count().value(), 1u);
  const Nvml::Device gpu = nvml.device("GPU-1").value();
  EXPECT_EQ(gpu, nvml.device(0).value());
  EXPECT_EQ(nvml.name(gpu).value(), "H200");
  EXPECT_EQ(nvml.compute_capability(gpu)->major, 9);
  EXPECT_EQ(nvml.memory(gpu)->used_bytes, 7);
  EXPECT_EQ(nvml.memory(gpu)->free_bytes, 149'999'999'993);
  EXPECT_TRUE(nvml.ecc_mode(gpu).value());
  EXPECT_EQ(nvml.uncorrected_errors(gpu)->since_boot, 2);
  EXPECT_EQ(nvml.uncorrected_errors(gpu)->in_lifetime, 5);
  EXPECT_EQ(nvml.clock_mhz(gpu, GpuClock::sm).value(), 1230);
  EXPECT_EQ(nvml.clock_mhz(gpu, GpuClock::memory).value(), 3201);
  EXPECT_EQ(nvml.clock_max_mhz(gpu, GpuClock::sm).value(), 1980);
  EXPECT_EQ(nvml.temperature_celsius(gpu).value(), 77);
  EXPECT_EQ(nvml.power_mw(gpu).value(), 120'000);
  EXPECT_EQ(nvml.power_limit_mw(gpu).value(), 700'000);
  EXPECT_EQ(nvml.power_limit_default_mw(gpu).value(), 700'000);
  EXPECT_TRUE(nvml.full_power(gpu));
  EXPECT_EQ(nvml.energy_mj(gpu).value(), 70'000);
  EXPECT_EQ(nvml.energy_mj(gpu).value(), 78'000);
  EXPECT_EQ(nvml.clock_reasons(gpu).value(), gpu_idle | software_power_cap);
}

TEST_F(NvmlTest, WhatIsNotSupportedIsARefusalThatSaysSo) {
  gpus("GPU-1 RTX unsupported=ecc,energy\n");
  const Nvml nvml(OVERNIGHT_FAKE_NVML);
  const Nvml::Device gpu = nvml.device("GPU-1").value();
  EXPECT_EQ(nvml.ecc_mode(gpu).error(), (NvmlError{true, "not supported"}));
  EXPECT_TRUE(nvml.energy_mj(gpu).error().not_supported);
  EXPECT_TRUE(nvml.power_mw(gpu));
}

TEST_F(NvmlTest, ADriverThatKnowsOnlyTheNewerFunctionsIsAskedByThem) {
  gpus("GPU-1 H200 missing=reasons,temperature reasons=0x20 temperature=55\n");
  const Nvml nvml(OVERNIGHT_FAKE_NVML);
  const Nvml::Device gpu = nvml.device("GPU-1").value();
  EXPECT_EQ(nvml.clock_reasons(gpu).value(), software_thermal_slowdown);
  EXPECT_EQ(nvml.temperature_celsius(gpu).value(), 55);
}

TEST_F(NvmlTest, AGpuThatIsLostInTheMiddleRefusesEverything) {
  gpus("GPU-1 H200 lost_after=1\n");
  const Nvml nvml(OVERNIGHT_FAKE_NVML);
  const Nvml::Device gpu = nvml.device("GPU-1").value();
  EXPECT_TRUE(nvml.clock_reasons(gpu));
  EXPECT_EQ(nvml.clock_reasons(gpu).error(), (NvmlError{false, "the GPU is lost"}));
  EXPECT_EQ(nvml.energy_mj(gpu).error().explain, "the GPU is lost");
}

TEST_F(NvmlTest, AGpuThatTheDriverDoesNotKnowIsRefused) {
  gpus("GPU-1 H200\n");
  EXPECT_EQ(Nvml(OVERNIGHT_FAKE_NVML).device("GPU-2").error().explain, "the driver does not know this GPU");
}

}  // namespace
}  // namespace overnight::workers
