// The sections `space` and `baseline`: what may be varied, and where it begins.
#include <algorithm>
#include <cmath>

#include "orchestrator/study/sections.h"

namespace overnight::study {
namespace {

constexpr std::int64_t exact_max = std::int64_t{1} << 53;  // beyond, numbers of other languages are not exact
constexpr std::size_t dimensions_max = 256;                // no search of a night learns anything about more
constexpr std::size_t values_max = 1000;                   // of a choice

core::Scale read_scale(Section& dimension) {
  std::string scale = "linear";
  dimension.choice("scale", scale, {"linear", "log"});
  return scale == "log" ? core::Scale::log : core::Scale::linear;
}

template <typename Range>
void check_range(Section& dimension, const Range& range, bool read) {
  if (!read) return;
  if (!(range.low < range.high))
    dimension.error("low", "low must be below high; for a constant take it out of the space");
  if (range.scale == core::Scale::log && !(range.low > 0))
    dimension.error("low", "a log scale needs a low above 0; raise low, or write scale: linear");
}

core::FloatRange read_float(Section& dimension) {
  core::FloatRange range;
  bool read = dimension.require("low") && dimension.require("high");
  read = dimension.real("low", range.low) && read;
  read = dimension.real("high", range.high) && read;
  range.scale = read_scale(dimension);
  check_range(dimension, range, read);
  if (read && !std::isfinite(range.high - range.low))
    dimension.error("high", "low and high are too far apart for a number to hold");
  return range;
}

core::IntRange read_int(Section& dimension) {
  core::IntRange range;
  bool read = dimension.require("low") && dimension.require("high");
  read = dimension.whole("low", range.low, -exact_max, exact_max) && read;
  read = dimension.whole("high", range.high, -exact_max, exact_max) && read;
  dimension.whole("step", range.step, 1, exact_max);
  range.scale = read_scale(dimension);
  check_range(dimension, range, read);
  if (read && range.low < range.high && range.step > range.high - range.low)
    dimension.error("step", "is wider than the whole range; only low would ever be tried");
  return range;
}

core::Choice read_choice(Section& dimension) {
  core::Choice choice;
  if (!dimension.require("values")) return choice;
  const Node* values = dimension.take("values");
  if (values == nullptr) return choice;
  if (!values->is_sequence() || values->items.empty() || values->items.size() > values_max) {
    dimension.error("values", "must be a list of 1 to " + std::to_string(values_max) + " values like [relu, gelu]");
    return choice;
  }
  for (const Node& value : values->items) {
    const std::string path = dimension.path_of("values");
    if (!value.is_scalar()) {
      dimension.errors().add(value.at, path, "each value is a number, a text or a truth value");
      continue;
    }
    const core::ParamValue read = value_of(value);
    const std::string text = core::text_of(read);
    if (std::any_of(choice.values.begin(), choice.values.end(),
                    [&](const core::ParamValue& other) { return core::text_of(other) == text; })) {
      dimension.errors().add(value.at, path, shown(text) + " stands there twice; keep one");
    } else {
      choice.values.push_back(read);
    }
  }
  return choice;
}

// Whether the parameter can have this value; its own condition apart.
bool can_be(const core::Dimension& parent, const core::ParamValue& value) {
  const core::Space alone{{{parent.name, parent.domain, {}}}};
  return core::canonical(alone, {{parent.name, value}}).has_value();
}

void read_when(Section& dimension, const core::Space& earlier, core::Dimension& out) {
  auto when = dimension.section("when");
  if (!when) return;
  for (const Node::Entry& entry : when->entries()) {
    const Node* wanted = when->take(entry.key);
    if (wanted == nullptr) continue;
    const core::Dimension* parent = earlier.find(entry.key);
    if (parent == nullptr) {
      when->error(entry.key, "is not a parameter that stands above " + out.name + "; move it up, or correct its name");
      continue;
    }
    const std::vector<Node> single{*wanted};
    const std::vector<Node>& values = wanted->is_sequence() ? wanted->items : single;
    if (values.empty()) when->error(entry.key, "names no value: " + out.name + " would never be active");
    for (const Node& value : values) {
      if (!value.is_scalar() || !can_be(*parent, value_of(value))) {
        dimension.errors().add(value.at, when->path_of(entry.key),
                               shown(value.text) + " is not a value that " + entry.key + " can have");
      } else {
        out.when[entry.key].push_back(value_of(value));
      }
    }
  }
}

core::Dimension read_dimension(Section& dimension, const std::string& name, const core::Space& earlier) {
  core::Dimension made{name, core::Choice{}, {}};
  std::string type;
  const bool known = dimension.require("type") && dimension.choice("type", type, {"float", "int", "choice"});
  if (type == "float") made.domain = read_float(dimension);
  if (type == "int") made.domain = read_int(dimension);
  if (type == "choice") made.domain = read_choice(dimension);
  if (!known) {
    for (const char* key : {"low", "high", "scale", "values", "step"}) dimension.take(key);
  }
  read_when(dimension, earlier, made);
  dimension.finish();
  return made;
}

}  // namespace

bool read_space(Section& study, core::Study& out) {
  const std::size_t before = study.errors().count();
  study.require("space");
  auto space = study.section("space");
  if (!space) return false;
  if (space->entries().empty()) study.error("space", "has no parameter; name at least one to vary");
  if (space->entries().size() > dimensions_max) {
    study.error("space", "has more than " + std::to_string(dimensions_max) + " parameters");
    return false;
  }
  for (const Node::Entry& entry : space->entries()) {
    if (!good_name(entry.key)) space->error(entry.key, name_rule);
    if (out.space.find(entry.key) != nullptr) continue;  // told as a duplicate
    if (space->take(entry.key) == nullptr) continue;
    Section dimension(study.errors(), entry.value, space->path_of(entry.key));
    if (dimension.valid()) out.space.dimensions.push_back(read_dimension(dimension, entry.key, out.space));
  }
  return study.errors().count() == before;
}

void read_baseline(Section& study, bool space_is_good, core::Study& out) {
  auto baseline = study.section("baseline");
  if (!baseline) return;
  const auto point = params_of(*baseline);
  if (!point || !space_is_good) return;
  const auto fitted = core::canonical(out.space, *point);
  if (fitted) {
    out.baseline = *fitted;
  } else {
    baseline->error(fitted.error().parameter, "the baseline is not in the space: " + fitted.error().explain);
  }
}

}  // namespace overnight::study
