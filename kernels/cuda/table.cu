// The tables for GPUs, compiled by nvcc.
#include "kernels/cuda/best_product.cuh"
#include "kernels/cuda/table.cuh"

namespace overnight::kernels::cuda {

extern const BackendOf<float> float_table;
extern const BackendOf<bfloat16, float> bfloat16_table;
extern const DeviceOps cuda_ops;
const BackendOf<float> float_table = table_named<float, BestProducts>("cuda");
const BackendOf<bfloat16, float> bfloat16_table = table_named<bfloat16, BestProducts>("cuda, bfloat16");
const DeviceOps cuda_ops = device_ops<BestProducts>();

}  // namespace overnight::kernels::cuda
