// A folder in which a library lies that answers as NVIDIA's does (fake_nvml.cc), and the file that it answers from: in
// LD_LIBRARY_PATH of a program it is the driver of a machine with these GPUs.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace overnight {

// Where a library of ours lies; beside the programs when the tests run from a copy, as another user (OVERNIGHT_BIN).
inline std::string fake_nvml() {
  const char* bin = std::getenv("OVERNIGHT_BIN");
  return bin != nullptr ? std::string(bin) + "/../fake_nvml/libnvidia-ml.so.1" : OVERNIGHT_FAKE_NVML;
}

class FakeDriver {
 public:
  // `folder` is there, and its owner removes it.
  FakeDriver(std::filesystem::path folder, const std::string& gpus) : folder_(std::move(folder)) {
    std::ofstream(folder_ / "gpus") << gpus;
    std::filesystem::create_symlink(fake_nvml(), folder_ / "libnvidia-ml.so.1");
  }
  std::string folder() const { return folder_.string(); }
  // For a task: waits until a GPU was asked for the first time why its clocks are down.
  std::string until_asked() const {
    return "while [ ! -e " + (folder_ / "gpus.asked").string() + " ]; do sleep 0.02; done; sleep 0.05; ";
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace overnight
