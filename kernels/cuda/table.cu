// The table for GPUs in floats, compiled by nvcc.
#include "kernels/cuda/table.cuh"

namespace overnight::kernels::cuda {

extern const BackendOf<float> table;
const BackendOf<float> table = table_named<float>("cuda");

}  // namespace overnight::kernels::cuda
