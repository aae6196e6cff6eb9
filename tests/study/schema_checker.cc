#include "tests/study/schema_checker.h"

#include <regex>

namespace overnight::study {
namespace {

using nlohmann::json;

bool is_type(const json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return false;
}

bool fits_type(const json& value, const json& types) {
  if (types.is_string()) return is_type(value, types);
  return std::any_of(types.begin(), types.end(), [&](const json& type) { return is_type(value, type); });
}

bool is_section(const json& schema) {
  return schema.is_object() && schema.value("additionalProperties", json(true)) == json(false);
}

// One keyword that looks at a single value; false if it does not fit.
bool fits(const std::string& keyword, const json& wanted, const json& value) {
  if (keyword == "type") return fits_type(value, wanted);
  if (keyword == "const") return value == wanted;
  if (keyword == "enum") return std::find(wanted.begin(), wanted.end(), value) != wanted.end();
  if (keyword == "pattern") {
    return !value.is_string() || std::regex_search(value.get<std::string>(), std::regex(wanted.get<std::string>()));
  }
  if (keyword == "minimum") return !value.is_number() || value >= wanted;
  if (keyword == "maximum") return !value.is_number() || value <= wanted;
  if (keyword == "exclusiveMinimum") return !value.is_number() || value > wanted;
  if (keyword == "minLength") return !value.is_string() || value.get<std::string>().size() >= wanted;
  if (keyword == "maxLength") return !value.is_string() || value.get<std::string>().size() <= wanted;
  if (keyword == "minItems") return !value.is_array() || value.size() >= wanted;
  if (keyword == "maxItems") return !value.is_array() || value.size() <= wanted;
  if (keyword == "minProperties") return !value.is_object() || value.size() >= wanted;
  if (keyword == "maxProperties") return !value.is_object() || value.size() <= wanted;
  return false;  // a keyword that is not known here
}

const std::set<std::string> said_only{"$schema", "$defs", "title", "description", "default", "$ref"};
const std::set<std::string> of_objects{"properties", "required", "additionalProperties", "propertyNames"};

}  // namespace

const json& SchemaChecker::resolved(const json& schema) const {
  if (!schema.is_object() || !schema.contains("$ref")) return schema;
  const std::string ref = schema["$ref"];
  return schema_.at(json::json_pointer(ref.substr(1)));
}

void SchemaChecker::check(const json& schema, const json& value, const std::string& path,
                          std::vector<std::string>& faults) const {
  if (schema.is_boolean()) {
    if (!schema.get<bool>()) faults.push_back(path + ": is not allowed");
    return;
  }
  if (schema.contains("$ref")) check(resolved(schema), value, path, faults);
  for (const auto& [keyword, wanted] : schema.items()) {
    if (said_only.contains(keyword) || of_objects.contains(keyword)) continue;
    if (keyword == "items") {
      for (std::size_t i = 0; value.is_array() && i < value.size(); ++i)
        check(wanted, value[i], path + "[" + std::to_string(i) + "]", faults);
    } else if (keyword == "anyOf" || keyword == "oneOf") {
      int fitting = 0;
      for (const json& one : wanted) {
        std::vector<std::string> unheard;
        check(one, value, path, unheard);
        if (unheard.empty()) ++fitting;
      }
      if (fitting == 0 || (keyword == "oneOf" && fitting > 1))
        faults.push_back(path + ": " + value.dump() + " fits " + std::to_string(fitting) + " of " + keyword);
    } else if (!fits(keyword, wanted, value)) {
      faults.push_back(path + ": " + value.dump() + " does not fit " + keyword + " " + wanted.dump());
    }
  }
  if (value.is_object()) check_object(schema, value, path, faults);
}

void SchemaChecker::check_object(const json& schema, const json& value, const std::string& path,
                                 std::vector<std::string>& faults) const {
  for (const json& key : schema.value("required", json::array())) {
    if (!value.contains(key)) faults.push_back(path + ": lacks " + key.get<std::string>());
  }
  const json properties = schema.value("properties", json::object());
  for (const auto& [key, item] : value.items()) {
    const std::string here = path.empty() ? key : path + "." + key;
    if (schema.contains("propertyNames")) check(schema["propertyNames"], key, here, faults);
    if (properties.contains(key)) {
      check(schema["properties"][key], item, here, faults);
    } else if (schema.contains("additionalProperties")) {
      check(schema["additionalProperties"], item, here, faults);
    }
  }
}

std::string SchemaChecker::faults(const json& value) const {
  std::vector<std::string> found;
  check(schema_, value, "", found);
  std::string text;
  for (const std::string& one : found) text += one + "\n";
  return text;
}

void SchemaChecker::collect(const json& schema_or_ref, const json& value, const std::string& path) {
  const json& schema = resolved(schema_or_ref);
  if (!schema.is_object()) return;
  for (const char* keyword : {"anyOf", "oneOf"}) {
    if (!schema.contains(keyword)) continue;
    for (const json& one : schema[keyword]) {
      std::vector<std::string> unheard;
      check(one, value, path, unheard);
      if (unheard.empty()) collect(one, value, path);
    }
  }
  if (value.is_array() && schema.contains("items")) {
    for (std::size_t i = 0; i < value.size(); ++i)
      collect(schema["items"], value[i], path + "[" + std::to_string(i) + "]");
  }
  if (!value.is_object()) return;
  if (is_section(schema)) {
    met_.insert(&schema);
    for (const auto& [key, _] : schema["properties"].items()) keys_[path].insert(key);
  }
  for (const auto& [key, item] : value.items()) {
    const std::string here = path.empty() ? key : path + "." + key;
    if (schema.contains("properties") && schema["properties"].contains(key)) {
      collect(schema["properties"][key], item, here);
    } else if (schema.contains("additionalProperties")) {
      collect(schema["additionalProperties"], item, here);
    }
  }
}

std::map<std::string, std::set<std::string>> SchemaChecker::keys_by_section(const json& value) {
  keys_.clear();
  collect(schema_, value, "");
  return keys_;
}

template <typename Visit>
void SchemaChecker::every_section(const json& schema, const std::string& path, Visit visit) const {
  if (is_section(schema)) visit(schema, path);
  if (!schema.is_structured()) return;
  for (const auto& [key, part] : schema.items()) every_section(part, path + "/" + key, visit);
}

std::vector<std::string> SchemaChecker::sections_never_met() const {
  std::vector<std::string> missed;
  every_section(schema_, "", [&](const json& section, const std::string& path) {
    if (!met_.contains(&section)) missed.push_back(path);
  });
  return missed;
}

std::map<std::string, std::set<std::string>> SchemaChecker::undescribed() const {
  std::map<std::string, std::set<std::string>> found;
  every_section(schema_, "", [&](const json& section, const std::string& path) {
    for (const auto& [key, part] : section["properties"].items()) {
      const bool told = part.contains("description") || part.contains("const") ||
                        resolved(part).contains("description") || resolved(part).contains("oneOf");
      if (!told) found[path].insert(key);
    }
  });
  return found;
}

}  // namespace overnight::study
