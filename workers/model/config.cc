#include "workers/model/config.h"

#include <nlohmann/json.hpp>
#include <string_view>

#include "workers/model/json_object.h"

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
    {"depth", &ModelConfig::depth, 1, 128},
    {"width", &ModelConfig::width, 8, 16384},
    {"heads", &ModelConfig::heads, 1, 256},
    {"context", &ModelConfig::context, 8, 16384},
    {"mlp_ratio", &ModelConfig::mlp_ratio, 0, 16},
    {"vocabulary", &ModelConfig::vocabulary, 2, 1 << 20},
    {"expand", &ModelConfig::expand, 1, 8},
    {"state", &ModelConfig::state, 1, 256},
    {"mamba_head", &ModelConfig::mamba_head, 1, 256},
    {"mamba_groups", &ModelConfig::mamba_groups, 1, 64},
    {"mamba_rank", &ModelConfig::mamba_rank, 1, 16},
    {"chunk", &ModelConfig::chunk, 1, 1024},
    {"taps", &ModelConfig::taps, 1, 16},
    {"kv_heads", &ModelConfig::kv_heads, 0, 256},
    {"short_window", &ModelConfig::short_window, 0, 16384},
    {"tied", &ModelConfig::tied, 0, 1},
    {"residual_mix", &ModelConfig::residual_mix, 0, 1},
    {"value_embeddings", &ModelConfig::value_embeddings, 0, 1},
};

constexpr const char* architecture = "language model";
constexpr const char* earlier_architecture = "transformer";  // the same, when attention was the only mixer

struct Text {
  const char* name;
  std::string ModelConfig::*member;
};
constexpr Text texts[] = {{"mixer", &ModelConfig::mixer}, {"window", &ModelConfig::window}, {"mlp", &ModelConfig::mlp}};

struct RealField {
  const char* name;
  double ModelConfig::*member;
};
constexpr RealField reals[] = {{"rope_base", &ModelConfig::rope_base}, {"softcap", &ModelConfig::softcap}};

constexpr double rope_base_low = 2, rope_base_high = 1e8, softcap_high = 1e4;
constexpr std::size_t pattern_letters_max = 128;

std::string number(std::int64_t value) { return std::to_string(value); }

std::string why_no_pattern(const char* name, const std::string& pattern, std::string_view letters,
                           const char* meaning) {
  if (pattern.empty() || pattern.size() > pattern_letters_max)
    return std::string(name) + " has " + std::to_string(pattern.size()) + " letters, not 1 to " +
           std::to_string(pattern_letters_max);
  for (const char letter : pattern) {
    if (letters.find(letter) == std::string_view::npos)
      return std::string(name) + " \"" + pattern + "\": there is no \"" + letter + "\"; " + meaning;
  }
  return "";
}

std::string why_no_attention(const ModelConfig& c) {
  if (c.width % c.heads != 0) return "width " + number(c.width) + " is not a multiple of heads " + number(c.heads);
  const std::int64_t head = c.width / c.heads;
  if (head % 2 != 0)
    return "the head size " + number(head) + " (width / heads) is odd, and rotary positions need pairs";
  if (head > 256) return "the head size " + number(head) + " (width / heads) is above 256";
  if (c.heads % c.key_heads() != 0)
    return "heads " + number(c.heads) + " are not a multiple of kv_heads " + number(c.kv_heads);
  if (c.short_window > c.context)
    return "short_window " + number(c.short_window) + " is above the context " + number(c.context);
  if (!(c.rope_base >= rope_base_low && c.rope_base <= rope_base_high))
    return "rope_base " + std::to_string(c.rope_base) + " is not between 2 and 1e8";
  return why_no_pattern("window", c.window, "SL", "L sees all tokens before it, S short_window of them");
}

std::string why_no_state_space(const ModelConfig& c) {
  const std::string inner = "the inner width " + number(c.inner()) + " (width x expand)";
  if (c.inner() % c.mamba_head != 0) return inner + " is not a multiple of mamba_head " + number(c.mamba_head);
  if (c.mamba_heads() % c.mamba_groups != 0)
    return "the " + number(c.mamba_heads()) + " heads (" + inner +
           " / mamba_head) are not a multiple of mamba_groups " + number(c.mamba_groups);
  if (c.context % c.chunk != 0)
    return "context " + number(c.context) + " is not a multiple of chunk " + number(c.chunk);
  if (c.mamba_rank > 1 && c.chunk * c.mamba_rank > 1024)
    return "chunk " + number(c.chunk) + " x mamba_rank " + number(c.mamba_rank) + " is above 1024";
  return "";
}

}  // namespace

std::int64_t ModelConfig::window_of(std::size_t layer) const {
  const bool last = layer + 1 == static_cast<std::size_t>(depth);
  if (last || window[layer % window.size()] != 'S') return 0;
  return short_window == 0 ? context / 2 : short_window;
}

bool ModelConfig::uses(Mixer wanted) const {
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(depth); ++layer) {
    if (mixer_of(layer) == wanted) return true;
  }
  return false;
}

std::string why_impossible(const ModelConfig& config) {
  for (const Field& field : fields) {
    const std::int64_t value = config.*field.member;
    if (value < field.low || value > field.high) {
      return std::string(field.name) + " " + std::to_string(value) + " is not between " + std::to_string(field.low) +
             " and " + std::to_string(field.high);
    }
  }
  if (std::string why =
          why_no_pattern("mixer", config.mixer, "AM3C", "A is attention, M Mamba-2, 3 Mamba-3, C a short convolution");
      !why.empty())
    return why;
  if (config.mlp != "relu2" && config.mlp != "gelu" && config.mlp != "swiglu")
    return "mlp \"" + config.mlp + "\" is not known; relu2, gelu and swiglu are";
  if (!(config.softcap >= 0 && config.softcap <= softcap_high))
    return "softcap " + std::to_string(config.softcap) + " is not between 0 and 10000";
  if (config.uses(Mixer::attention)) {
    if (std::string why = why_no_attention(config); !why.empty()) return why;
  }
  if (config.uses(Mixer::mamba2) || config.uses(Mixer::mamba3)) return why_no_state_space(config);
  return "";
}

std::string config_to_json(const ModelConfig& config) {
  json j{{"architecture", architecture}};
  for (const RealField& real : reals) j[real.name] = config.*real.member;
  for (const Text& text : texts) j[text.name] = config.*text.member;
  for (const Field& field : fields) j[field.name] = config.*field.member;
  return j.dump(2) + "\n";
}

budgets::Result<ModelConfig, std::string> config_from_json(const std::string& text) {
  const auto parsed = parse_json_object(text);
  if (!parsed) return budgets::unexpected("the model's config " + parsed.error());
  const json& j = *parsed;
  ModelConfig config;
  for (const auto& [name, value] : j.items()) {
    if (name == "architecture") {
      if (value != architecture && value != earlier_architecture)
        return budgets::unexpected("architecture " + value.dump() + " is not known; " + architecture + " is");
      continue;
    }
    bool known = false;
    for (const Text& field : texts) {
      if (name != field.name) continue;
      if (!value.is_string()) return budgets::unexpected(name + ": " + value.dump() + " is not a text");
      config.*field.member = value.get<std::string>();
      known = true;
    }
    for (const RealField& field : reals) {
      if (name != field.name) continue;
      if (!value.is_number()) return budgets::unexpected(name + ": " + value.dump() + " is not a number");
      config.*field.member = value.get<double>();
      known = true;
    }
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
