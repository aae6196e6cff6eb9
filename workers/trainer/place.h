// Where a training runs: on threads of the CPU, or on a GPU; and how fast that place multiplies matrices, which is what
// a training's speed is measured against.
#pragma once

#include <memory>
#include <string>

#include "budgets/result.h"
#include "kernels/device.h"
#include "workers/trainer/training.h"

namespace overnight::workers {

struct Place {
  std::unique_ptr<kernels::Device> device;  // null: the CPU
  std::string why_no_device;                // where one was looked for
  kernels::DeviceFacts facts;               // of the device, before anything was taken
  double flops = 0;                         // of large products, in FLOP/s
  double bytes = 0;                         // that a device copies in a second, read and written
};

// Settles what settings leave open: `device` becomes "cpu" or "cuda", lanes and threads those of that place. Fails if
// the device that is asked for is not there, or the training does not fit into its memory. Measures for about
// `seconds`. `products`: see kernels::open_device.
budgets::Result<Place, std::string> find_place(TrainingSettings& settings, double seconds,
                                               const std::string& products = {});

// The same for a device that was opened, or for none; decides alone.
budgets::Result<void, std::string> take_place(TrainingSettings& settings, const kernels::DeviceFacts* device);

}  // namespace overnight::workers
