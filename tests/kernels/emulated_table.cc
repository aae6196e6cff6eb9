// The GPU's ops, run by the emulator, in floats and in doubles.
#include "kernels/cuda/table.cuh"
#include "tests/kernels/tables.h"

namespace overnight::kernels::emulated {

const BackendOf<float> floats = cuda::table_named<float>("emulated");
const BackendOf<double> doubles = cuda::table_named<double>("emulated, exact");

}  // namespace overnight::kernels::emulated
