// The CPU ops compiled for doubles: the same lines as those that train, so that they can be checked to 1e-6.
#include "tests/kernels/tables.h"

#define KERNELS_ISA exact
#define KERNELS_NAME "exact"
#define KERNELS_REAL double
#include "kernels/cpu/ops.inc"
