// The tables of the CPU ops, one per instruction set. Private to kernels/.
#pragma once

#include "kernels/kernels.h"

namespace overnight::kernels {

inline constexpr std::size_t attention_rows = 64;  // queries at once: skips the keys that the mask hides

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
