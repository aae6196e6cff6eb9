// The numbers that graphs compute with, of two kinds (kernels/kernels.h): Real for what is much, Full for what is
// summed or kept. On a CPU, and on a GPU in full precision, both are floats. The same files are built again with
// OVERNIGHT_MIXED, on bfloat16 with floats, for GPUs, and in tests with OVERNIGHT_EXACT, on doubles, to see how much of
// a difference is rounding: all stand side by side in one program, since what depends on the numbers lives in a
// namespace named after them.
#pragma once

#include "kernels/bfloat16.h"

#if defined(OVERNIGHT_EXACT)
#define OVERNIGHT_PRECISION exact
#elif defined(OVERNIGHT_MIXED)
#define OVERNIGHT_PRECISION mixed
#else
#define OVERNIGHT_PRECISION single
#endif

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {

#if defined(OVERNIGHT_EXACT)
using Real = double;
using Full = double;
#elif defined(OVERNIGHT_MIXED)
using Real = kernels::bfloat16;
using Full = float;
#else
using Real = float;
using Full = float;
#endif

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
