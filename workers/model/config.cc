#include "workers/model/config.h"

#include <nlohmann/json.hpp>

namespace overnight::workers {
namespace {

using nlohmann::json;

struct Field {
  const char* name;
  std::int64_t ModelConfig::*member;
  std::int64_t low, high;
};

// The bounds keep sizes far from overflow; a larger model is not for this program.
constexpr Field fields[] = {
    {"depth", &ModelConfig::depth, 1, 128},        {"width", &ModelConfig::width, 8, 16384},
    {"heads", &ModelConfig::heads, 1, 256},        {"context", &ModelConfig::context, 8, 16384},
    {"mlp_ratio", &ModelConfig::mlp_ratio, 1, 16}, {"vocabulary", &ModelConfig::vocabulary, 2, 1 << 20},
};

}  // namespace

std::string why_impossible(const ModelConfig& config) {
  for (const Field& field : fields) {
    const std::int64_t value = config.*field.member;
    if (value < field.low || value > field.high) {
      return std::string(field.name) + " " + std::to_string(value) + " is not between " + std::to_string(field.low) +
             " and " + std::to_string(field.high);
    }
  }
  if (config.width % config.heads != 0)
    return "width " + std::to_string(config.width) + " is not a multiple of heads " + std::to_string(config.heads);
  const std::int64_t head = config.width / config.heads;
  if (head % 2 != 0)
    return "the head size " + std::to_string(head) + " (width / heads) is odd, and rotary positions need pairs";
  if (head > 256) return "the head size " + std::to_string(head) + " (width / heads) is above 256";
  return "";
}

std::string config_to_json(const ModelConfig& config) {
  json j{{"architecture", "transformer"}};
  for (const Field& field : fields) j[field.name] = config.*field.member;
  return j.dump(2) + "\n";
}

budgets::Result<ModelConfig, std::string> config_from_json(const std::string& text) {
  const json j = json::parse(text, nullptr, false);
  if (!j.is_object()) return budgets::unexpected(std::string("the model's config is not a JSON object"));
  ModelConfig config;
  for (const auto& [name, value] : j.items()) {
    if (name == "architecture") {
      if (value != "transformer")
        return budgets::unexpected("architecture " + value.dump() + " is not known; transformer is");
      continue;
    }
    bool known = false;
    for (const Field& field : fields) {
      if (name != field.name) continue;
      if (!value.is_number_integer()) return budgets::unexpected(name + ": " + value.dump() + " is not a whole number");
      config.*field.member = value.get<std::int64_t>();
      known = true;
    }
    if (!known) return budgets::unexpected(name + " is not a key of a model's config");
  }
  if (std::string why = why_impossible(config); !why.empty()) return budgets::unexpected(why);
  return config;
}

}  // namespace overnight::workers
