// What a model is: a byte-level Transformer's shape. A value; JSON both ways, strict: what cannot be built is refused
// with its reason before anything is launched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "budgets/result.h"

namespace overnight::workers {

inline constexpr std::int64_t byte_vocabulary = 257;  // 256 bytes and the start of a document
inline constexpr std::int32_t document_start = 256;

struct ModelConfig {
  std::int64_t depth = 4;
  std::int64_t width = 128;
  std::int64_t heads = 4;
  std::int64_t context = 128;
  std::int64_t mlp_ratio = 4;
  std::int64_t vocabulary = byte_vocabulary;
  bool operator==(const ModelConfig&) const = default;
};

// Empty, or why no such model can be built: "width 130 is not a multiple of heads 4".
std::string why_impossible(const ModelConfig& config);

std::string config_to_json(const ModelConfig& config);
budgets::Result<ModelConfig, std::string> config_from_json(const std::string& text);

}  // namespace overnight::workers
