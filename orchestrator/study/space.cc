// The sections `space` and `baseline`: what may be varied, and where it begins.
#include <algorithm>

#include "orchestrator/study/sections.h"

namespace overnight::study {
namespace {

core::Scale read_scale(Section& dimension) {
  std::string scale;
  if (!dimension.text("scale", scale)) return core::Scale::linear;
  if (scale != "log" && scale != "linear") dimension.error("scale", "\"" + scale + "\" is neither linear nor log");
  return scale == "log" ? core::Scale::log : core::Scale::linear;
}

core::FloatRange read_float(Section& dimension) {
  core::FloatRange range;
  dimension.require("low");
  dimension.require("high");
  dimension.real("low", range.low);
  dimension.real("high", range.high);
  range.scale = read_scale(dimension);
  if (!(range.low < range.high)) dimension.error("low", "low must be below high");
  if (range.scale == core::Scale::log && !(range.low > 0)) dimension.error("low", "a log scale needs a low above 0");
  return range;
}

core::IntRange read_int(Section& dimension) {
  constexpr std::int64_t widest = std::int64_t{1} << 53;  // beyond, numbers of other languages are not exact
  core::IntRange range;
  dimension.require("low");
  dimension.require("high");
  dimension.whole("low", range.low, -widest, widest);
  dimension.whole("high", range.high, -widest, widest);
  dimension.whole("step", range.step, 1, widest);
  range.scale = read_scale(dimension);
  if (range.low >= range.high) dimension.error("low", "low must be below high");
  if (range.scale == core::Scale::log && range.low <= 0) dimension.error("low", "a log scale needs a low above 0");
  return range;
}

core::Choice read_choice(Section& dimension) {
  core::Choice choice;
  const auto values = dimension.take("values");
  if (!values || !values->IsSequence() || values->size() == 0) {
    dimension.error("values", "a choice needs a list of at least one value");
    return choice;
  }
  for (const auto& value : *values) {
    if (!value.IsScalar()) {
      dimension.error("values", "each value is a number, a text or a truth value");
      continue;
    }
    const core::ParamValue read = value_of(value);
    if (std::find(choice.values.begin(), choice.values.end(), read) != choice.values.end()) {
      dimension.error("values", "\"" + scalar_of(value) + "\" stands there twice");
    } else {
      choice.values.push_back(read);
    }
  }
  return choice;
}

void read_when(Section& dimension, const core::Study& study, core::Dimension& out) {
  auto when = dimension.section("when");
  if (!when) return;
  for (const auto& [name, values] : when->all()) {
    when->take(name);
    if (study.space.find(name) == nullptr) {
      when->error(name, "is not a parameter that stands above this one");
      continue;
    }
    const auto add = [&](const YAML::Node& value) { out.when[name].push_back(value_of(value)); };
    if (values.IsSequence()) {
      for (const auto& value : values) add(value);
    } else {
      add(values);
    }
    const auto* choice = std::get_if<core::Choice>(&study.space.find(name)->domain);
    for (const core::ParamValue& value : out.when[name]) {
      if (choice != nullptr && std::find(choice->values.begin(), choice->values.end(), value) == choice->values.end()) {
        when->error(name, "\"" + core::text_of(value) + "\" is not a value of " + name);
      }
    }
  }
}

}  // namespace

void read_space(Section& study, Errors& errors, core::Study& out) {
  study.require("space");
  const auto node = study.take("space");
  if (!node) return;
  Section space(errors, *node, "space");
  if (!space.valid()) return;
  for (const auto& pair : *node) {
    const std::string name = scalar_of(pair.first);
    space.take(name);
    if (!good_name(name)) {
      space.error(name,
                  "a parameter's name has letters, digits, '_', '-' and '.', at most 64, and begins with a letter");
      continue;
    }
    if (out.space.find(name) != nullptr) continue;  // told as a duplicate
    Section dimension(errors, pair.second, "space." + name);
    if (!dimension.valid()) continue;
    core::Dimension made{name, core::Choice{}, {}};
    std::string type;
    dimension.text("type", type);
    if (type == "float") {
      made.domain = read_float(dimension);
    } else if (type == "int") {
      made.domain = read_int(dimension);
    } else if (type == "choice") {
      made.domain = read_choice(dimension);
    } else {
      dimension.error("type", "\"" + type + "\" is not one of float, int, choice");
      for (const char* key : {"low", "high", "scale", "values", "step"}) dimension.take(key);
    }
    read_when(dimension, out, made);
    dimension.finish();
    out.space.dimensions.push_back(std::move(made));
  }
  if (out.space.dimensions.empty()) study.error("space", "has no parameter");
}

void read_baseline(Section& study, Errors& errors, core::Study& out) {
  const auto node = study.take("baseline");
  if (!node) return;
  Section baseline(errors, *node, "baseline");
  if (!baseline.valid()) return;
  for (const auto& [name, value] : baseline.all()) out.baseline[name] = value_of(value);
  if (const auto point = core::canonical(out.space, out.baseline); !point && !out.space.dimensions.empty()) {
    study.error("baseline", "is not in the space: " + point.error().explain);
  } else if (point) {
    out.baseline = *point;
  }
}

}  // namespace overnight::study
