// SHA-256, for canonical hashes and the journal's chain. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace overnight::core {

using Digest = std::array<std::uint8_t, 32>;

Digest sha256(std::string_view bytes);
std::string hex(const Digest& digest);

}  // namespace overnight::core
