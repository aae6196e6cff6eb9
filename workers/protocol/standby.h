// How a keeper is started before anybody needs it, so that a free slot does not wait for a program to start:
//
//   overnight-worker --standby PLACEHOLDER
//
// waits, and begins with the first thing on its control channel, the absolute path of its order, ended by a 0 byte.
// Messages follow it. PLACEHOLDER is room for that path: the keeper writes it over its arguments, so that whoever looks
// for keepers (another life of the orchestrator, an offline halt, ps) finds each by the order that it keeps.
#pragma once

#include <cstddef>

namespace overnight::workers {

inline constexpr const char* standby_verb = "--standby";
inline constexpr std::size_t order_path_bytes_max = 4095;  // PATH_MAX of Linux, less its end

}  // namespace overnight::workers
