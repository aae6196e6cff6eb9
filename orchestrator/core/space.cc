#include "orchestrator/core/space.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "orchestrator/core/digest.h"

namespace overnight::core {
namespace {

using budgets::Result;
using budgets::unexpected;

// Doubles that hold whole numbers below this are exact.
constexpr double exact_integers_max = 9007199254740992.0;

std::string shortest(double value) {
  std::string text = fmt::format("{}", value);
  return text;
}

std::optional<double> as_number(const ParamValue& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  return std::nullopt;
}

std::optional<std::int64_t> as_whole(const ParamValue& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return *whole;
  const auto* real = std::get_if<double>(&value);
  if (real && std::trunc(*real) == *real && std::abs(*real) <= exact_integers_max)
    return static_cast<std::int64_t>(*real);
  return std::nullopt;
}

bool equal_values(const ParamValue& a, const ParamValue& b) {
  if (a == b) return true;
  const auto x = as_number(a), y = as_number(b);
  return x && y && *x == *y;
}

Result<ParamValue, ParamRefusal> fit(const std::string& name, const FloatRange& range, const ParamValue& value) {
  const auto number = as_number(value);
  if (!number) return unexpected(ParamRefusal{name, name + ": " + text_of(value) + " is not a number"});
  if (!std::isfinite(*number)) return unexpected(ParamRefusal{name, name + ": not finite"});
  if (*number < range.low)
    return unexpected(ParamRefusal{name, fmt::format("{}: {} is below {}", name, *number, range.low)});
  if (*number > range.high)
    return unexpected(ParamRefusal{name, fmt::format("{}: {} is above {}", name, *number, range.high)});
  return ParamValue(*number + 0.0);  // + 0.0 turns -0 into 0
}

Result<ParamValue, ParamRefusal> fit(const std::string& name, const IntRange& range, const ParamValue& value) {
  const auto whole = as_whole(value);
  if (!whole) return unexpected(ParamRefusal{name, name + ": " + text_of(value) + " is not a whole number"});
  if (*whole < range.low)
    return unexpected(ParamRefusal{name, fmt::format("{}: {} is below {}", name, *whole, range.low)});
  if (*whole > range.high)
    return unexpected(ParamRefusal{name, fmt::format("{}: {} is above {}", name, *whole, range.high)});
  if ((*whole - range.low) % range.step != 0) {
    return unexpected(ParamRefusal{
        name, fmt::format("{}: {} is not on the grid of step {} from {}", name, *whole, range.step, range.low)});
  }
  return ParamValue(*whole);
}

Result<ParamValue, ParamRefusal> fit(const std::string& name, const Choice& choice, const ParamValue& value) {
  for (const ParamValue& allowed : choice.values) {
    if (equal_values(allowed, value)) return allowed;
  }
  std::string list;
  for (const ParamValue& allowed : choice.values) list += (list.empty() ? "" : ", ") + text_of(allowed);
  return unexpected(ParamRefusal{name, name + ": " + text_of(value) + " is not one of " + list});
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

}  // namespace

const Dimension* Space::find(std::string_view name) const {
  const auto found =
      std::find_if(dimensions.begin(), dimensions.end(), [&](const Dimension& d) { return d.name == name; });
  return found == dimensions.end() ? nullptr : &*found;
}

bool is_active(const Dimension& dimension, const Params& params) {
  return std::all_of(dimension.when.begin(), dimension.when.end(), [&](const auto& condition) {
    const auto found = params.find(condition.first);
    return found != params.end() &&
           std::any_of(condition.second.begin(), condition.second.end(),
                       [&](const ParamValue& value) { return equal_values(value, found->second); });
  });
}

Result<Params, ParamRefusal> canonical(const Space& space, const Params& proposed) {
  Params point;
  for (const Dimension& dimension : space.dimensions) {
    if (!is_active(dimension, point)) continue;
    const auto found = proposed.find(dimension.name);
    if (found == proposed.end()) return unexpected(ParamRefusal{dimension.name, dimension.name + ": missing"});
    auto value =
        std::visit([&](const auto& domain) { return fit(dimension.name, domain, found->second); }, dimension.domain);
    if (!value) return unexpected(value.error());
    point.emplace(dimension.name, std::move(*value));
  }
  for (const auto& [name, _] : proposed) {
    if (space.find(name) == nullptr) return unexpected(ParamRefusal{name, name + ": not a parameter of this study"});
  }
  return point;
}

std::string text_of(const ParamValue& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return std::to_string(*whole);
  if (const auto* real = std::get_if<double>(&value)) return shortest(*real);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return std::get<bool>(value) ? "true" : "false";
}

std::string canonical_text(const Params& params) {
  std::string text = "{";
  for (const auto& [name, value] : params) {
    if (text.size() > 1) text += ",";
    text += quoted(name) + ":";
    text += std::holds_alternative<std::string>(value) ? quoted(std::get<std::string>(value)) : text_of(value);
  }
  return text + "}";
}

std::string canonical_hash(const Params& params) { return hex(sha256(canonical_text(params))); }

}  // namespace overnight::core
