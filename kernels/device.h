// A GPU as programs use it: its memory, the order of its work, its tables of launchers, and its optimizer. Implemented
// for CUDA (cuda/cuda_device.cu), and by the emulator for tests. The thread that opened a device uses it, and no other;
// it opens one at a time.
//
// Work is asynchronous: calls that launch or copy return at once, and what they do happens in their order; `wait` waits
// for all of it. Host memory that is copied from must stay as it is until then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "kernels/bfloat16.h"
#include "kernels/kernels.h"

namespace overnight::kernels {

// A call that the driver refused, or work that failed: what, and the driver's word for it.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// There was not so much memory.
struct DeviceOutOfMemory : DeviceError {
  using DeviceError::DeviceError;
};

// ---- the optimizer ----

// What changes from step to step, in the device's memory. Groups are those of the trainer's settings, by number.
inline constexpr std::size_t optimizer_groups_max = 8;
struct StepNumbers {
  struct Group {
    float rate = 0, beta1 = 0, beta2 = 0, correction1 = 1, correction2 = 1, epsilon = 0, decay = 0;
  };
  Group groups[optimizer_groups_max];
  float clip = 0;       // largest norm of the gradient; 0: none
  float mean_keep = 0;  // of the running mean of weights
  float momentum = 0, muon_beta2 = 0, muon_rate = 0, muon_decay = 0;
};

// All numbers of a training, each block laid out like the parameters but `second`.
struct OptimizerBlocks {
  float* parameters = nullptr;
  bfloat16* weights = nullptr;  // a copy of the parameters for the matrix unit; null: none is needed
  const float* gradients = nullptr;
  float *first = nullptr, *second = nullptr;
  float* mean = nullptr;  // of the weights, running; null: none is wanted
};

// A part of one tensor that AdamW works on.
struct AdamWPiece {
  std::uint64_t at = 0, count = 0, second_at = 0;  // in the parameters; in the second moments
  std::uint32_t group = 0;
};
inline constexpr std::size_t adamw_piece_max = 8192;  // numbers

// Matrices of one shape, which Muon works on together; `at` and `second_at` [count] are in the device's memory.
struct MuonStack {
  std::size_t rows = 0, columns = 0, count = 0;
  const std::uint64_t *at = nullptr, *second_at = nullptr;
  bool polar_express = true;  // else Newton-Schulz
  bool rounded = true;        // worked on in bfloat16; else in floats

  constexpr std::size_t low() const { return rows < columns ? rows : columns; }
  constexpr std::size_t lines() const { return rows < columns ? columns : rows; }  // that have a second moment each
  // Two stacks of matrices and two of squares, then of each matrix some sums and two numbers a line in floats.
  static constexpr std::size_t sums_max = 64;
  constexpr std::size_t numbers() const { return 2 * count * (rows * columns + low() * low()); }
  constexpr std::size_t numbers_bytes() const {
    return (numbers() * (rounded ? sizeof(bfloat16) : sizeof(float)) + 255) / 256 * 256;
  }
  constexpr std::size_t scratch_bytes() const {
    return numbers_bytes() + count * (sums_max + 2 * lines()) * sizeof(float);
  }
};

struct DeviceOps {
  // Whether the matrix unit takes these in bfloat16; others go number by number, which is right and many times slower.
  bool (*attention_suits)(const AttentionShape& shape);
  bool (*state_space_suits)(const StateSpaceShape& shape);
  // *sum += the sum of values, in a fixed order
  void (*add_total)(double* sum, const float* values, std::size_t count);
  // *norm = the root of the sum of squares
  void (*norm)(float* norm, const float* values, std::size_t count);
  // to = from, rounded
  void (*narrow)(bfloat16* to, const float* from, std::size_t count);
  // Both read the gradient's norm from the device's memory, and scale by it if StepNumbers says so.
  void (*adamw)(const OptimizerBlocks& blocks, const AdamWPiece* pieces, std::size_t count, const StepNumbers* numbers,
                const float* norm);
  void (*muon)(const OptimizerBlocks& blocks, const MuonStack& stack, const StepNumbers* numbers, const float* norm,
               void* scratch);
};

// ---- the device ----

struct DeviceFacts {
  std::string name;                           // "NVIDIA H200"
  std::string version;                        // of driver and libraries, in words
  std::uint64_t memory = 0, memory_free = 0;  // in bytes
};

class Device {
 public:
  virtual ~Device() = default;
  virtual DeviceFacts facts() const = 0;

