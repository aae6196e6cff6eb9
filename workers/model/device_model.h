// A model on a GPU: its graph in one kind of numbers, with the memory of its passes there. A resource.
//
// Built for two kinds of numbers (real.h), behind one interface: matrices and activations in bfloat16, or everything in
// floats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "workers/model/config.h"

namespace overnight::workers {

// Time and work of one op of a model, summed over passes; `moved`: the least bytes that it must read and write.
struct OpCost {
  std::string kind;
  double forward_seconds = 0, backward_seconds = 0;
  double forward_flops = 0, backward_flops = 0;
  double forward_moved = 0, backward_moved = 0;
};

class DeviceModel {
 public:
  virtual ~DeviceModel() = default;

  // One pass; all memory is the device's. It is launched, not waited for.
  struct Pass {
    const float* parameters = nullptr;
    const kernels::bfloat16* weights = nullptr;  // the same, rounded; not read in floats
    float* gradients = nullptr;                  // added to; null in scoring
    const std::int32_t *inputs = nullptr, *targets = nullptr;
    const std::int32_t* order = nullptr;  // rows by their inputs, those of one input in their order
    float loss_scale = 0;                 // 0: no gradients
  };
  virtual void run(const Pass& pass) = 0;
  virtual const float* losses() const = 0;  // of the last pass, by row

  virtual bool rounds() const = 0;                               // whether it reads Pass::weights
  virtual std::vector<OpCost> take_costs(const Pass& pass) = 0;  // one pass, op by op; waits for each
};

// What of a model goes number by number in bfloat16, many times slower, because the matrix unit does not take its
// shape; each once, in words.
std::vector<std::string> off_matrix_unit(const ModelConfig& config, const kernels::DeviceOps& ops);

// What such a model takes in the device's memory, beside its parameters.
std::size_t device_model_bytes(const ModelConfig& config, std::size_t batch, ModelUse use, bool rounded);
std::unique_ptr<DeviceModel> make_device_model(const ModelConfig& config, std::size_t batch, ModelUse use, bool rounded,
                                               kernels::Device& device);

}  // namespace overnight::workers
