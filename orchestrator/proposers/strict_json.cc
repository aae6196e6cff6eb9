#include "orchestrator/proposers/strict_json.h"

#include <set>
#include <stdexcept>

#include "orchestrator/proposers/told.h"

namespace overnight::proposers {
namespace {

using nlohmann::json;

struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// "parse error at line 3, column 7: ..." without the library's own numbering.
std::string words_of(const json::exception& error) {
  std::string text = error.what();
  if (const std::size_t end = text.find("] "); end != std::string::npos) text = text.substr(end + 2);
  return told(text, 200);
}

}  // namespace

budgets::Result<json, std::string> parse_strictly(std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) return budgets::unexpected("it is longer than " + std::to_string(bytes_max) + " bytes");
  std::vector<std::set<std::string>> open;  // keys of the objects that are open
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    if (depth > json_depth_max) throw Refused("it is nested deeper than " + std::to_string(json_depth_max));
    if (event == Event::object_start) open.emplace_back();
    if (event == Event::object_end && !open.empty()) open.pop_back();
    if (event == Event::key && !open.empty() && !open.back().insert(parsed.get<std::string>()).second)
      throw Refused("the key \"" + told(parsed.get<std::string>(), 64) + "\" is given twice");
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::exception& error) {
    return budgets::unexpected("it is not JSON: " + words_of(error));
  } catch (const Refused& refused) {
    return budgets::unexpected(std::string(refused.what()));
  }
}

std::optional<std::int64_t> whole_number(const json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) return std::nullopt;
  return value.get<std::int64_t>();
}

std::string text_field(const json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found == object.end() || !found->is_string() ? std::string() : found->get<std::string>();
}

}  // namespace overnight::proposers
