// The GPU's ops, run by the emulator, in floats, in doubles, and in bfloat16 with floats.
#include "kernels/cuda/table.cuh"
#include "tests/kernels/tables.h"

namespace overnight::kernels::emulated {

const BackendOf<float> floats = cuda::table_named<float>("emulated");
const BackendOf<double> doubles = cuda::table_named<double>("emulated, exact");
const BackendOf<bfloat16, float> mixed = cuda::table_named<bfloat16>("emulated, bfloat16");

}  // namespace overnight::kernels::emulated
