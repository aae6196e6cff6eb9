// JSON that others wrote, read strictly: one value and nothing behind it, no key twice, no NaN, not too deep, not too
// long. Only .cc files include this: nlohmann/json is heavy.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "budgets/result.h"

namespace overnight::proposers {

inline constexpr int json_depth_max = 16;  // the deepest reply that we ask for nests 5

// The value, or a sentence that tells what is wrong with the text.
budgets::Result<nlohmann::json, std::string> parse_strictly(std::string_view text, std::size_t bytes_max);

// A whole number that 64 bits hold; none otherwise.
std::optional<std::int64_t> whole_number(const nlohmann::json& value);

// The text of a field, empty if it is not there or no text.
std::string text_field(const nlohmann::json& object, const char* key);

}  // namespace overnight::proposers
