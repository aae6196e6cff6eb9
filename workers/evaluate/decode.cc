#include "workers/evaluate/decode.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>

#include "workers/model/decoder.h"

namespace overnight::workers {
namespace {

constexpr std::size_t tokens_at_least = 16, tokens_at_most = 4096;  // measured at one length

double seconds_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

std::int32_t likeliest(const std::vector<float>& logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

std::int32_t sample(const std::vector<float>& logits, double temperature, std::mt19937_64& random) {
  if (temperature <= 0) return likeliest(logits);
  const double largest = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  std::vector<double> sums;
  double sum = 0;
  for (const float logit : logits)
    sums.push_back(sum += std::exp((static_cast<double>(logit) - largest) / temperature));
  const double at = static_cast<double>(random() >> 11) * 0x1.0p-53 * sum;
  const auto chosen = std::upper_bound(sums.begin(), sums.end(), at) - sums.begin();
  return static_cast<std::int32_t>(std::min<std::ptrdiff_t>(chosen, static_cast<std::ptrdiff_t>(logits.size()) - 1));
}

}  // namespace

std::vector<DecodeCost> decode_costs(const ModelConfig& config, const float* parameters,
                                     const std::vector<std::size_t>& lengths, double seconds) {
  std::vector<DecodeCost> costs;
  for (const std::size_t length : lengths) {
    Decoder decoder(config, parameters, length + tokens_at_most + 1);
    decoder.pretend(length);
    DecodeCost cost{length, 0, decoder.state_bytes()};
    std::int32_t token = likeliest(decoder.next(0));  // the first brings everything into the cache
    std::size_t read = 0;
    const auto began = std::chrono::steady_clock::now();
    while (read < tokens_at_least || (read < tokens_at_most && seconds_since(began) < seconds)) {
      token = likeliest(decoder.next(token));
      ++read;
    }
    cost.tokens_per_second = static_cast<double>(read) / seconds_since(began);
    costs.push_back(cost);
  }
  return costs;
}

std::string go_on(const ModelConfig& config, const float* parameters, const Tokenizer& tokenizer,
                  const std::string& prompt, const Sampling& sampling) {
  std::vector<std::int32_t> read;
  tokenizer.encode(prompt, read);
  Decoder decoder(config, parameters, read.size() + sampling.length + 1);
  std::mt19937_64 random(sampling.seed);
  const std::vector<float>* logits = &decoder.next(document_start);
  for (const std::int32_t token : read) logits = &decoder.next(token);
  std::string text;
  for (std::size_t written = 0; written < sampling.length; ++written) {
    const std::int32_t token = sample(*logits, sampling.temperature, random);
    if (token == document_start) break;
    text += tokenizer.bytes_of(token);
    logits = &decoder.next(token);
  }
  return text;
}

std::string printable(const std::string& text) {
  std::string shown = text;
  for (char& byte : shown) {
    const auto code = static_cast<unsigned char>(byte);
    if ((code < 0x20 && byte != '\n' && byte != '\t') || code == 0x7f) byte = '?';
  }
  return shown;
}

}  // namespace overnight::workers
