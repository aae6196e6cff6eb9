// The tables of the CPU ops, one per instruction set. Private to kernels/.
#pragma once

#include "kernels/kernels.h"

namespace overnight::kernels {

inline constexpr std::size_t head_size_max = 256;  // a row of this size lies on the stack in qk_backward

namespace base {
extern const Backend table;
}
namespace avx2 {
extern const Backend table;
}
namespace avx512 {
extern const Backend table;
}

}  // namespace overnight::kernels
