// The device that tests run on: the emulator's, or with OVERNIGHT_TEST_ON_GPU (tests/gpu) the machine's GPU. Without
// one such tests are skipped, and say so.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/kernels/emulated_device.h"

namespace overnight::kernels {

#ifdef OVERNIGHT_TEST_ON_GPU
inline constexpr bool on_gpu = true;
#else
inline constexpr bool on_gpu = false;
#endif

// Whether models are of the size that takes a GPU's fast paths: on one, and in the long form of tests, in which the
// emulator takes minutes.
inline bool gpu_sized() { return on_gpu || std::getenv("OVERNIGHT_TORTURE") != nullptr; }

inline OpenedDevice test_device(std::size_t emulated_memory = std::size_t{1} << 30) {
  if (on_gpu) return open_device();
  return {emulated_device(emulated_memory), ""};
}

}  // namespace overnight::kernels

// Defines `device`, or skips the test.
#define TEST_DEVICE(device)                                     \
  const auto opened = overnight::kernels::test_device();        \
  if (opened.device == nullptr) GTEST_SKIP() << opened.why_not; \
  overnight::kernels::Device& device = *opened.device
