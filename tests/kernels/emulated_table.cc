// The GPU's ops, run by the emulator, in floats, in doubles, and in bfloat16 with floats; and the device of them.
#include <cstdlib>
#include <cstring>
#include <map>

#include "kernels/cuda/table.cuh"
#include "tests/kernels/emulated_device.h"
#include "tests/kernels/tables.h"

namespace overnight::kernels {

namespace emulated {

using cuda::PlainProducts;
const BackendOf<float> floats = cuda::table_named<float, PlainProducts>("emulated");
const BackendOf<double> doubles = cuda::table_named<double, PlainProducts>("emulated, exact");
const BackendOf<bfloat16, float> mixed = cuda::table_named<bfloat16, PlainProducts>("emulated, bfloat16");

void be_deterministic(bool on) { cuda::launching.deterministic = on; }

}  // namespace emulated

namespace {

constexpr DeviceOps emulated_ops = cuda::device_ops<cuda::PlainProducts>();

class EmulatedDevice final : public Device {
 public:
  explicit EmulatedDevice(std::size_t memory) : memory_(memory) { be_deterministic(true); }
  DeviceFacts facts() const override { return {"emulated", "no driver", memory_, memory_ - used_}; }
  const BackendOf<float>& floats() const override { return emulated::floats; }
  const BackendOf<bfloat16, float>& bfloat16s() const override { return emulated::mixed; }
  const DeviceOps& ops() const override { return emulated_ops; }

  void* allocate(std::size_t bytes) override {
    if (used_ + bytes > memory_) throw DeviceOutOfMemory("allocate: out of memory");
    used_ += bytes;
    void* made = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    std::memset(made, 0xff, bytes);  // what is not written is not a number
    sizes_[made] = bytes;
    return made;
  }
  void release(void* memory) override {
    used_ -= sizes_.at(memory);
    sizes_.erase(memory);
    std::free(memory);
  }
  void* allocate_host(std::size_t bytes) override { return std::malloc(bytes); }
  void release_host(void* memory) override { std::free(memory); }

  void to_device(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void to_host(void* to, const void* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }
  void zero(void* at, std::size_t bytes) override { std::memset(at, 0, bytes); }
  void wait() override {}

  std::unique_ptr<Recording> record(const std::function<void()>& launches) override {
    struct Again final : Recording {
      std::function<void()> launches;
      void play() override { launches(); }
    };
    auto made = std::make_unique<Again>();
    made->launches = launches;
    return made;
  }
  void tune(bool) override {}
  std::string keep_tuned() override { return ""; }
  void be_deterministic(bool on) override { emulated::be_deterministic(on); }
  Peaks measure_peaks() override { return {1e9, 1e9, 1e9}; }

 private:
  std::size_t memory_, used_ = 0;
  std::map<void*, std::size_t> sizes_;
};

}  // namespace

std::unique_ptr<Device> emulated_device(std::size_t memory) { return std::make_unique<EmulatedDevice>(memory); }

}  // namespace overnight::kernels
