// DeviceModel for one kind of numbers. Private to device_model.cc.
#pragma once

#include "workers/model/device_model.h"
#include "workers/model/real.h"  // first: one of these namespaces is inline

namespace overnight::workers {

namespace single {
std::size_t device_pass_bytes(const ModelConfig& config, std::size_t batch, ModelUse use);
std::unique_ptr<DeviceModel> make_device_pass(const ModelConfig& config, std::size_t batch, ModelUse use,
                                              kernels::Device& device);
}  // namespace single
namespace mixed {
std::size_t device_pass_bytes(const ModelConfig& config, std::size_t batch, ModelUse use);
std::vector<std::string> ops_off_matrix_unit(const ModelConfig& config, const kernels::DeviceOps& ops);
std::unique_ptr<DeviceModel> make_device_pass(const ModelConfig& config, std::size_t batch, ModelUse use,
                                              kernels::Device& device);
}  // namespace mixed

}  // namespace overnight::workers
