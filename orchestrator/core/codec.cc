#include "orchestrator/core/codec.h"

#include "budgets/invariant.h"

namespace overnight::core {
namespace {

using nlohmann::json;

// Calls `read` and turns what it throws into an error in words.
template <typename T, typename Read>
budgets::Result<T, std::string> guarded(Read read) {
  try {
    return read();
  } catch (const std::exception& error) {
    return budgets::unexpected(std::string(error.what()));
  }
}

template <typename Variant, std::size_t... I>
bool read_named(Variant& out, std::string_view wanted, const json& body, std::index_sequence<I...>) {
  const auto try_one = [&](auto index) {
    using Alternative = std::variant_alternative_t<decltype(index)::value, Variant>;
    if (name_of(Variant(Alternative{})) != wanted) return false;
    out = body.get<Alternative>();
    return true;
  };
  return (try_one(std::integral_constant<std::size_t, I>{}) || ...);
}

template <typename Variant>
Variant variant_from(const json& j, const char* kind_key) {
  Variant out;
  const auto kind = j.at(kind_key).get<std::string>();
  if (!read_named(out, kind, j.at("data"), std::make_index_sequence<std::variant_size_v<Variant>>{})) {
    throw std::invalid_argument("unknown " + std::string(kind_key) + " \"" + kind + "\"");
  }
  return out;
}

}  // namespace

void to_json(json& j, const Dimension& dimension) {
  j = json{{"name", dimension.name}, {"when", dimension.when}};
  if (const auto* real = std::get_if<FloatRange>(&dimension.domain)) j["float"] = *real;
  if (const auto* whole = std::get_if<IntRange>(&dimension.domain)) j["int"] = *whole;
  if (const auto* choice = std::get_if<Choice>(&dimension.domain)) j["choice"] = *choice;
}

void from_json(const json& j, Dimension& dimension) {
  j.at("name").get_to(dimension.name);
  j.at("when").get_to(dimension.when);
  if (j.contains("float")) {
    dimension.domain = j.at("float").get<FloatRange>();
  } else if (j.contains("int")) {
    dimension.domain = j.at("int").get<IntRange>();
  } else {
    dimension.domain = j.at("choice").get<Choice>();
  }
}

void to_json(json& j, const Objective& objective) {
  j = {{"metric", objective.metric},
       {"direction", objective.direction},
       {"minimum_effect", objective.minimum_effect},
       {"tradeoffs", objective.tradeoffs}};
}

void from_json(const json& j, Objective& objective) {
  j.at("metric").get_to(objective.metric);
  j.at("direction").get_to(objective.direction);
  j.at("minimum_effect").get_to(objective.minimum_effect);
  if (j.contains("tradeoffs")) j.at("tradeoffs").get_to(objective.tradeoffs);
}

std::string study_to_json(const Study& study) { return json(study).dump(); }

Study study_from_json(const std::string& text) {
  auto study = guarded<Study>([&] { return json::parse(text).get<Study>(); });
  INVARIANT(study.has_value(), "a study in the store is one that we wrote");
  return std::move(*study);
}

void JsonText::escaped(std::string_view value) {
  text_ += json(value).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string input_to_json(const Input& input) {
  JsonText out;
  out.begin_object().field("now_ms", input.now).field("wall_unix_ms", input.wall).field("seed", input.seed);
  out.name("event").string(name_of(input.event));
  out.field("data", input.event).end_object();
  return out.take();
}

budgets::Result<Input, std::string> input_from_json(const std::string& text) {
  return guarded<Input>([&] {
    const json j = json::parse(text);
    Input input;
    j.at("now_ms").get_to(input.now);
    j.at("wall_unix_ms").get_to(input.wall);
    j.at("seed").get_to(input.seed);
    input.event = variant_from<Event>(j, "event");
    return input;
  });
}

std::string action_to_json(const NumberedAction& action) {
  JsonText out;
  out.begin_object().field("id", action.id);
  out.name("action").string(name_of(action.action));
  out.field("data", action.action).end_object();
  return out.take();
}

budgets::Result<NumberedAction, std::string> action_from_json(const std::string& text) {
  return guarded<NumberedAction>([&] {
    const json j = json::parse(text);
    NumberedAction action;
    j.at("id").get_to(action.id);
    action.action = variant_from<Action>(j, "action");
    return action;
  });
}

}  // namespace overnight::core
