#include "orchestrator/proposers/llm_request.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>

#include "orchestrator/proposers/offers.h"

namespace overnight::proposers {
namespace {

using nlohmann::json;

constexpr int hypothesis_characters_max = 400;

const char* type_of(const core::ParamValue& value) {
  if (std::holds_alternative<std::int64_t>(value)) return "integer";
  if (std::holds_alternative<double>(value)) return "number";
  if (std::holds_alternative<bool>(value)) return "boolean";
  return "string";
}

json domain_schema(const core::FloatRange&) { return {{"type", json::array({"number"})}}; }
json domain_schema(const core::IntRange&) { return {{"type", json::array({"integer"})}}; }
json domain_schema(const core::Choice& choice) {
  std::set<std::string> types;
  json values = json::array();
  for (const core::ParamValue& value : choice.values) {
    types.insert(type_of(value));
    values.push_back(json_of(value));
  }
  return {{"type", types}, {"enum", values}};
}

json dimension_schema(const core::Dimension& dimension) {
  json schema = std::visit([](const auto& domain) { return domain_schema(domain); }, dimension.domain);
  if (!dimension.when.empty()) {
    schema["type"].push_back("null");
    if (schema.contains("enum")) schema["enum"].push_back(nullptr);
  }
  if (schema["type"].size() == 1) schema["type"] = json(schema["type"][0]);
  return schema;
}

json strict_object(json properties) {
  json required = json::array();
  for (const auto& [name, _] : properties.items()) required.push_back(name);
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)},
          {"additionalProperties", false}};
}

json answer_schema(const core::Space& space, bool with_lengths) {
  json params = json::object();
  for (const core::Dimension& dimension : space.dimensions) params[dimension.name] = dimension_schema(dimension);
  json hypothesis = {{"type", "string"}};
  if (with_lengths) hypothesis["maxLength"] = hypothesis_characters_max;
  json parents = {{"type", "array"}, {"items", {{"type", "integer"}}}};
  if (with_lengths) parents["maxItems"] = parents_max;
  json proposal = strict_object({{"params", strict_object(std::move(params))},
                                 {"hypothesis", std::move(hypothesis)},
                                 {"parents", std::move(parents)}});
  return strict_object({{"proposals", {{"type", "array"}, {"items", std::move(proposal)}}}});
}

bool names(const std::string& refusal, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const char* word) { return refusal.find(word) != std::string::npos; });
}

}  // namespace

std::optional<SteppedDown> stepped_down(const Dialect& dialect, const std::string& refusal) {
  std::string text = refusal;
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  Dialect next = dialect;
  if (!dialect.max_completion_tokens && names(text, {"max_completion_tokens"})) {
    next.max_completion_tokens = true;
    return SteppedDown{next, "the server wants max_completion_tokens in place of max_tokens"};
  }
  if (dialect.temperature && names(text, {"temperature"})) {
    next.temperature = false;
    return SteppedDown{next, "the server refuses a temperature; none is sent"};
  }
  if (dialect.seed && names(text, {"seed"})) {
    next.seed = false;
    return SteppedDown{next, "the server refuses a seed; none is sent"};
  }
  if (!names(text, {"response_format", "json_schema", "schema", "grammar", "maxlength", "maxitems"}))
    return std::nullopt;
  switch (dialect.format) {
    case Dialect::Format::schema_with_lengths:
      next.format = Dialect::Format::schema;
      return SteppedDown{next, "the server refuses lengths in the schema; they are left out"};
    case Dialect::Format::schema:
      next.format = Dialect::Format::json_object;
      return SteppedDown{next, "the server refuses a schema; any JSON object is asked for"};
    case Dialect::Format::json_object:
      next.format = Dialect::Format::text;
      return SteppedDown{next, "the server refuses response_format; the form is only asked for in words"};
    case Dialect::Format::text:
      return std::nullopt;
  }
  return std::nullopt;
}

std::string body_of(const ChatRequest& request, const core::Space& space, std::int64_t count, const Dialect& dialect) {
  json body = {{"model", request.model}, {"stream", false}};
  for (const ChatMessage& message : request.messages)
    body["messages"].push_back({{"role", message.role}, {"content", message.content}});
  body[dialect.max_completion_tokens ? "max_completion_tokens" : "max_tokens"] = request.max_tokens;
  if (request.temperature && dialect.temperature) body["temperature"] = *request.temperature;
  if (dialect.seed) body["seed"] = request.seed % 0x7fffffff;  // more than 31 bits is not a seed everywhere
  if (dialect.format == Dialect::Format::json_object) body["response_format"] = {{"type", "json_object"}};
  if (dialect.format == Dialect::Format::schema_with_lengths || dialect.format == Dialect::Format::schema) {
    json schema = answer_schema(space, dialect.format == Dialect::Format::schema_with_lengths);
    if (dialect.format == Dialect::Format::schema_with_lengths) schema["properties"]["proposals"]["maxItems"] = count;
    body["response_format"] = {
        {"type", "json_schema"},
        {"json_schema", {{"name", "proposals"}, {"strict", true}, {"schema", std::move(schema)}}}};
  }
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string schema_of(const core::Space& space, bool with_lengths) { return answer_schema(space, with_lengths).dump(); }

}  // namespace overnight::proposers
