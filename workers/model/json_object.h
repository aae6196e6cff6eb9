// A JSON object from a hostile text: one that names nothing twice, and is not nested deeply.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "budgets/result.h"

namespace overnight::workers {

inline constexpr int json_depth_max = 4;

// The error says what it is instead: "is not a JSON object", "names \"width\" twice", "is nested too deeply".
budgets::Result<nlohmann::json, std::string> parse_json_object(const std::string& text);

}  // namespace overnight::workers
