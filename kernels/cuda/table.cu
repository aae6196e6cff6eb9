// The tables for GPUs, compiled by nvcc.
#include "kernels/cuda/table.cuh"

namespace overnight::kernels::cuda {

extern const BackendOf<float> table;
extern const BackendOf<bfloat16, float> bfloat16_table;
const BackendOf<float> table = table_named<float>("cuda");
const BackendOf<bfloat16, float> bfloat16_table = table_named<bfloat16>("cuda, bfloat16");

}  // namespace overnight::kernels::cuda
