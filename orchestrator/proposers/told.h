// Text that others wrote (a model, a server, a program), made fit to be shown and kept: one line, valid UTF-8, bounded,
// without a secret. Pure.
#pragma once

#include <string>
#include <string_view>

namespace overnight::proposers {

inline constexpr std::size_t told_bytes_max = 300;  // of a message that goes into a note

// Control characters become spaces, broken UTF-8 a question mark; what is longer ends with "...".
std::string told(std::string_view text, std::size_t bytes_max = told_bytes_max);

// Every occurrence of the secret replaced; nothing is done for an empty one.
std::string without_secret(std::string text, const std::string& secret);

}  // namespace overnight::proposers
