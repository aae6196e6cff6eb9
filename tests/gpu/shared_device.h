// This machine's GPU, which all tests of a program share, and its tables in a form whose ops have ended when they
// return.
#pragma once

#include <string>

#include "kernels/device.h"

namespace overnight::kernels {

// Null where there is none; why_no_device says why.
Device* shared_device();
std::string why_no_device();

// Null where there is none.
const Backend* waiting_floats();
const BackendOf<bfloat16, float>* waiting_bfloat16s();

}  // namespace overnight::kernels
