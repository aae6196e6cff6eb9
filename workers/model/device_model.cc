#include "workers/model/device_model.h"

#include "workers/model/device_pass.h"

namespace overnight::workers {

std::size_t device_model_bytes(const ModelConfig& config, std::size_t batch, ModelUse use, bool rounded) {
  return rounded ? mixed::device_pass_bytes(config, batch, use) : single::device_pass_bytes(config, batch, use);
}

std::vector<std::string> off_matrix_unit(const ModelConfig& config, const kernels::DeviceOps& ops) {
  return mixed::ops_off_matrix_unit(config, ops);
}

std::unique_ptr<DeviceModel> make_device_model(const ModelConfig& config, std::size_t batch, ModelUse use, bool rounded,
                                               kernels::Device& device) {
  return rounded ? mixed::make_device_pass(config, batch, use, device)
                 : single::make_device_pass(config, batch, use, device);
}

}  // namespace overnight::workers
