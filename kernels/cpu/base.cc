// The CPU ops for the instruction set "base"; the compiler flags stand in kernels/CMakeLists.txt.
#define KERNELS_ISA base
#define KERNELS_NAME "base"
#include "kernels/cpu/ops.inc"
