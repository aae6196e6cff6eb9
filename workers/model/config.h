// What a model is: the shape of a language model over bytes or byte-pair tokens. A value; JSON both ways, strict: what
// cannot be built is refused with its reason before anything is launched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "budgets/result.h"

namespace overnight::workers {

inline constexpr std::int64_t byte_vocabulary = 257;  // 256 bytes and the start of a document
inline constexpr std::int32_t document_start = 256;

// A layer's mixer: what carries information from token to token. Written as letters in ModelConfig::mixer.
enum class Mixer : char { attention = 'A', mamba2 = 'M', mamba3 = '3', convolution = 'C' };

// What a model is built for (language_model.h).
enum class ModelUse { training, inference, scoring };

struct ModelConfig {
  std::int64_t depth = 4;
  std::int64_t width = 128;
  std::int64_t heads = 4;  // of attention
  std::int64_t context = 128;
  std::int64_t mlp_ratio = 4;  // 0: layers have no MLP
  std::string mlp = "relu2";   // or "gelu", "swiglu"
  std::int64_t vocabulary = byte_vocabulary;
  std::int64_t tied = 0;          // 1: the embedding is the head, too
  double softcap = 0;             // of logits: c * tanh(x / c); 0: none
  std::int64_t residual_mix = 0;  // 1: before each mixer the stream is blended with its beginning, by learned shares
  std::string mixer = "A";        // one letter per layer, from the first; repeated until there are `depth`

  // Of attention.
  std::int64_t kv_heads = 0;      // of keys and values; 0: as many as heads
  std::string window = "L";       // one letter per layer, as in `mixer`: L sees all, S short_window; the last layer all
  std::int64_t short_window = 0;  // tokens; 0: half of the context
  double rope_base = 10000;
  std::int64_t value_embeddings = 0;  // 1: in every other layer, the last among them, tokens add to their values

  // Of the mixers with a state.
  std::int64_t expand = 2;        // inner width / width; of convolution layers too
  std::int64_t state = 64;        // numbers per channel that are carried on
  std::int64_t mamba_head = 64;   // channels per head
  std::int64_t mamba_groups = 1;  // of heads that share keys and queries in the projection
  std::int64_t mamba_rank = 1;    // of Mamba-3; above 1 it is MIMO
  std::int64_t chunk = 64;        // tokens that are worked on at once; the context is a multiple
  std::int64_t taps = 4;          // of the short convolution
  bool operator==(const ModelConfig&) const = default;

  Mixer mixer_of(std::size_t layer) const { return static_cast<Mixer>(mixer[layer % mixer.size()]); }
  bool uses(Mixer wanted) const;  // in one of its layers
  std::int64_t key_heads() const { return kv_heads == 0 ? heads : kv_heads; }
  std::int64_t window_of(std::size_t layer) const;  // tokens; 0: all
  bool embeds_values(std::size_t layer) const {
    return value_embeddings == 1 && (static_cast<std::size_t>(depth) - 1 - layer) % 2 == 0;
  }
  std::int64_t inner() const { return width * expand; }
  std::int64_t mamba_heads() const { return inner() / mamba_head; }
  // Pairs of a Mamba-3 key that are turned: a quarter of the state's numbers, as published (rope_fraction 0.5).
  std::int64_t angles() const { return state / 4; }
};

// Empty, or why no such model can be built: "width 130 is not a multiple of heads 4".
std::string why_impossible(const ModelConfig& config);

std::string config_to_json(const ModelConfig& config);
budgets::Result<ModelConfig, std::string> config_from_json(const std::string& text);

}  // namespace overnight::workers
