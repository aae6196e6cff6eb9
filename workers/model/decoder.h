// A model read token by token: each mixer carries its state on instead of looking at the whole text again. What
// inference costs: for attention a cache that grows with the text, for the others a state of fixed size. Gives the
// logits that the parallel model gives. A resource; refers to the parameters, which outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "workers/model/config.h"
#include "workers/model/language_model.h"

namespace overnight::workers {

class Decoder {
 public:
  // `config` must be possible; `parameters` are laid out as in a graph of it. Reads at most `tokens_max` tokens.
  Decoder(const ModelConfig& config, const float* parameters, std::size_t tokens_max);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  void begin();  // a new text
  // The logits [vocabulary] of what follows `token`; they hold until the next call.
  const std::vector<float>& next(std::int32_t token);

  std::size_t position() const { return position_; }
  // Of what is carried on to the next token.
  std::size_t state_bytes() const;
  // As if so many tokens had been read, with states of no meaning: for measuring at a length alone.
  void pretend(std::size_t tokens);

  // One layer's mixer.
  class Mixing;

 private:
  const float* parameter(const std::string& name) const;
  void think(std::size_t layer);

  ModelConfig config_;
  LanguageModel model_;  // for the places of its parameters
  const float* parameters_;
  std::map<std::string, std::size_t> places_;
  std::vector<std::unique_ptr<Mixing>> mixers_;
  std::vector<float> stream_, beginning_, normed_, before_, hidden_, logits_;
  std::size_t tokens_max_;
  std::size_t position_ = 0;
};

}  // namespace overnight::workers
