#include "workers/model/json_object.h"

#include <set>
#include <vector>

namespace overnight::workers {

using nlohmann::json;

budgets::Result<json, std::string> parse_json_object(const std::string& text) {
  std::vector<std::set<std::string>> seen;  // names of the objects that are open
  std::string twice;
  bool deep = false;
  const json::parser_callback_t watch = [&](int depth, json::parse_event_t event, json& parsed) {
    const bool begins = event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
    deep = deep || (begins && depth >= json_depth_max);
    if (event == json::parse_event_t::object_start) seen.emplace_back();
    if (event == json::parse_event_t::object_end && !seen.empty()) seen.pop_back();
    if (event == json::parse_event_t::key && !seen.back().insert(parsed.get<std::string>()).second)
      twice = parsed.get<std::string>();
    return !deep;
  };
  json object = json::parse(text, watch, false);
  if (deep) return budgets::unexpected(std::string("is nested too deeply"));
  if (!object.is_object()) return budgets::unexpected(std::string("is not a JSON object"));
  if (!twice.empty()) return budgets::unexpected("names \"" + twice + "\" twice");
  return object;
}

}  // namespace overnight::workers
