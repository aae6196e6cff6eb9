// The CPU ops for the instruction set "avx2"; the compiler flags stand in kernels/CMakeLists.txt.
#define KERNELS_ISA avx2
#define KERNELS_NAME "avx2"
#include "kernels/cpu/ops.inc"
