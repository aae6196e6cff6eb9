#include "workers/trainer/place.h"

#include <cstdio>

#include "workers/trainer/device_layout.h"
#include "workers/trainer/product_speed.h"

namespace overnight::workers {
namespace {

// Of a GPU's memory: what the driver takes, for code and recordings, and later more.
constexpr std::uint64_t driver_bytes = std::uint64_t{1} << 30, driver_bytes_later = std::uint64_t{256} << 20;

std::uint64_t less(std::uint64_t bytes, std::uint64_t by) { return bytes > by ? bytes - by : 0; }

std::string gibibytes(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / (1 << 30));
  return text;
}

}  // namespace

budgets::Result<void, std::string> take_place(TrainingSettings& settings, const kernels::DeviceFacts* device) {
  settings.device = device != nullptr ? "cuda" : "cpu";
  if (device == nullptr) return {};
  settings.threads = 1;
  // By what the GPU has, not by what is free now: the same training has the same lanes again.
  const std::uint64_t free = less(device->memory_free, driver_bytes_later);
  TrainingSettings least = settings;
  if (settings.lanes == 0) {
    settings.lanes = least.lanes = lanes_that_fit(settings, less(device->memory, driver_bytes));
    if (least.lanes == 0) {  // with none: what the most of them need is told
      for (least.lanes = std::min(settings.batch, lanes_max); settings.batch % least.lanes != 0;) --least.lanes;
    }
  }
  if (const std::uint64_t needed = device_bytes(least); needed > free)
    return budgets::unexpected("this model and batch cannot be trained on this GPU: it needs " + gibibytes(needed) +
                               " of its memory with " + std::to_string(least.lanes) +
                               (least.lanes == 1 ? " lane" : " lanes") + ", and " + gibibytes(free) + " are free");
  return {};
}

budgets::Result<Place, std::string> find_place(TrainingSettings& settings, double seconds,
                                               const std::string& products) {
  Place place;
  if (settings.device != "cpu") {
    kernels::OpenedDevice opened = kernels::open_device(products);
    if (opened.device == nullptr && (settings.device == "cuda" || opened.broken))
      return budgets::unexpected("there is no GPU to train on: " + opened.why_not +
                                 (settings.device == "auto" ? " (--device=cpu trains without one)" : ""));
    place.device = std::move(opened.device);
    place.why_no_device = opened.why_not;
  }
  if (place.device != nullptr) place.facts = place.device->facts();
  if (auto taken = take_place(settings, place.device != nullptr ? &place.facts : nullptr); !taken)
    return budgets::unexpected(taken.error());
  if (place.device == nullptr) {
    place.flops = product_speed(static_cast<std::size_t>(settings.threads), seconds);
  } else {
    const kernels::Device::Peaks peaks = place.device->measure_peaks();
    place.flops = rounds(settings) ? peaks.bfloat16_flops : peaks.float_flops;
    place.bytes = peaks.bytes;
  }
  return place;
}

}  // namespace overnight::workers
