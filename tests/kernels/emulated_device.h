// A device that the emulator plays: its memory is this process's, work is done when it is launched, and a recording
// does the same again. What programs do with a GPU is tried with it, in every line but the driver's.
#pragma once

#include <memory>

#include "kernels/device.h"

namespace overnight::kernels {

// With so much memory in all: more is refused as a GPU would.
std::unique_ptr<Device> emulated_device(std::size_t memory = std::size_t{1} << 30);

}  // namespace overnight::kernels
