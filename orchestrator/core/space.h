// The search space and a point in it. Values; pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "budgets/result.h"

namespace overnight::core {

// A parameter's value. Order of the alternatives is part of the JSON codec: integer, number, text, truth.
using ParamValue = std::variant<std::int64_t, double, std::string, bool>;
using Params = std::map<std::string, ParamValue>;

enum class Scale { linear, log };

struct FloatRange {
  double low = 0, high = 0;  // both included
  Scale scale = Scale::linear;
  bool operator==(const FloatRange&) const = default;
};
struct IntRange {
  std::int64_t low = 0, high = 0;  // both included
  Scale scale = Scale::linear;
  std::int64_t step = 1;
  bool operator==(const IntRange&) const = default;
};
struct Choice {
  std::vector<ParamValue> values;  // distinct, at least one
  bool operator==(const Choice&) const = default;
};

struct Dimension {
  std::string name;
  std::variant<FloatRange, IntRange, Choice> domain;
  // Active only when each named parameter has one of the values; empty: always. A parameter named here stands earlier
  // in the space.
  std::map<std::string, std::vector<ParamValue>> when;
  bool operator==(const Dimension&) const = default;
};

struct Space {
  std::vector<Dimension> dimensions;  // in the order of the file
  bool operator==(const Space&) const = default;

  const Dimension* find(std::string_view name) const;
};

// Whether `dimension` is active at `params`.
bool is_active(const Dimension& dimension, const Params& params);

struct ParamRefusal {
  std::string parameter;
  std::string explain;  // "learning_rate: 3 is above 0.03"
};

// The point that would be run for what was proposed: every active parameter of the space present and in range (missing
// ones are refused), inactive ones dropped, integers proposed as whole numbers turned into integers, unknown names
// refused.
budgets::Result<Params, ParamRefusal> canonical(const Space& space, const Params& proposed);

// Canonical text (sorted names, shortest round-trip numbers) and its SHA-256 in hex: equal points have equal hashes.
std::string canonical_text(const Params& params);
std::string canonical_hash(const Params& params);

// "0.003", "4", "attention", "true": as a command line takes it.
std::string text_of(const ParamValue& value);

}  // namespace overnight::core
