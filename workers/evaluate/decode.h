// What a trained model does token by token: text that it goes on with, and what that costs at several lengths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "workers/corpus/tokenizer.h"
#include "workers/model/config.h"

namespace overnight::workers {

struct DecodeCost {
  std::size_t tokens = 0;  // read before
  double tokens_per_second = 0;
  std::size_t state_bytes = 0;  // carried from one token to the next
};

// On the calling thread: the speed of the next tokens behind texts of these lengths, each for at least `seconds`.
std::vector<DecodeCost> decode_costs(const ModelConfig& config, const float* parameters,
                                     const std::vector<std::size_t>& lengths, double seconds);

struct Sampling {
  std::size_t length = 400;  // tokens
  double temperature = 0.8;  // 0: always the likeliest
  std::uint64_t seed = 1;
};

// What the model writes behind `prompt`; ends early where a document would end.
std::string go_on(const ModelConfig& config, const float* parameters, const Tokenizer& tokenizer,
                  const std::string& prompt, const Sampling& sampling);

// For a terminal: control characters except line ends and tabs as "?".
std::string printable(const std::string& text);

}  // namespace overnight::workers
