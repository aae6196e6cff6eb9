// The numbers that graphs compute with. Programs train on floats; tests build the same files a second time on doubles,
// with OVERNIGHT_EXACT, to see how much of a difference is rounding: both stand side by side in one program, since what
// depends on the numbers lives in a namespace named after them.
#pragma once

#ifdef OVERNIGHT_EXACT
#define OVERNIGHT_PRECISION exact
#else
#define OVERNIGHT_PRECISION single
#endif

namespace overnight::workers {
inline namespace OVERNIGHT_PRECISION {

#ifdef OVERNIGHT_EXACT
using Real = double;
#else
using Real = float;
#endif

}  // namespace OVERNIGHT_PRECISION
}  // namespace overnight::workers