  virtual const BackendOf<float>& floats() const = 0;
  virtual const BackendOf<bfloat16, float>& bfloat16s() const = 0;
  virtual const DeviceOps& ops() const = 0;

  // Throw DeviceOutOfMemory. Host memory that is allocated here can be copied from and to without waiting.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* memory) = 0;
  virtual void* allocate_host(std::size_t bytes) = 0;
  virtual void release_host(void* memory) = 0;

  virtual void to_device(void* to, const void* from_host, std::size_t bytes) = 0;
  virtual void to_host(void* to_host, const void* from, std::size_t bytes) = 0;
  virtual void zero(void* at, std::size_t bytes) = 0;
  virtual void wait() = 0;

  // Work that is launched as a whole, again and again, on the same memory.
  class Recording {
   public:
    virtual ~Recording() = default;
    virtual void play() = 0;
  };
  virtual std::unique_ptr<Recording> record(const std::function<void()>& launches) = 0;

  // While it is on, kinds of products that are met for the first time try several ways to be done, and stay with the
  // fastest. Not while recording.
  virtual void tune(bool on) = 0;
  // For other programs on the same kind of GPU, what was found since it was opened. Why it could not be kept, or
  // nothing.
  virtual std::string keep_tuned() = 0;
  // Sums of gradients in a fixed order, products the library's first way whatever was found before, so that a rerun
  // gives the same bits. On at first.
  virtual void be_deterministic(bool on) = 0;

  // Measured now, in about a tenth of a second: FLOP/s of large products of bfloat16 and of floats, bytes per second of
  // a copy, read and written.
  struct Peaks {
    double bfloat16_flops = 0, float_flops = 0, bytes = 0;
  };
  virtual Peaks measure_peaks() = 0;
};

// The first GPU that this process may use, or null and why ("this program was built without CUDA").
struct OpenedDevice {
  std::unique_ptr<Device> device;
  std::string why_not;
  bool broken = false;  // there is one, or ought to be, and it does not work: nothing to pass over in silence
};
// `products`: the file in which `keep_tuned` keeps what was found; empty: one under the user's cache folder for each
// kind of GPU and version of the library.
// Throws DeviceOutOfMemory if the GPU has not even room for the workspace.
OpenedDevice open_device(const std::string& products = {});

// Numbers in a device's memory, or on its host where the device can reach them. A resource.
template <typename Number>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(Device& device, std::size_t count)
      : device_(&device), data_(static_cast<Number*>(device.allocate(bytes_of(count)))), count_(count) {}
  DeviceArray(DeviceArray&& other) noexcept
      : device_(other.device_), data_(std::exchange(other.data_, nullptr)), count_(other.count_) {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(device_, other.device_), std::swap(data_, other.data_), std::swap(count_, other.count_);
    return *this;
  }
  ~DeviceArray() {
    if (data_ != nullptr) device_->release(data_);
  }
  Number* get() const { return data_; }
  std::size_t size() const { return count_; }
  static std::size_t bytes_of(std::size_t count) { return (count * sizeof(Number) + 255) / 256 * 256; }

 private:
  Device* device_ = nullptr;
  Number* data_ = nullptr;
  std::size_t count_ = 0;
};
template <typename Number>
class HostArray {
 public:
  HostArray() = default;
  HostArray(Device& device, std::size_t count)
      : device_(&device), data_(static_cast<Number*>(device.allocate_host(count * sizeof(Number)))), count_(count) {}
  HostArray(HostArray&& other) noexcept
      : device_(other.device_), data_(std::exchange(other.data_, nullptr)), count_(other.count_) {}
  HostArray& operator=(HostArray&& other) noexcept {
    std::swap(device_, other.device_), std::swap(data_, other.data_), std::swap(count_, other.count_);
    return *this;
  }
  ~HostArray() {
    if (data_ != nullptr) device_->release_host(data_);
  }
  Number* get() const { return data_; }
  std::size_t size() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(Number); }

 private:
  Device* device_ = nullptr;
  Number* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace overnight::kernels
