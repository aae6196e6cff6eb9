// How fast OpenBLAS multiplies matrices on this machine: what a training's speed is measured against.
#pragma once

#include <cstddef>

namespace overnight::workers {

// FLOPs per second of single-precision products by `threads` threads side by side, measured for about `seconds`.
double product_speed(std::size_t threads, double seconds);

}  // namespace overnight::workers
