// The CPU ops for the instruction set "avx512"; the compiler flags stand in kernels/CMakeLists.txt.
#define KERNELS_ISA avx512
#define KERNELS_NAME "avx512"
#include "kernels/cpu/ops.inc"
