// Checks JSON against the part of JSON Schema (draft 2020-12) that configs/study.schema.json uses; a keyword that it
// does not know is a fault, so that nothing in the schema goes unchecked.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace overnight::study {

class SchemaChecker {
 public:
  explicit SchemaChecker(const nlohmann::json& schema) : schema_(schema) {}

  // All that does not fit, a line each; empty: it fits.
  std::string faults(const nlohmann::json& value) const;

  // For each mapping in `value` that a closed section of the schema takes: the keys that the section lists. Paths as
  // the parser writes them.
  std::map<std::string, std::set<std::string>> keys_by_section(const nlohmann::json& value);
  // Closed sections of the schema that `keys_by_section` met nowhere.
  std::vector<std::string> sections_never_met() const;

  // Per section, the keys without a description.
  std::map<std::string, std::set<std::string>> undescribed() const;

 private:
  using Json = nlohmann::json;

  const Json& resolved(const Json& schema) const;
  void check(const Json& schema, const Json& value, const std::string& path, std::vector<std::string>& faults) const;
  void check_object(const Json& schema, const Json& value, const std::string& path,
                    std::vector<std::string>& faults) const;
  void collect(const Json& schema, const Json& value, const std::string& path);
  template <typename Visit>
  void every_section(const Json& schema, const std::string& path, Visit visit) const;

  const Json& schema_;
  std::map<std::string, std::set<std::string>> keys_;
  std::set<const Json*> met_;
};

}  // namespace overnight::study
